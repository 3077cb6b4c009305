// Nights: begin one, watch it, read what it did. While one runs its stages are followed; the list is kept up to date.

import { at, events, get, has, inSpace, post, some } from "../api.js";
import { h, put } from "../dom.js";
import { act, badge, confirm, count, empty, heading, problem, show, table, time, toast, words } from "../ui.js";
import { openFact } from "./fact.js";

const STAGES = ["select", "extract", "score", "check", "decide", "dream", "train", "exam", "merge", "readout", "constitution", "publish", "report"];
const KINDS = { done: "good", running: "", refused: "warm", failed: "bad", interrupted: "plain" };
const LIVE = "GET /v1/runs/{run_id}/events";
const POLL_MS = 1500;

export async function view(place, [id]) {
  return id ? night(place, id) : list(place);
}

async function list(place) {
  const runs = await some("/v1/runs", "runs");
  const running = runs.find((run) => run.status === "running");
  const begin = act("Let it sleep now", start, ".main");
  put(place, heading("Nights", "At night it decides what is worth keeping and learns it. Each decision can be looked at and undone.",
    running ? h("a.button.main", { href: at`#/nights/${running.run}` }, "Watch tonight") : begin),
  runs.length ? h("div", null, runs.map(row)) : empty("No night has passed yet",
    "The first one reads what was imported, keeps what is sound and asks you about the rest. It takes minutes on a laptop and can be stopped at any time."));
  return null;
}

function row(run) {
  return h("a.card.button", { href: at`#/nights/${run.run}`, style: { display: "flex", justifyContent: "space-between", width: "100%" } },
    h("span", null, time(run.started)), h("span", null, run.published ? badge("published", "good") : null, " ", badge(words(run.status), KINDS[run.status])));
}

async function start() {
  const isWanted = await confirm("Let it sleep now?", ["It uses this machine for some minutes to learn what was imported.",
    "It can be stopped; the next night goes on where it stood."], "Begin the night", { isDangerous: false });
  if (!isWanted) return;
  const begun = await post("/v1/sleep", {});
  location.hash = at`#/nights/${begun.run}`;
}

async function night(place, id) {
  const inside = h("div");
  const stop = new AbortController();
  put(place, h("a.crumb", { href: "#/nights" }, "← All nights"), inside);
  const first = await get(at`/v1/runs/${id}`);
  draw(inside, first);
  if (first.status === "running") follow(inside, id, stop.signal);
  return () => stop.abort();
}

async function follow(inside, id, signal) {
  try {
    if (has(LIVE)) {
      for await (const { event, data } of events("GET", at`/v1/runs/${id}/events`, { signal })) {
        if (data && data.stages) draw(inside, data);
        else if (event === "end") break;
      }
    }
    for (let run = await get(at`/v1/runs/${id}`, null, { signal }); ; run = await get(at`/v1/runs/${id}`, null, { signal })) {
      draw(inside, run);
      if (run.status !== "running") break;
      await new Promise((wake) => setTimeout(wake, POLL_MS));
      if (signal.aborted) return;
    }
    toast("The night is over.");
  } catch (error) {
    if (error.name !== "AbortError") inside.append(problem(error));
  }
}

function draw(inside, run) {
  const made = h("div", null,
    heading(`Night of ${time(run.started)}`, run.finished ? `until ${time(run.finished)}` : "still asleep"),
    h("p", null, badge(words(run.status), KINDS[run.status]), " ", run.published ? badge("published", "good") : null),
    run.error ? h("p.problem", null, run.error) : null,
    h("div.stages", { "aria-label": "Stages", role: "list" }, STAGES.map((name) => stage(name, run))),
    decided(run), exam(run.exam), h("div.actions", null,
      run.report ? h("a.button", { href: inSpace(run.report), target: "_blank", rel: "noopener" }, "Read the whole report") : null,
      has("GET /v1/review") ? h("a.button", { href: "#/review" }, "What waits for you") : null));
  put(inside, [...made.childNodes]);
}

function stage(name, run) {
  const found = run.stages.find((one) => one.name === name);
  const doing = run.doing?.stage === name ? run.doing : null;
  const status = doing ? "running" : found ? found.status : "waiting";
  const counts = Object.entries(found?.counts || {}).filter(([, n]) => n).map(([what, n]) => `${words(what)} ${n}`).join(", ");
  return h(`div.stage.${status}`, { role: "listitem" }, h("span", { "aria-hidden": "true" }, status === "done" ? "✓" : doing ? "●" : "·"),
    h("span", null, name, h("span.hidden", null, `, ${status}`)),
    doing?.total ? h("progress", { value: doing.done, max: doing.total, "aria-label": `${name}: ${doing.done} of ${doing.total}` }) : h("span.soft.small", null, counts),
    h("span.soft.small", null, found?.seconds ? `${found.seconds.toFixed(1)} s` : ""));
}

/** What this night decided about facts; each opens with its messages and its undo. */
function decided(run) {
  if (run.status === "running" || !has("GET /v1/decisions")) return null;
  const inside = h("div");
  const box = h("details", null, h("summary", null, "What it decided"), inside);
  box.addEventListener("toggle", () => {
    if (!box.open || inside.hasChildNodes()) return;
    show(inside, async () => {
      const found = (await some("/v1/decisions", "decisions")).filter((one) => one.run === run.run);
      if (!found.length) return h("p.soft", null, "Nothing about facts.");
      return h("ul.plain", null, found.map((one) => h("li", null, badge(one.decision.toLowerCase(), one.decision === "STORE" ? "good" : "plain"), one.undone ? badge("undone", "warm") : null,
        h("button.quiet", { type: "button", onclick: () => openFact(one.fact) }, "Look at the fact"))));
    });
  });
  return box;
}

function exam(found) {
  const names = Object.keys(found || {});
  if (!names.length) return null;
  const numbers = [...new Set(names.flatMap((name) => Object.keys(found[name] || {})))].filter((one) => one !== "n" && names.some((name) => typeof found[name][one] === "number"));
  const shown = (value) => (typeof value === "number" ? value.toFixed(3) : "");
  return h("section", null, h("h2", null, "What it knows in the morning"),
    h("p.soft.small", null, `Questions that were never trained on; ${count(names.length, "way")} to answer them beside each other.`),
    table(["", ...names], numbers.map((one) => [words(one), ...names.map((name) => shown(found[name][one]))]), "Exam"));
}
