// Everybody the space knows, to find by name; one person's page is in person.js.

import { at, get, has, pages, post, remove } from "../api.js";
import { h, put } from "../dom.js";
import { act, badge, confirm, count, empty, field, heading, problem, show, toast } from "../ui.js";

const SHOWN = 60; // cards at a time
const FEW = 500; // people

export async function view(place, [name, ...rest]) {
  if (name) return (await import("./person.js")).view(place, [name, ...rest]);
  const arriving = pages("/v1/people", "people");
  const people = [...(await arriving.next()).value];
  if (!people.length) return void put(place, heading("People"), welcome());
  const list = h("div.cards");
  const found = h("p.soft", { role: "status" });
  const draw = (wanted) => drawCards(list, found, people, wanted);
  const search = h("input", { type: "search", autocomplete: "off", placeholder: "A name", oninput: () => draw(search.value) });
  const pairs = h("div");
  put(place, heading("People", "Those who spoke come first."), field("Find somebody", search), found, list, pairs);
  draw("");
  const leave = new AbortController();
  others(arriving, people, () => draw(search.value), leave.signal).catch((error) => put(pairs, problem(error)));
  if (has("GET /v1/duplicates", "POST /v1/merges")) lookForDuplicates(pairs, people.length);
  return () => leave.abort();
}

/** Everybody else, while the first are looked at. */
async function others(arriving, people, draw, signal) {
  for await (const page of arriving) {
    if (signal.aborted) return;
    people.push(...page);
    draw();
  }
}

function welcome() {
  const first = has("POST /v1/imports")
    ? h("a.button.main", { href: "#/import" }, "Import a conversation")
    : h("code", null, "slowwave import FILE");
  return empty("Nobody is here yet", "Bring in an exported chat. Who speaks in it becomes a person here, with what they "
    + "said about themselves and each other. Nothing leaves this machine.", first);
}

const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

function drawCards(list, told, people, wanted) {
  const key = plain(wanted.trim());
  const found = people.filter((one) => [one.name, ...(one.aliases || [])].some((name) => plain(name).includes(key)));
  put(told, key ? `${count(found.length, "person", "people")} found` : count(people.length, "person", "people"),
    found.length > SHOWN ? `, the first ${SHOWN} are shown` : "");
  put(list, found.slice(0, SHOWN).map(card));
}

function card(person) {
  const names = (person.aliases || []).filter((one) => one !== person.name);
  return h("a.card", { href: at`#/people/${person.name}` },
    h("span.face", { "aria-hidden": "true" }, [...person.name][0].toUpperCase()),
    h("span", null, h("strong", null, person.name), h("br"),
      h("span.soft.small", null, names.length ? `also ${names.slice(0, 3).join(", ")}` : person.speaks ? "speaks here" : "spoken of")));
}

/** At once where it is cheap; with very many people only when it is asked for. */
function lookForDuplicates(place, n) {
  const look = () => show(place, async () => duplicates(await get("/v1/duplicates")));
  if (n < FEW) look();
  else put(place, h("div.actions", null, act("Look for people who are here twice", look)));
}

function duplicates(pairs) {
  if (!pairs.length) return null;
  return h("section", null, h("h2", null, "Perhaps one person"), pairs.slice(0, 10).map((pair) => {
    const keep = pair.keep.name ?? pair.keep;
    const other = pair.other.name ?? pair.other;
    const box = h("div.card", null, h("p", null, h("strong", null, keep), " and ", h("strong", null, other), " ",
      badge(`${Math.round(pair.likelihood * 100)} %`)), h("p.soft.small", null, pair.reasons.join("; ")),
    h("div.actions", null, act("They are one", () => merge(keep, other, box))));
    return box;
  }));
}

async function merge(kept, other, box) {
  const isWanted = await confirm(`Make one person of two?`, [`${other} becomes another name of ${kept}.`,
    "It can be undone."], "Make them one", { isDangerous: false });
  if (!isWanted) return;
  const done = await post("/v1/merges", { kept, other });
  box.remove();
  toast(`${other} is ${kept} now.`, { undo: async () => {
    await remove(at`/v1/merges/${done.merge}`);
    toast("They are two again.");
  } });
}
