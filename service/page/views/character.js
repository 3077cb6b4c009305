// How somebody is: the principles of their constitution with what each rests on, habits of writing, what they do again and again.

import { all, at, get, has } from "../api.js";
import { h } from "../dom.js";
import { badge, count, empty, fold, quotes, time, words } from "../ui.js";

export async function character(card) {
  const [written, patterns] = await Promise.all([
    get(at`/v1/people/${card.name}/constitution`, { evidence: true }),
    has("GET /v1/people/{name}/patterns") ? all(at`/v1/people/${card.name}/patterns`, "patterns") : [],
  ]);
  if (!written.lines.length && !patterns.length && !written.habits) {
    return empty("Nothing is written yet", "After a night or two, what somebody holds dear and how they write stands here.",
      h("a.button", { href: "#/nights" }, "To the nights"));
  }
  return h("div", null, principles(written), repeated(patterns), habits(written.habits));
}

function principles(written) {
  if (!written.lines.length) return null;
  return h("section", null, h("h2", null, "What they hold to"),
    h("p.soft.small", null, `Version ${written.version}, written by ${written.author === "night" ? "a night" : "a person"}, ${time(written.at)}`),
    written.lines.map((line) => h("div.card", null, h("p", null, line.text, " ", badge(words(line.kind)), line.weak ? badge("weak", "plain") : null),
      line.evidence?.length ? fold(count(line.evidence.length, "message"), quotes(line.evidence)) : null)));
}

function repeated(patterns) {
  if (!patterns.length) return null;
  return h("section", null, h("h2", null, "Again and again"), h("ul", null, patterns.map((one) =>
    h("li", null, one.pattern, " ", badge(one.kind === "told" ? "says so" : "was counted", "plain")))));
}

function habits(found) {
  if (!found) return null;
  const percent = (share) => `${Math.round(share * 100)} %`;
  const rows = [
    found.words?.median ? ["Length", `${found.words.median} words in the middle`] : null,
    found.emoji?.share ? ["Emoji", `in ${percent(found.emoji.share)} of messages ${found.emoji.favourites.slice(0, 5).map((one) => one.text).join(" ")}`] : null,
    found.lowercase_share ? ["Only small letters", `in ${percent(found.lowercase_share)} of messages`] : null,
    found.active_hours && found.active_hours.from !== null ? ["Writes", `from ${found.active_hours.from}:00 to ${found.active_hours.to}:00`] : null,
    found.reply_minutes?.median ? ["Answers after", `${Math.round(found.reply_minutes.median)} minutes in the middle`] : null,
  ].filter(Boolean);
  return h("section", null, h("h2", null, "How they write"),
    h("dl.pairs", null, rows.map(([name, value]) => [h("dt", null, name), h("dd", null, value)])));
}
