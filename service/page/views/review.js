// What the night would not decide alone: accept, reject or correct, with the words it rests on. Each can be undone.

import { at, get, post } from "../api.js";
import { h, put } from "../dom.js";
import { act, attempt, count, empty, field, heading, problem, quotes, span, toast, words } from "../ui.js";
import { badges, factCard, openFact } from "./fact.js";

export async function view(place) {
  const list = h("div");
  const told = h("p.soft", { role: "status" });
  put(place, heading("Review", "Facts that contradict each other, or that somebody may have planted, wait here for you."), told, list);
  await page(list, told, null);
  return null;
}

async function page(list, told, after) {
  const found = await get("/v1/review", { limit: 20, after });
  put(told, found.waiting ? `${count(found.waiting, "fact")} ${found.waiting === 1 ? "waits" : "wait"}` : "");
  if (!found.items.length && !list.hasChildNodes()) {
    list.append(empty("Nothing waits for you", "When a night finds facts that do not go together, it asks here before it keeps either.",
      h("a.button", { href: "#/nights" }, "To the nights")));
  }
  for (const item of found.items) list.append(card(item, () => again(list, told)));
  if (found.next) {
    const more = act("Show more", async () => { more.remove(); await page(list, told, found.next); });
    list.append(more);
  }
}

async function again(list, told) {
  put(list);
  await page(list, told, null).catch((error) => put(list, problem(error)));
}

function card(item, changed) {
  const form = h("div");
  const settle = async (verdict, object) => {
    const done = await post(at`/v1/facts/${item.id}/settle`, object ? { verdict, object } : { verdict });
    await changed();
    const word = { accept: "Kept", reject: "Rejected", correct: "Corrected" }[verdict];
    toast(`${word}: ${item.subject} ${words(item.predicate)} ${object || item.object}`, { undo: async () => {
      for (const decision of [...done.decisions].reverse()) await post(at`/v1/decisions/${decision.id ?? decision}/undo`);
      await changed();
    } });
  };
  return h("article.card", null, h("h2.small", null, h("span.soft", null, `${item.subject} · ${words(item.predicate)}`)), h("p.answer", null, item.object),
    h("p.soft", null, [span(item.valid_from, item.valid_to), item.said_by ? `said by ${item.said_by}` : "", reasons(item.reasons)].filter(Boolean).join(" · ")),
    h("div.mood", null, badges(item)),
    item.messages.length ? quotes([...(item.before || []), ...item.messages]) : null,
    item.contested_with.length ? [h("h3", null, "Does not go together with"), item.contested_with.map((other) =>
      factCard(other, () => openFact(other.id, changed), true))] : null,
    h("div.actions", null, act("It is true", () => settle("accept"), ".main"), act("It is not", () => settle("reject")),
      h("button", { type: "button", onclick: () => put(form, correction(item, settle)) }, "Something else is"),
      h("button.quiet", { type: "button", onclick: () => openFact(item.id, changed) }, "More")), form);
}

const reasons = (given) => [].concat(given || []).filter((one) => typeof one === "string").join("; ");

function correction(item, settle) {
  const value = h("input", { required: true, value: item.object, autocomplete: "off" });
  const button = h("button.main", { type: "submit" }, "Keep this");
  queueMicrotask(() => value.focus());
  return h("form", { onsubmit: (event) => { event.preventDefault(); attempt(() => settle("correct", value.value.trim()), button); } },
    field(`${item.subject} · ${words(item.predicate)}, rightly`, value), h("div.actions", null, button));
}
