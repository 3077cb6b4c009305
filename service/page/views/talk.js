// A conversation with a simulated person. What the simulation says is marked, and shows what it rests on.

import { at, events, get, has, post, remove, some } from "../api.js";
import { add, h, put } from "../dom.js";
import { act, attempt, badge, choice, confirm, empty, field, fold, heading, loading, problem, quotes, time, toast, words } from "../ui.js";
import { factCard, openFact } from "./fact.js";

const WHY = "POST /v1/why-said";
const CONSENT = "POST /v1/people/{name}/consent";
const SHOWN = 4; // feelings under a message

export async function view(place, [name], query) {
  const speakers = (await some("/v1/people", "people")).filter((one) => one.speaks);
  if (!speakers.length) {
    return void put(place, heading("Talk"), empty("Nobody to talk with yet", "A simulation speaks as somebody whose messages were imported, and only with consent.",
      has("POST /v1/imports") ? h("a.button.main", { href: "#/import" }, "Import a conversation") : null));
  }
  if (!name) return void put(place, heading("Talk", "With a simulation, not with the person. Everything it says is marked as such, wherever it goes."),
    h("div.cards", null, speakers.map(card)), await earlier());
  const person = await get(at`/v1/people/${name}`);
  const others = speakers.filter((one) => one.id !== person.id).map((one) => one.name);
  const inside = h("div");
  put(place, h("a.crumb", { href: "#/talk" }, "← Everybody"), heading(`${person.name}, simulated`, null, withdrawal(person)), inside);
  if (!person.consent) return void put(inside, consent(person));
  return conversation(inside, person.name, others, query.get("as"));
}

function card(person) {
  return h("a.card", { href: at`#/talk/${person.name}` }, h("span.face", { "aria-hidden": "true" }, [...person.name][0]),
    h("span", null, h("strong", null, person.name), h("br"), h("span.soft.small", null, "a simulation")));
}

async function earlier() {
  if (!has("GET /v1/chats")) return null;
  const found = await get("/v1/chats", { limit: 20 });
  const list = found.chats || found;
  if (!list.length) return null;
  return h("section", null, h("h2", null, "Earlier conversations"), list.map((one) => {
    const inside = h("div");
    const box = h("details.card", null, h("summary", null, `${one.conversation || one.person}, ${time(one.began_at)}`, " ", badge("simulated", "simulated")), inside);
    box.addEventListener("toggle", async () => {
      if (!box.open || inside.hasChildNodes()) return;
      put(inside, loading());
      try {
        const told = await get(at`/v1/chats/${one.id}`);
        put(inside, told.turns.flatMap((turn) => [turn.heard ? bubble("mine", turn.heard.speaker, turn.heard.text) : null,
          turn.reply ? bubble("persona", turn.reply.speaker, turn.reply.text) : null]));
      } catch (error) {
        put(inside, problem(error));
      }
    });
    return box;
  }));
}

function consent(person) {
  if (!has(CONSENT)) {
    return empty(`${person.name} has not agreed yet`, "A person is simulated only with consent on record.",
      h("code", null, `slowwave consent "${person.name}" --agreed-by NAME`));
  }
  const by = h("input", { required: true, autocomplete: "off" });
  const note = h("input", { autocomplete: "off", placeholder: "by letter, on her birthday" });
  const sure = h("input", { type: "checkbox", required: true });
  const button = h("button.main", { type: "submit" }, "Record the consent");
  const save = async () => {
    await post(at`/v1/people/${person.name}/consent`, { by: by.value.trim(), ...(note.value.trim() ? { note: note.value.trim() } : {}) });
    toast("Consent is on record. It can be withdrawn at any time.");
    dispatchEvent(new HashChangeEvent("hashchange"));
  };
  return h("form.card", { onsubmit: (event) => { event.preventDefault(); attempt(save, button); } },
    h("h2", null, "Consent comes first"), h("p", null, `A simulation of ${person.name} will speak in their way and draw on what is known of them. `
      + "It needs their agreement, or, for somebody who died, that of those closest to them."),
    field("Who agreed", by), field("How, if you want to remember it", note),
    h("label.check", null, sure, `They know that ${person.name} will be simulated, and they agreed.`), h("div.actions", null, button));
}

function withdrawal(person) {
  if (!person.consent || !has("DELETE /v1/people/{name}/consent")) return null;
  return act("Withdraw the consent", async () => {
    if (!await confirm("Withdraw the consent?", `${person.name} will no longer be simulated. What was said stays, marked as simulated.`, "Withdraw")) return;
    await remove(at`/v1/people/${person.name}/consent`);
    dispatchEvent(new HashChangeEvent("hashchange"));
  });
}

function conversation(inside, name, others, given) {
  const me = others.length ? choice(others.map((one) => [one, one]), others.includes(given) ? given : others[0]) : h("input", { required: true });
  const said = h("div.said", { role: "log", "aria-label": "The conversation", "aria-live": "polite" });
  const text = h("textarea", { rows: 1, required: true, maxlength: 60000, "aria-label": `Write to the simulation of ${name}`, placeholder: "Write something" });
  const send = h("button.main", { type: "submit" }, "Send");
  const stop = h("button", { type: "button", hidden: true }, "Stop");
  let running = null;

  async function say() {
    const words = text.value.trim();
    if (!words || running) return;
    text.value = "";
    said.append(bubble("mine", me.value, words));
    const reply = bubble("persona", name, "");
    const line = reply.querySelector("p");
    line.classList.add("writing");
    said.append(reply);
    reply.scrollIntoView({ block: "nearest" });
    running = new AbortController();
    send.hidden = true;
    stop.hidden = false;
    try {
      for await (const { event, data } of events("POST", "/v1/chat", { body: { person: name, as: me.value, text: words }, signal: running.signal })) {
        if (event === "piece") line.append(data.text);
        else if (event === "problem") throw new Error(data.detail);
        else if (event === "turn") {
          put(line, data.reply);
          reply.after(under(data));
        }
      }
    } catch (error) {
      if (error.name === "AbortError") add(line, " … (stopped; nothing of it is kept)");
      else reply.after(problem(error));
    } finally {
      line.classList.remove("writing");
      running = null;
      send.hidden = false;
      stop.hidden = true;
      text.focus();
    }
  }

  stop.addEventListener("click", () => running?.abort());
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); say(); }
  });
  put(inside, h("div.talk", null, h("p.note.small", null, `You are writing with a simulation of ${name}. It is a language model with ${name}'s memory, it can be wrong, and it is not ${name}. What it says never becomes a fact.`),
    field("You write as", me), said, h("form.say", { onsubmit: (event) => { event.preventDefault(); say(); } }, text, send, stop)));
  return () => running?.abort();
}

function bubble(kind, who, text) {
  return h(`div.bubble.${kind}`, null, h("div.who", null, who, kind === "persona" ? badge("simulated", "simulated") : null), h("p", null, text));
}

/** What a reply rested on, how it felt, and why it was said. */
function under(turn) {
  const why = h("div");
  const feelings = Object.entries(turn.mood || {}).filter(([, value]) => Math.abs(value) >= 0.1).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).slice(0, SHOWN);
  const readings = Object.entries(turn.readouts || {}).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).slice(0, 8);
  const made = (turn.claims || []).filter((one) => one.claim);
  return h("div.under", null,
    h("div.mood", null, feelings.map(([feeling, value]) => badge(`${words(feeling)} ${value > 0 ? "+" : "−"}${Math.abs(value).toFixed(1)}`, "plain")),
      turn.status === "whole" ? null : badge(turn.status === "corrected" ? "put right by a guard" : "cut off", "warm")),
    turn.facts?.length ? fold(`Facts it used (${turn.facts.length})`, turn.facts.map((fact) => factCard(fact, () => openFact(fact.id), true))) : null,
    readings.length ? fold("Read from the model", h("p.soft.small", null, "In standard deviations of neutral text."), h("dl.pairs", null,
      readings.map(([concept, value]) => [h("dt", null, words(concept)), h("dd", null, value.toFixed(2))]))) : null,
    made.length ? fold("What it claimed", h("ul", null, made.map((one) => h("li", null, claim(one.claim))))) : null,
    has(WHY) && turn.turn ? [act("Why did it say that?", async (button) => {
      put(why, loading("Looking through the messages"));
      try {
        const found = await post("/v1/why-said", { turn: turn.turn, k: 3 });
        put(why, found.messages.length ? [h("p.soft.small", null, "The messages that most likely made it say so:"), quotes(found.messages)] : h("p.soft", null, "No message could be compared with it."));
        button.remove();
      } catch (error) {
        put(why, problem(error));
      }
    }, ".quiet"), why] : null);
}

const claim = (one) => (typeof one === "string" ? one : [one.subject, words(one.predicate || ""), one.object].filter(Boolean).join(" "));
