// Erasure: first what it would do, then, with that plan's hash and a typed word, it is done. A certificate says what was.

import { all, get, has, post, some } from "../api.js";
import { h, put } from "../dom.js";
import { attempt, badge, choice, confirm, day, empty, field, heading, show, table, time, toast, words } from "../ui.js";

const KINDS = [["person", "a person"], ["source", "an import"], ["episode", "one message"], ["fact", "one fact"]];
const NOTES = {
  person: "All they said, all that is known of them, and their names where others speak of them.",
  source: "Every message of one import, and what only it supports.",
  episode: "One message by its id, and what only it supports.",
  fact: "One fact by its id; with its messages if you want.",
};

export async function view(place) {
  const [people, sources] = await Promise.all([some("/v1/people", "people"), some("/v1/sources", "sources")]);
  if (!people.length && !sources.length) {
    return void put(place, heading("Erase"), empty("There is nothing to erase", "What is imported here can be erased here, completely: rows, text, indexes and weights."));
  }
  const plan = h("div", { "aria-live": "polite" });
  put(place, heading("Erase", "Nothing is hidden or kept aside: rows, text, indexes and what weights learnt of it go. You see what would happen before it does."),
    form(people, sources, plan), plan, h("section", null, h("h2", null, "Erased before"), await past()));
  return null;
}

function form(people, sources, plan) {
  const kind = choice(KINDS, "person");
  const what = h("div");
  const mentions = choice([["redact", "black out names in others' messages"], ["erase", "erase others' messages that name them"], ["keep", "leave others' messages as they are"]], "redact");
  const withMessages = h("input", { type: "checkbox" });
  const more = h("div");
  const draw = () => {
    put(what, target(kind.value, people, sources));
    put(more, kind.value === "person" ? field("Where others speak of them", mentions) : null,
      kind.value === "fact" ? h("label.check", null, withMessages, "and the messages that it rests on") : null);
    put(plan);
  };
  kind.addEventListener("change", draw);
  draw();
  const button = h("button.main", { type: "submit" }, "Show what would happen");
  const wanted = () => ({
    kind: kind.value, what: what.querySelector("input, select").value.trim(),
    ...(kind.value === "person" ? { mentions: mentions.value } : {}), with_messages: kind.value === "fact" && withMessages.checked,
  });
  return h("form.card", { onsubmit: (event) => {
    event.preventDefault();
    attempt(() => show(plan, async () => planned(await post("/v1/forget", wanted()), wanted(), plan), "Counting"), button);
  } }, h("div.row", null, field("What", kind), what), more, h("div.actions", null, button));
}

function target(kind, people, sources) {
  const note = NOTES[kind];
  if (kind === "source") return field("Which import", choice(sources.map((one) => [one.source, `${one.name || one.kind}, ${one.messages} messages, ${day(one.imported)}`])), note);
  if (kind !== "person") return field("Its id", h("input", { required: true, autocomplete: "off" }), note);
  return field("Who", h("input", { required: true, list: "everybody", autocomplete: "off" }), [note, h("datalist", { id: "everybody" }, people.map((one) => h("option", { value: one.name })))]);
}

function planned(plan, wanted, place) {
  const go = async () => {
    const name = plan.target?.name ?? wanted.what;
    const isSure = await confirm("Erase this for good?", [`${wanted.kind === "person" ? name : "It"} cannot be brought back, by nobody and from nowhere in this home.`,
      "Backups are listed in the certificate; they have to be deleted by hand."], "Erase", { type: wanted.kind === "person" ? wanted.what : "erase" });
    if (!isSure) return;
    await show(place, async () => done(await post("/v1/forget", { ...wanted, plan: plan.plan })), "Erasing; this may take some minutes");
    toast("Erased.");
  };
  const lines = plan.lines.filter((line) => line.n);
  return h("section.card", null, h("h2", null, "What would happen"),
    lines.length ? table(["what", "how many", "", "why"], lines.map((line) => [words(line.kind), line.n.toLocaleString(), badge(line.act, line.act === "stays" ? "plain" : "warm"), line.why || ""]), "The plan")
      : h("p", null, "Nothing here belongs to it."),
    h("p.soft.small", null, "Plan ", h("code", null, plan.plan.slice(0, 16)), ". If anything changes before you go on, it is not carried out and you see the new one."),
    h("div.actions", null, h("button.danger", { type: "button", onclick: (event) => attempt(go, event.target) }, "Erase …")));
}

function done(outcome) {
  const { certificate, scan } = outcome;
  return h("section.card", null, h("h2", null, "Erased"),
    h("p", null, scan.clean ? badge("nothing was found afterwards", "good") : badge("something was still found", "bad"), ` ${scan.files} files, ${(scan.bytes / 1e6).toFixed(1)} MB searched`),
    certified(certificate));
}

function certified(one) {
  const rows = [["Certificate", one.seq], ["Begun", time(one.began_at)], ["Done", time(one.done_at)], ["Kind", one.target], ["Reason", one.reason],
    ["Counts", Object.entries(one.counts || {}).map(([what, n]) => `${words(what)} ${n}`).join(", ")],
    ["Weights", one.weights ? words(one.weights.serves) : "not looked at"],
    ["Backups that may still hold it", (one.backups || []).map((each) => each.path ?? each).join(", ") || "none known"]];
  const file = URL.createObjectURL(new Blob([JSON.stringify(one, null, 2)], { type: "application/json" }));
  return [h("dl.pairs", null, rows.filter(([, value]) => value).map(([name, value]) => [h("dt", null, name), h("dd", null, value)])),
    h("a.button", { href: file, download: `certificate-${one.seq}.json` }, "Save the certificate")];
}

async function past() {
  if (!has("GET /v1/ledger")) return null;
  const found = await get("/v1/ledger", { limit: 200 });
  const entries = (Array.isArray(found) ? found : found.entries || []).filter((one) => /^(erasure|forget)/.test(one.kind));
  if (!entries.length) return h("p.soft", null, "Nothing yet.");
  return h("ul.plain", null, entries.map((one) => {
    const place = h("div");
    return h("li.card", null, h("span", null, `${time(one.at)} · ${words(one.kind)} `),
      h("button.quiet", { type: "button", onclick: () => show(place, async () => certified(await get(`/v1/certificates/${one.seq}`))) }, "Certificate"), place);
  }));
}
