// Bringing conversations in: a file is sent, looked at, and only then imported by a job that is followed here.

import { at, events, get, has, headers, post, Problem, remove, some } from "../api.js";
import { h, put } from "../dom.js";
import { act, attempt, badge, count, day, field, fold, heading, loading, problem, quotes, show, table, toast, words } from "../ui.js";

const KINDS = "WhatsApp, Telegram, Signal, iMessage, Discord, Slack, Messenger, Instagram, e-mail, ChatGPT, Claude, CSV, JSON lines";

export async function view(place) {
  const inside = h("div");
  const stop = new AbortController();
  put(place, heading("Import", "An exported chat, as the app gave it. You see what is in it before anything is kept, and nothing leaves this machine."), inside);
  const running = has("GET /v1/jobs") ? (await some("/v1/jobs", "jobs", { limit: 100, kind: "import" })).find((job) => ["queued", "running"].includes(job.state)) : null;
  if (running) follow(inside, running, stop.signal);
  else await begin(inside, stop.signal);
  return () => stop.abort();
}

async function begin(inside, signal) {
  const file = h("input", { type: "file", required: true });
  const me = h("input", { autocomplete: "name" });
  const button = h("button.main", { type: "submit" }, "Look into it");
  const told = h("div");
  const waiting = h("div");
  const form = h("form.card", { onsubmit: (event) => { event.preventDefault(); attempt(() => send(inside, told, file.files[0], me.value.trim(), signal), button); } },
    field("The file", file, `${KINDS}. A zip is fine.`),
    fold("More", field("Your name in it", me, "Where an export calls you “Me” or “You”.")),
    h("div.actions", null, button), told);
  form.addEventListener("dragover", (event) => event.preventDefault());
  form.addEventListener("drop", (event) => { event.preventDefault(); if (event.dataTransfer.files.length) file.files = event.dataTransfer.files; });
  put(inside, form, waiting);
  show(waiting, async () => left(inside, await get("/v1/imports"), signal));
}

/** Uploads that were looked at and neither imported nor dropped. */
function left(inside, { uploads }, signal) {
  const open = uploads.filter((one) => !one.confirmed);
  if (!open.length) return null;
  return h("section", null, h("h2", null, "Sent before"), open.map((one) => h("div.card", null, h("strong", null, one.name), " ",
    h("span.soft", null, size(one.size_bytes)), h("div.actions", null,
      act("Look into it", () => look(inside, one.upload, signal)),
      act("Drop it", async () => { await remove(at`/v1/imports/${one.upload}`); await begin(inside, signal); })))));
}

async function send(inside, told, file, me, signal) {
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Sent" });
  put(told, h("p.soft", { role: "status" }, `Sending ${file.name}, ${size(file.size)}`), bar);
  try {
    const query = new URLSearchParams({ preview: "true", name: file.name, ...(me ? { me } : {}) });
    const preview = await upload(`/v1/imports?${query}`, file, (share) => { bar.value = share; if (share === 1) bar.removeAttribute("value"); }, signal);
    told_of(inside, preview, signal);
  } catch (error) {
    put(told);
    throw error;
  }
}

/** A POST whose progress is told; fetch cannot. */
function upload(address, body, progress, signal) {
  return new Promise((give, refuse) => {
    const request = new XMLHttpRequest();
    request.open("POST", address);
    request.responseType = "json";
    for (const [name, value] of Object.entries(headers({ "Content-Type": "application/octet-stream" }))) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => { if (event.lengthComputable) progress(event.loaded / event.total); };
    request.onload = () => (request.status < 300 ? give(request.response) : refuse(new Problem(request.status, request.response || {})));
    request.onerror = () => refuse(new Problem(0, { detail: "the daemon broke off; is it still running, and is the file too large for it?" }));
    signal.addEventListener("abort", () => request.abort());
    request.send(body);
  });
}

async function look(inside, id, signal) {
  put(inside, loading("Looking into it"));
  try {
    told_of(inside, await get(at`/v1/imports/${id}`), signal);
  } catch (error) {
    put(inside, problem(error, () => begin(inside, signal)));
  }
}

function told_of(inside, found, signal) {
  const { people, would } = found;
  const go = async () => follow(inside, await post(at`/v1/imports/${found.upload}`), signal);
  const drop = async () => { await remove(at`/v1/imports/${found.upload}`); await begin(inside, signal); };
  put(inside, h("section.card", null, h("h2", { tabindex: "-1" }, found.name || "What is in it"),
    h("p", null, badge(words(found.kind)), ` ${count(found.messages, "message")}, ${day(found.first)} to ${day(found.last)}`),
    would ? h("p.note", null, `Importing would add ${count(would.new, "message")}`, would.edited ? `, change ${would.edited}` : "", would.deleted ? `, take the words of ${would.deleted} that were deleted` : "", ".") : null,
    people ? h("p", null, people.n_new ? `New here: ${people.new.slice(0, 12).join(", ")}${people.n_new > 12 ? " …" : ""}. ` : "", people.n_known ? `Known already: ${people.known.slice(0, 12).join(", ")}.` : "") : null,
    (found.notes || []).map((note) => h("p.soft.small", null, note)),
    found.skipped?.length ? fold(`Left out (${found.skipped.length})`, table(["why", "how many"], found.skipped.map((one) => [words(one.reason), one.n]), "Left out")) : null,
    (found.conversations || []).slice(0, 5).map((one) => fold(`${one.name}, ${count(one.messages, "message")}`, quotes(one.sample || []))),
    h("div.actions", null, act("Import it", go, ".main"), act("Leave it", drop))));
  inside.querySelector("h2").focus();
}

async function follow(inside, job, signal) {
  const bar = h("progress", { "aria-label": "Progress" });
  const line = h("p", { role: "status" }, "Waiting for its turn");
  const cancel = act("Stop it", async () => { await remove(at`/v1/jobs/${job.job}`); toast("It ends at its next step."); });
  put(inside, h("section.card", null, h("h2", null, "Importing"), line, bar, h("div.actions", null, cancel)));
  const draw = (now) => {
    put(line, now.state === "queued" ? "Waiting for its turn" : now.step ? `${words(now.step)}${now.total ? `: ${now.done.toLocaleString()} of ${now.total.toLocaleString()}` : ""}` : words(now.state));
    if (now.total) { bar.max = now.total; bar.value = now.done; } else bar.removeAttribute("value");
  };
  try {
    let last = job;
    for await (const { event, data } of events("GET", at`/v1/jobs/${job.job}/events`, { signal })) {
      if (event === "problem") throw new Problem(data.status, data);
      last = data;
      draw(last);
    }
    ended(inside, last, signal);
  } catch (error) {
    if (error.name !== "AbortError") put(inside, problem(error, () => follow(inside, job, signal)));
  }
}

function ended(inside, job, signal) {
  const found = job.result || {};
  const numbers = Object.entries(found).filter(([, value]) => typeof value === "number" && value);
  put(inside, h("section.card", null, h("h2", { tabindex: "-1" }, job.state === "done" ? "It is here" : `It was ${job.state}`),
    job.why ? h("p.problem", null, job.why) : null,
    h("dl.pairs", null, numbers.map(([name, value]) => [h("dt", null, words(name)), h("dd", null, value.toLocaleString())])),
    h("div.actions", null, h("a.button.main", { href: "#/people" }, "To the people"), act("Import another", () => begin(inside, signal)))));
  inside.querySelector("h2").focus();
}

const size = (bytes) => (bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);
