// What a person felt over time: a row for each of the strongest feelings, a bar for each stretch of time.

import { at, get } from "../api.js";
import { h, s } from "../dom.js";
import { choice, count, empty, field, fold, show, table } from "../ui.js";

const MOST = 7; // rows
const WIDE = { width: 720, left: 120, ticks: 8 }, NARROW = { width: 340, left: 92, ticks: 4 };
const RIGHT = 10, ROW = 46, TOP = 8, FOOT = 22;
const STRETCHES = [["month", "month by month"], ["week", "week by week"], ["day", "day by day"], ["year", "year by year"]];

export async function feelings(card) {
  const inside = h("div");
  const by = choice(STRETCHES, "month");
  const draw = () => show(inside, async () => drawn(card.name, await get(at`/v1/people/${card.name}/emotions`, { by: by.value })));
  by.addEventListener("change", draw);
  await draw();
  return h("section.feelings", null, field("How fine", by), inside);
}

function drawn(name, { buckets, concepts }) {
  if (!concepts.length) return empty("No feelings were read yet", `They are read in what ${name} writes, once messages are imported.`);
  const rows = strongest(buckets);
  return [
    h("p.soft", null, "The height of a bar is how strong a feeling was in the messages of that time, all taken together; each row has its own scale."),
    h("div.card", null, drawing(name, buckets, rows)),
    fold("The same as a table", table(["from", "feeling", "messages", "mean strength (0 to 10)"],
      buckets.flatMap((one) => Object.entries(one.emotions).map(([concept, felt]) => [one.from.slice(0, 10), concept, felt.n, felt.mean.toFixed(1)])), "Feelings over time")),
  ];
}

const weight = (felt) => (felt ? felt.n * felt.mean : 0);

function strongest(buckets) {
  const sums = new Map();
  for (const { emotions } of buckets) for (const [concept, felt] of Object.entries(emotions)) sums.set(concept, (sums.get(concept) || 0) + weight(felt));
  return [...sums].sort((a, b) => b[1] - a[1]).slice(0, MOST).map(([concept]) => concept);
}

function drawing(name, buckets, rows) {
  const { width, left, ticks: most } = matchMedia("(max-width: 40rem)").matches ? NARROW : WIDE;
  const height = TOP + rows.length * ROW + FOOT;
  const first = Date.parse(buckets[0].from), last = Date.parse(buckets.at(-1).to);
  const x = (moment) => left + ((Date.parse(moment) - first) / (last - first)) * (width - left - RIGHT);
  const parts = rows.flatMap((concept, row) => {
    const floor = TOP + (row + 1) * ROW - 8;
    const peak = Math.max(...buckets.map((one) => weight(one.emotions[concept])));
    return [
      s("text.name", { x: left - 12, y: floor - 8, "text-anchor": "end" }, concept),
      s("line", { x1: left, x2: width - RIGHT, y1: floor, y2: floor }),
      buckets.filter((one) => one.emotions[concept]).map((one) => bar(concept, one, x, floor, (weight(one.emotions[concept]) / peak) * (ROW - 16))),
    ];
  });
  const labels = ticks(buckets, x, most).map(([text, spot]) => s("text", { x: spot, y: height - 4, "text-anchor": "middle" }, text));
  return s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Feelings of ${name} over time; the table below says the same` }, parts, labels);
}

function bar(concept, one, x, floor, tall) {
  const felt = one.emotions[concept];
  const room = x(one.to) - x(one.from);
  const width = Math.min(26, Math.max(1, room * 0.8));
  return s("rect", { x: (x(one.from) + (room - width) / 2).toFixed(1), y: (floor - tall).toFixed(1), width: width.toFixed(1), height: tall.toFixed(1), rx: Math.min(2, width / 3) },
    s("title", null, `${one.from.slice(0, 10)}: ${concept} in ${count(felt.n, "message")}, strength ${felt.mean.toFixed(1)}`));
}

function ticks(buckets, x, most) {
  const every = Math.ceil(buckets.length / most);
  return buckets.map((one) => [one.from.slice(0, 7), (x(one.from) + x(one.to)) / 2]).filter((_, place) => place % every === 0);
}
