// What the weights learnt, step by step: each recipe is a version that can be compared, left out of, or served again.

import { all, at, get, has, post } from "../api.js";
import { h, put } from "../dom.js";
import { act, badge, confirm, count, empty, fold, heading, loading, problem, table, time, toast, words } from "../ui.js";

const SIGNS = { added: "learnt", removed: "left out", scaled: "weighed anew", moved: "moved", rule: "merged otherwise", base: "another base model" };

export async function view(place) {
  const list = h("div");
  put(place, heading("Weights", "What nights taught the language model, one step after another. Any step can be taken back; nothing is lost by it."), list);
  await draw(list);
  return null;
}

async function draw(list) {
  const found = await all("/v1/recipes", "recipes", { all: true });
  if (!found.length) {
    return void put(list, empty("The weights know nothing yet", "After a night that passes its exam, what it taught appears here.", h("a.button", { href: "#/nights" }, "To the nights")));
  }
  put(list, h("ol.plain", null, found.map((one) => card(one, found, () => draw(list).catch((error) => put(list, problem(error)))))));
}

function card(one, every, changed) {
  const inside = h("div");
  const serving = every.find((other) => other.serves);
  const open = async (fill) => {
    put(inside, loading());
    try {
      put(inside, await fill());
    } catch (error) {
      put(inside, problem(error));
    }
  };
  return h("li.card", null, h("h2", null, time(one.at), " ", one.serves ? badge("serves now", "good") : null, one.tainted ? badge("holds what was erased", "bad") : null,
    one.tags.map((tag) => [" ", badge(tag, "plain")])),
  h("p.soft.small", null, h("code", null, one.recipe.slice(0, 12)), ` · ${count(one.n, "vector")}`, one.night ? [" · ", h("a", { href: at`#/nights/${one.night}` }, "its night")] : " · made by hand"),
  one.broken ? h("p.problem", null, one.broken) : changes(one.changes),
  h("div.actions", null, act("What it is made of", () => open(() => entries(one, changed))),
    serving && !one.serves ? act("Compare with what serves", () => open(() => difference(one))) : null,
    !one.serves && !one.tainted && has("POST /v1/recipes/apply") ? act("Let this one serve", () => serve(one.recipe, serving?.recipe, changed)) : null,
    one.serves && has("POST /v1/recipes/mend") ? act("Train again what was lost", () => open(() => mend(one, changed))) : null,
    one.serves && has("POST /v1/recipes/apply") ? act("Serve the plain model", () => serve("base", one.recipe, changed)) : null), inside);
}

function changes(list) {
  if (!list?.length) return null;
  return h("ul", null, list.map((one) => h("li", null, badge(SIGNS[one.change] || one.change, one.change === "removed" ? "warm" : one.change === "added" ? "good" : ""), " ",
    one.person ? `style of ${one.person}` : one.label || (one.night ? `night ${one.night.slice(0, 8)}` : one.vector?.slice(0, 8) || ""),
    one.before !== null && one.after !== null && one.before !== undefined && one.after !== undefined ? `, ${one.before} to ${one.after}` : "")));
}

async function difference(one) {
  const found = await get(at`/v1/recipes/${one.recipe}/diff`);
  return [h("h3", null, "From this one to what serves"), found.changes.length ? changes(found.changes) : h("p.soft", null, "They are the same.")];
}

async function entries(one, changed) {
  const found = await get(at`/v1/recipes/${one.recipe}`);
  if (!found.entries.length) return h("p.soft", null, "Nothing: it is the plain model.");
  const out = (entry) => (one.serves && has("POST /v1/recipes/revert") ? act("Take it out", () => takeOut(one, entry, changed), ".quiet") : "");
  return [table(["what", "learnt from", "coefficient", "norm", ""], found.entries.map((entry) => [
    entry.person ? `style of ${entry.person}` : entry.label || (entry.night ? `night ${entry.night.slice(0, 8)}` : entry.vector.slice(0, 8)),
    (entry.about || []).map((about) => about.name).filter(Boolean).slice(0, 6).join(", "), entry.coefficient.toFixed(2),
    entry.norm === null ? badge(entry.broken || "missing", "bad") : entry.norm.toFixed(3), out(entry)]), "What it is made of"),
  fold("For programs", h("dl.pairs", null, [["recipe", found.recipe], ["base", found.base], ["rule", found.rule]].map(([name, value]) => [h("dt", null, words(name)), h("dd", null, h("code", null, value || "–"))])))];
}

async function serve(recipe, before, changed) {
  const name = recipe === "base" ? "the plain model, without anything learnt" : "this recipe";
  if (!await confirm("Let another one serve?", [`From the next message on, ${name} answers.`, "You can go back at any time."], "Let it serve", { isDangerous: false })) return;
  await post("/v1/recipes/apply", { recipe });
  await changed();
  toast("It serves now.", { undo: async () => { await post("/v1/recipes/apply", { recipe: before || "base" }); await changed(); } });
}

async function takeOut(one, entry, changed) {
  if (!await confirm("Take this out of the weights?", ["A new recipe without it is made and serves.", "The old one stays and can serve again."], "Take it out", { isDangerous: false })) return;
  await post("/v1/recipes/revert", { entries: [entry.night || entry.vector] });
  await changed();
  toast("It is out.", { undo: async () => { await post("/v1/recipes/apply", { recipe: one.recipe }); await changed(); } });
}

// Answers what stands below the card where nothing was added; else the whole list is drawn again.
async function mend(one, changed) {
  const done = await post("/v1/recipes/mend", {});
  if (done.why) return h("p.soft", null, `Nothing was added: ${done.why}.`);
  await changed();
  toast(`${count(done.lost, "fact")} trained again.`, { undo: async () => { await post("/v1/recipes/apply", { recipe: one.recipe }); await changed(); } });
  return "";
}
