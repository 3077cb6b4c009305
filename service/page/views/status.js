// How the memory is: colours, what waits, what it costs, whether it agrees with itself, and the way out with everything.

import { at, get, has, inSpace, post } from "../api.js";
import { h, put } from "../dom.js";
import { act, badge, choice, count, field, fold, heading, show, table, time, toast, words } from "../ui.js";

export async function view(place) {
  const parts = [
    ["GET /v1/status", "Now", now], ["GET /v1/jobs", "Long work", jobs], ["GET /v1/pending", "Not read yet", pending],
    ["GET /v1/budget", "What the language model cost", budget], ["GET /v1/verify", "Whether all of it is sound", soundness],
    ["GET /v1/ledger", "Ledger", ledger], ["GET /v1/export", "Take everything with you", leaving],
  ].filter(([route]) => has(route));
  put(place, heading("Status"), colours());
  for (const [, title, fill] of parts) {
    const box = h("div");
    place.append(h("section", null, h("h2", null, title), box));
    show(box, fill);
  }
  return null;
}

function colours() {
  const chosen = choice([["", "as the system has it"], ["light", "light"], ["dark", "dark"]], localStorage.getItem("slowwave.theme") || "");
  chosen.addEventListener("change", () => {
    if (chosen.value) localStorage.setItem("slowwave.theme", chosen.value);
    else localStorage.removeItem("slowwave.theme");
    document.documentElement.dataset.theme = chosen.value;
    if (!chosen.value) delete document.documentElement.dataset.theme;
  });
  const out = has("POST /v1/logout") ? act("Sign out", async () => { await post("/v1/logout"); location.reload(); }) : null;
  return h("div.row", null, field("Colours", chosen), out);
}

const size = (bytes) => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.ceil(bytes / 1e6)} MB`);

const pairs = (rows) => h("dl.pairs", null, rows.filter(([, value]) => value).map(([name, value]) => [h("dt", null, name), h("dd", null, value)]));

async function now() {
  const found = await get("/v1/status");
  return [found.spaces.map((space) => h("div.card", null, h("h3", null, space.space), pairs([
    ["Tonight", space.running ? h("a", { href: at`#/nights/${space.running.run}` }, `asleep since ${time(space.running.started)}`) : space.next ? `the next night is at ${time(space.next)}` : "no night is planned"],
    ["Last night", space.last ? h("a", { href: at`#/nights/${space.last.run}` }, `${words(space.last.status)}, ${time(space.last.started)}`) : ""],
    ["Waits", space.waits ? `a night, since ${time(space.waits.since)}` : ""],
    ["Not read yet", Object.values(space.pending).reduce((a, b) => a + b, 0) || ""]]))),
  pairs([["Running since", found.daemon ? time(found.daemon.started_at ?? found.daemon.started) : ""], ["Memory of the daemon", found.daemon?.bytes ? size(found.daemon.bytes) : ""],
    ["Store", found.store.bytes ? `${size(found.store.bytes)}, ${found.store.kind}` : found.store.kind], ["Free on the disk", found.disk_free_bytes ? size(found.disk_free_bytes) : ""]])];
}

async function jobs() {
  const list = (await get("/v1/jobs", { limit: 20 })).jobs;
  if (!list.length) return h("p.soft", null, "Nothing is being done.");
  return table(["what", "state", "since", "why"], list.map((one) => [words(one.kind), badge(one.state, { done: "good", failed: "bad" }[one.state] || "plain"), time(one.started ?? one.queued), one.why || ""]), "Long work");
}

async function pending() {
  const found = await get("/v1/pending");
  if (!found.n) return h("p.soft", null, "Everything was read.");
  return [table(["what", "how many", "why"], found.waiting.map((one) => [words(one.kind), one.n, one.meaning]), "Not read yet"),
    act("Try again now", async () => { const done = await post("/v1/pending/drain"); toast(`${count(done.read ?? 0, "message")} read.`); })];
}

async function budget() {
  const { backend, today } = await get("/v1/budget");
  return h("p", null, backend ? `${backend}: today ${count(today.requests, "request")}, ${(today.tokens_in + today.tokens_out).toLocaleString()} tokens${today.cost ? `, ${today.cost}` : ""}` : "No language model of elsewhere is asked; nothing costs anything.");
}

async function soundness() {
  const place = h("div");
  return [act("Look through everything", () => show(place, async () => {
    const found = await get("/v1/verify");
    return [h("p", null, found.sound ? badge("sound", "good") : badge(count(found.problems.length, "problem"), "bad"), ` ${Object.entries(found.counts).map(([what, n]) => `${n.toLocaleString()} ${words(what)}`).join(", ")}`),
      found.problems.map((one) => h("p.problem", null, `${one.what} ${one.remedy ? `(${one.remedy})` : ""}`))];
  }, "Looking")), place];
}

async function ledger() {
  const found = await get("/v1/ledger", { limit: 20 });
  const list = Array.isArray(found) ? found : found.entries || [];
  if (!list.length) return h("p.soft", null, "Empty.");
  return fold(`The newest ${list.length}`, table(["", "when", "what", "hash"], list.map((one) => [one.seq, time(one.at), words(one.kind), h("code", null, one.hash.slice(0, 12))]), "Ledger"));
}

const leaving = async () => h("a.button", { href: inSpace("/v1/export"), download: "slowwave.jsonl" }, "Save an export");
