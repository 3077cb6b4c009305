// Facts on a line of time: a lane for each predicate, a bar for each interval. Bars are buttons in the order of time.

import { h } from "../dom.js";
import { span, words } from "../ui.js";

const ROW = 1.95; // rem
const LEAST = 6; // percent of the width: what a finger can meet

/** {element, from, until, mark(moment, holding)}: `mark` draws the cursor and fades what did not hold then. */
export function timeline(facts, open) {
  const known = facts.flatMap((fact) => [fact.valid_from, fact.valid_to]).filter(Boolean).map((text) => new Date(text));
  const now = new Date();
  const first = new Date(Math.min(...known, now.getTime() - 86400000 * 30));
  const scale = { from: first, until: now, at: (moment) => ((moment - first) / (now - first)) * 100 };
  const bars = [];
  const cursors = [];
  const lanes = [...group(facts)].map(([predicate, some]) => {
    const cursor = h("div.cursor", { "aria-hidden": "true", hidden: true });
    cursors.push(cursor);
    const track = h("div.track", null, cursor);
    const height = stack(some, scale).map(({ fact, left, width, row }) => {
      const bar = drawn(fact, left, width, row, () => open(fact));
      bars.push([fact, bar]);
      track.append(bar);
      return row + 1;
    });
    track.style.height = `${Math.max(...height) * ROW}rem`;
    return h("div.lane", null, h("span", null, words(predicate)), track);
  });
  const element = h("div.timeline", null, years(scale), lanes);
  return { element, from: first, until: now, mark: (moment, holding) => mark(bars, cursors, scale, moment, holding) };
}

function group(facts) {
  const lanes = new Map();
  const inOrder = [...facts].sort((a, b) => String(a.valid_from || "").localeCompare(String(b.valid_from || "")));
  for (const fact of inOrder) lanes.set(fact.predicate, [...(lanes.get(fact.predicate) || []), fact]);
  return lanes;
}

/** Rows in which no two bars meet. */
function stack(facts, scale) {
  const ends = [];
  return facts.map((fact) => {
    const left = Math.min(100 - LEAST, Math.max(0, fact.valid_from ? scale.at(new Date(fact.valid_from)) : 0));
    const until = fact.valid_to ? Math.min(100, scale.at(new Date(fact.valid_to))) : 100;
    const width = Math.max(LEAST, until - left);
    let row = ends.findIndex((end) => end <= left + 0.01);
    if (row < 0) row = ends.push(0) - 1;
    ends[row] = left + width;
    return { fact, left, width, row };
  });
}

function drawn(fact, left, width, row, onclick) {
  const told = `${words(fact.predicate)} ${fact.object}, ${span(fact.valid_from, fact.valid_to) || "time unknown"}, ${fact.status}`;
  const kinds = [fact.status, fact.valid_to ? "" : "open", fact.valid_from ? "" : "unknown-start"].filter(Boolean);
  return h(`button.bar-fact.${kinds.join(".")}`, {
    type: "button", onclick, title: told, "aria-label": told,
    style: { left: `${left}%`, width: `${Math.min(width, 100 - left)}%`, top: `${row * ROW}rem` },
  }, fact.object);
}

function years(scale) {
  const span = scale.until.getUTCFullYear() - scale.from.getUTCFullYear();
  const step = Math.max(1, Math.ceil(span / 8));
  const ticks = [];
  for (let year = scale.from.getUTCFullYear(); year <= scale.until.getUTCFullYear(); year += step) {
    const place = scale.at(Date.UTC(year, 0, 1));
    if (place >= 0 && place <= 94) ticks.push(h("b", { style: { left: `${place}%` } }, year));
  }
  return h("div.years", { "aria-hidden": "true" }, h("span"), h("div", null, ticks));
}

function mark(bars, cursors, scale, moment, holding) {
  for (const cursor of cursors) {
    cursor.hidden = !moment;
    if (moment) cursor.style.left = `${scale.at(moment)}%`;
  }
  for (const [fact, bar] of bars) bar.classList.toggle("off", Boolean(moment) && !holding.has(fact.id));
}
