// One person: what held when, on a line of time and in words; feelings, ties and character under their own tabs.

import { all, at, get, has } from "../api.js";
import { h, put } from "../dom.js";
import { count, day, empty, fold, heading, problem, settled, show, words } from "../ui.js";
import { factCard, openFact, stateFact } from "./fact.js";
import { timeline } from "./timeline.js";

const TABS = [["", "Facts"], ["feelings", "Feelings"], ["ties", "Ties"], ["character", "Character"]];

export async function view(place, [name, tab = ""]) {
  const card = await get(at`/v1/people/${name}`);
  const inside = h("div");
  put(place, h("a.crumb", { href: "#/people" }, "← All people"), top(card), tabs(card.name, tab), inside);
  await show(inside, () => TAB[tab]?.(card) ?? problem(new Error("this page has no such part")));
  return null;
}

const TAB = {
  "": facts,
  feelings: async (card) => (await import("./feelings.js")).feelings(card),
  ties,
  character: async (card) => (await import("./character.js")).character(card),
};

function top(card) {
  const said = card.messages;
  const lines = [
    card.aliases?.length ? `also ${card.aliases.join(", ")}` : null,
    said.count ? `${count(said.count, "message")}, ${day(said.first)} to ${day(said.last)}` : "has not spoken here",
    card.consent ? "may be simulated" : null,
  ].filter(Boolean);
  const links = [
    card.speaks && has("POST /v1/chat") ? h("a.button", { href: at`#/talk/${card.name}` }, "Talk with a simulation") : null,
    has("GET /v1/graph") ? h("a.button", { href: at`#/graph/${card.name}` }, "Explore") : null,
  ];
  return heading(card.name, lines.join(" · "), links);
}

function tabs(name, chosen) {
  const shown = TABS.filter(([path]) => path !== "feelings" || has("GET /v1/people/{name}/emotions"));
  return h("nav.tabs", { "aria-label": "About this person" }, shown.map(([path, word]) =>
    h("a", { href: at`#/people/${name}` + (path && `/${path}`), "aria-current": path === chosen ? "page" : null }, word)));
}

async function facts(card) {
  const every = await all(at`/v1/people/${card.name}/facts`, "facts", { history: true });
  const again = async () => put(root, await facts(card));
  const root = h("div");
  const add = has("POST /v1/facts")
    ? h("button", { type: "button", onclick: () => stateFact(card.name, again) }, "Add a fact") : null;
  if (!every.length) {
    return put(root, empty("Nothing is known yet", `What ${card.name} says about themselves, and what others say of them, `
      + "appears here once it was read.", add));
  }
  const held = h("div.topics");
  const line = timeline(every, (fact) => openFact(fact.id, again));
  const reading = h("p.soft", { role: "status" });
  const move = async (moment) => {
    const asOf = moment && moment.toISOString().slice(0, 10);
    const now = await all(at`/v1/people/${card.name}/facts`, "facts", { as_of: asOf });
    line.mark(moment, new Set(now.map((fact) => fact.id)));
    put(reading, asOf ? `What held on ${day(moment)}: ${count(now.length, "fact")}.` : `What holds today: ${count(now.length, "fact")}.`);
    drawTopics(held, now, (fact) => openFact(fact.id, again));
  };
  await move(null);
  return put(root, slider(line, move), reading, held,
    h("section", null, h("h2", null, "Over time"), h("p.soft.small", null,
      "A bar lasts as long as its fact held; faded ones were superseded, red ones are contested, dashed ones are not decided yet."),
    line.element), h("div.actions", null, add),
    fold(`Everything that was ever recorded (${every.length})`, every.map((fact) => factCard(fact, () => openFact(fact.id, again)))));
}

function slider(line, move) {
  const days = Math.max(1, Math.round((line.until - line.from) / 86400000));
  const output = h("output", null, "today");
  const range = h("input", { type: "range", min: 0, max: days, step: 1, value: days, "aria-label": "As of which day" });
  const late = settled((moment) => move(moment).catch((error) => put(output, error.message)));
  range.addEventListener("input", () => {
    const isToday = Number(range.value) === days;
    const moment = isToday ? null : new Date(line.from.getTime() + range.value * 86400000);
    const told = isToday ? "today" : day(moment);
    put(output, told);
    range.setAttribute("aria-valuetext", told);
    late(moment);
  });
  range.setAttribute("aria-valuetext", "today");
  return h("div.card.asof", null, range, output,
    h("small.soft", null, "Move it to see what was known to hold on another day."));
}

function drawTopics(place, facts, open) {
  const kinds = Map.groupBy ? Map.groupBy(facts, (fact) => fact.kind) : null;
  const order = [["fixed", "Stays"], ["slow", "These years"], ["passing", "For now"]];
  const rest = facts.filter((fact) => !order.some(([kind]) => kind === fact.kind));
  const parts = order.map(([kind, word]) => [word, kinds ? kinds.get(kind) || [] : facts.filter((fact) => fact.kind === kind)]);
  put(place, [...parts, ["Other", rest]].filter(([, some]) => some.length).map(([word, some]) =>
    h("section", null, h("h2", null, word), some.map((fact) => factCard(fact, () => open(fact))))));
}

async function ties(card) {
  const found = card.relations;
  if (!found.length) return empty("No ties are known", "Family, friends and colleagues appear here when somebody speaks of them.");
  return h("ul.plain", null, found.map((tie) => h("li.card", null,
    h("a", { href: at`#/people/${tie.object.name ?? tie.object}` }, tie.object.name ?? tie.object),
    h("span.soft", null, ` · ${words(tie.predicate)}`), tie.valid_from ? h("span.soft", null, ` · since ${day(tie.valid_from)}`) : null)));
}
