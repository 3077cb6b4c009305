// What a person felt, month by month: a row for each of the strongest feelings, a bar for each month.

import { h, s } from "../dom.js";
import { count, empty, fold, table } from "../ui.js";

const MOST = 7; // rows
const WIDTH = 720, LEFT = 120, RIGHT = 10, ROW = 46, TOP = 8, FOOT = 22;

export async function feelings(card) {
  const months = card.emotions;
  if (!months.length) return empty("No feelings were read yet", `They are read in what ${card.name} writes, once messages are imported.`);
  const rows = strongest(months);
  return h("section.feelings", null,
    h("p.soft", null, "The height of a bar is how strong a feeling was in the messages of that month, all taken together; each row has its own scale."),
    h("div.card", null, drawing(card.name, months, rows)),
    fold("The same as a table", table(["month", "feeling", "messages", "mean strength (0 to 10)"],
      months.flatMap((one) => one.felt.map((felt) => [one.month, felt.concept, felt.messages, felt.intensity.toFixed(1)])), "Feelings by month")));
}

const weight = (felt) => (felt ? felt.messages * felt.intensity : 0);

function strongest(months) {
  const sums = new Map();
  for (const { felt } of months) for (const one of felt) sums.set(one.concept, (sums.get(one.concept) || 0) + weight(one));
  return [...sums].sort((a, b) => b[1] - a[1]).slice(0, MOST).map(([concept]) => concept);
}

function drawing(name, months, rows) {
  const height = TOP + rows.length * ROW + FOOT;
  const step = (WIDTH - LEFT - RIGHT) / months.length;
  const parts = rows.flatMap((concept, row) => {
    const floor = TOP + (row + 1) * ROW - 8;
    const values = months.map((one) => one.felt.find((felt) => felt.concept === concept));
    const most = Math.max(...values.map(weight));
    return [
      s("text.name", { x: LEFT - 12, y: floor - 8, "text-anchor": "end" }, concept),
      s("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: floor, y2: floor }),
      values.map((felt, at) => (felt ? bar(felt, months[at].month, LEFT + at * step, floor, step, (weight(felt) / most) * (ROW - 16)) : null)),
    ];
  });
  const labels = ticks(months, step).map(([text, x]) => s("text", { x, y: height - 4, "text-anchor": "middle" }, text));
  return s("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": `Feelings of ${name} by month; the table below says the same` }, parts, labels);
}

function bar(felt, month, x, floor, step, tall) {
  const width = Math.min(26, Math.max(1, step - 3));
  return s("rect", { x: (x + (step - width) / 2).toFixed(1), y: (floor - tall).toFixed(1), width: width.toFixed(1), height: tall.toFixed(1), rx: 2 },
    s("title", null, `${month}: ${felt.concept} in ${count(felt.messages, "message")}, strength ${felt.intensity.toFixed(1)}`));
}

function ticks(months, step) {
  const every = Math.ceil(months.length / 8);
  return months.map((one, at) => [one.month, LEFT + (at + 0.5) * step]).filter((_, at) => at % every === 0);
}
