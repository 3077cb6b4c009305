// A question, the answer with the messages it rests on, or an honest "nobody told me".

import { get, post, some } from "../api.js";
import { h, put } from "../dom.js";
import { attempt, choice, field, fold, heading, quotes, show, words } from "../ui.js";
import { factCard, openFact } from "./fact.js";

const EVERYTHING = "";

export async function view(place, parts, query) {
  const people = await some("/v1/people", "people");
  const speakers = people.filter((one) => one.speaks);
  const question = h("input", { required: true, maxlength: 2000, autocomplete: "off", placeholder: speakers.length ? `Where does ${speakers[0].name.split(" ")[0]} live?` : "Who is …?" });
  const known = choice([[EVERYTHING, "everything here"], ...speakers.map((one) => [one.name, `what ${one.name} can know`])], EVERYTHING);
  const asOf = h("input", { type: "date" });
  const button = h("button.main", { type: "submit" }, "Ask");
  const found = h("div", { "aria-live": "polite" });
  const ask = () => show(found, async () => told(await post("/v1/ask", {
    question: question.value.trim(), explain: true,
    ...(known.value ? { known_to: known.value } : {}), ...(asOf.value ? { as_of: asOf.value } : {}),
  })), "Looking");
  const tries = speakers.slice(0, 2).flatMap(({ name }) => [`Where does ${name} live?`, `What does ${name} like?`]);
  put(found, tries.length ? h("section", null, h("h2", null, "To begin with"), h("div.actions", null, tries.map((text) =>
    h("button", { type: "button", onclick: () => { question.value = text; ask(); } }, text)))) : null);
  put(place, heading("Ask", "Every answer shows the messages it rests on. What nobody said is not made up."),
    h("form", { role: "search", onsubmit: (event) => { event.preventDefault(); attempt(ask, button); } },
      h("div.row", null, h("div.grow", null, field("Your question", question)), button),
      fold("From whose view, and as of when", h("div.row", null, field("Out of", known), field("As of", asOf)))), found);
  if (query.get("q")) {
    question.value = query.get("q");
    ask();
  }
  return null;
}

function told(answer) {
  const again = () => {};
  const why = answer.explain || {};
  return h("section.card", null,
    answer.abstained
      ? [h("p.answer", null, "I do not know."), h("p.soft", null, why.abstained_because ? `Because ${words(why.abstained_because)}.` : "Nobody said it in what was imported.")]
      : h("p.answer", null, answer.answer),
    answer.evidence.length ? [h("h2", null, "Said in"), quotes(answer.evidence)] : null,
    answer.facts.length ? [h("h2", null, "Facts"), answer.facts.map((fact) => factCard(fact, () => openFact(fact.id, again), true))] : null,
    why.confidence === undefined || why.confidence === null ? null : h("p.soft.small", null, `Sure to ${Math.round(why.confidence * 100)} %.`));
}
