// A fact in a dialog: what it rests on, what became of it, and what a person may do about it. Each change can be undone.

import { all, at, get, has, post, remove, set } from "../api.js";
import { h, put } from "../dom.js";
import { act, attempt, badge, confirm, day, dialog, field, fold, loading, problem, quotes, span, table, time, toast, words } from "../ui.js";

const STATUS = {
  contested: ["contested", "contested"], candidate: ["not decided yet", "plain"], past: ["superseded or over", "plain"],
  retracted: ["taken back", "bad"], quarantined: ["waits for you", "contested"], rejected: ["rejected", "bad"], future: ["to come", "plain"],
};

export function badges(fact) {
  const [text, kind] = STATUS[fact.status] || [];
  return [
    text ? badge(text, kind) : null,
    fact.stale ? badge("not heard of for long", "plain") : null,
    fact.pinned ? badge("pinned", "good") : null,
    fact.sensitive?.length ? badge("sensitive", "warm") : null,
  ];
}

export function factCard(fact, onclick, subject) {
  return h(`button.fact.${fact.status}`, { type: "button", onclick },
    h("span.what", null, subject ? `${fact.subject} · ` : "", words(fact.predicate)), h("span.value", null, fact.object),
    h("span.when", null, span(fact.valid_from, fact.valid_to), badges(fact)));
}

/** Open the fact; `changed` is called after anything about it was changed. */
export function openFact(id, changed = () => {}) {
  dialog("Where this comes from", (box, body) => {
    fill(box, body, id, changed);
    return loading();
  });
}

async function fill(box, body, id, changed) {
  try {
    const fact = await get(at`/v1/facts/${id}`);
    const why = has("GET /v1/facts/{fact_id}/why") ? await get(at`/v1/facts/${id}/why`).catch(() => null) : null;
    put(body, told(fact), actions(box, body, fact, changed), evidence(fact), neighbours(box, fact, changed), reasons(why),
      decisions(box, body, fact, changed));
  } catch (error) {
    put(body, problem(error, () => fill(box, body, id, changed)));
  }
}

function told(fact) {
  return h("div", null, h("p.soft", null, `${fact.subject} · ${words(fact.predicate)}`), h("p.answer", null, fact.object),
    h("p.soft", null, [span(fact.valid_from, fact.valid_to), fact.said_by ? `said by ${fact.said_by}` : "",
      `recorded ${day(fact.recorded_at)}`, `confidence ${Math.round(fact.confidence * 100)} %`].filter(Boolean).join(" · ")),
    h("div.mood", null, badges(fact)));
}

function actions(box, body, fact, changed) {
  if (!has("POST /v1/facts/{fact_id}/correct") || ["retracted", "rejected"].includes(fact.status)) return null;
  const form = h("div");
  const finish = async (answer, text) => {
    box.close();
    await changed();
    toast(text, answer.decision ? { undo: () => undo(answer.decision, changed) } : {});
  };
  const isOver = Boolean(fact.valid_to);
  return h("div", null, h("div.actions", null,
    h("button", { type: "button", onclick: () => put(form, correction(fact, finish)) }, "Correct it"),
    isOver ? null : h("button", { type: "button", onclick: () => put(form, ending(fact, finish)) }, "It ended"),
    act("Never true", async () => finish(await post(at`/v1/facts/${fact.id}/retract`, {}), "Taken back.")),
    act(fact.pinned ? "Unpin" : "Pin", async () => {
      await (fact.pinned ? remove : set)(at`/v1/facts/${fact.id}/pin`);
      toast(fact.pinned ? "It may fade again." : "Pinned: it never fades.");
      await fill(box, body, fact.id, changed);
    })), form);
}

function correction(fact, finish) {
  const value = h("input", { required: true, value: fact.object, autocomplete: "off" });
  return formOf("Save the correction", [field(`${fact.subject} · ${words(fact.predicate)}, rightly`, value,
    "The old value was never true; this one was, over the same time.")],
  async () => finish(await post(at`/v1/facts/${fact.id}/correct`, { object: value.value.trim() }), "Corrected."));
}

function ending(fact, finish) {
  const on = h("input", { type: "date", value: new Date().toISOString().slice(0, 10) });
  return formOf("Save the end", [field("Until which day", on)],
    async () => finish(await post(at`/v1/facts/${fact.id}/end`, on.value ? { on: on.value } : {}), "It ended then."));
}

function formOf(label, fields, action) {
  const button = h("button.main", { type: "submit" }, label);
  const form = h("form.card", { onsubmit: (event) => { event.preventDefault(); attempt(action, button); } }, fields,
    h("div.actions", null, button));
  queueMicrotask(() => form.querySelector("input")?.focus());
  return form;
}

async function undo(decision, changed) {
  await post(at`/v1/decisions/${decision}/undo`);
  toast("Undone.");
  await changed();
}

function evidence(fact) {
  if (!fact.messages?.length) return h("p.soft", null, "No message says it; it was stated by hand or follows from something else.");
  return h("section", null, h("h3", null, "Said in"), quotes(fact.messages));
}

function neighbours(box, fact, changed) {
  const parts = [["Took the place of", fact.supersedes], ["Was followed by", fact.superseded_by ? [fact.superseded_by] : []],
    ["Does not go together with", fact.contested_with]];
  return parts.filter(([, some]) => some?.length).map(([label, some]) => h("section", null, h("h3", null, label),
    some.map((other) => factCard(other, () => { box.close(); openFact(other.id, changed); }))));
}

function reasons(why) {
  if (!why || why.salience === null || why.salience === undefined) return null;
  const terms = Object.entries(why.terms || {}).sort((a, b) => b[1].share - a[1].share);
  return fold("Why the night kept or left it", h("p", null, `Salience ${why.salience.toFixed(2)}`,
    why.check?.support ? `; ${why.check.support.reason}` : ""),
  table(["term", "value", "share"], terms.map(([name, term]) => [words(name), term.value.toFixed(2), term.share.toFixed(2)]), "Salience"));
}

function decisions(box, body, fact, changed) {
  if (!fact.decisions?.length) return null;
  const last = fact.decisions.filter((one) => !one.undone).at(-1);
  return fold(`Decisions (${fact.decisions.length})`, h("ul.plain", null, fact.decisions.map((one) => h("li", null,
    `${one.decision.toLowerCase()}, ${time(one.decided_at)}`, one.undone ? badge("undone", "plain") : null,
    one === last ? act("Undo", async () => {
      if (!await confirm("Undo this decision?", "The fact goes back to what it was before.", "Undo", { isDangerous: false })) return;
      await undo(one.id, changed);
      box.close();
    }, ".quiet") : null, h("br"), h("span.soft.small", null, told_reasons(one.reasons))))));
}

const told_reasons = (reasons) => (Array.isArray(reasons) ? reasons : Object.values(reasons || {})).filter((one) => typeof one === "string").join("; ");

/** A form for a new fact about a person. */
export async function stateFact(person, changed) {
  const known = has("GET /v1/predicates") ? await all("/v1/predicates", "predicates") : [];
  dialog(`A fact about ${person}`, (box) => {
    const list = h("datalist", { id: "predicates" }, known.map((one) => h("option", { value: words(one.name) })));
    const predicate = h("input", { required: true, list: "predicates", autocomplete: "off", placeholder: "lives in" });
    const object = h("input", { required: true, autocomplete: "off", placeholder: "Lisbon" });
    const from = h("input", { type: "date" });
    const to = h("input", { type: "date" });
    const button = h("button.main", { type: "submit" }, "Keep it");
    return h("form", { onsubmit: (event) => { event.preventDefault(); attempt(save, button); } }, list,
      field("What", predicate, "Choose one that is known, or word a new one."), field("Value", object),
      h("div.row", null, field("From", from), field("Until", to)), h("div.actions", null, button));

    async function save() {
      const name = predicate.value.trim().replace(/\s+/g, "_");
      const isKnown = known.some((one) => one.name === name);
      const answer = await post("/v1/facts", { person, predicate: name, object: object.value.trim(), new: !isKnown,
        ...(from.value ? { from: from.value } : {}), ...(to.value ? { to: to.value } : {}) });
      box.close();
      await changed();
      toast("Kept.", answer.decision ? { undo: () => undo(answer.decision, changed) } : {});
    }
  });
}
