// The daemon's `/v1` (docs/http.md). Every refusal is a Problem with the daemon's own line.

let space = localStorage.getItem("slowwave.space") || "";
let routes = new Set();
let onSignIn = () => {};

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `the daemon answered ${status}`);
    this.status = status;
    this.body = body;
  }
}

/** Which routes this daemon has: "GET /v1/people". Views without their route are not shown. */
export async function learnRoutes() {
  routes = new Set(await get("/page/routes"));
}

export const has = (...wanted) => wanted.every((route) => routes.has(route));

/** Called when the daemon asks for a token. */
export function whenSignInIsNeeded(handler) {
  onSignIn = handler;
}

export const currentSpace = () => space;

export function chooseSpace(name) {
  space = name;
  if (name) localStorage.setItem("slowwave.space", name);
  else localStorage.removeItem("slowwave.space");
}

/** A path with its parts escaped: at`/v1/people/${name}`. */
export function at(parts, ...values) {
  return parts.reduce((path, part, place) => path + encodeURIComponent(values[place - 1]) + part);
}

function address(path, query) {
  const given = Object.entries(query || {}).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const list = given.flatMap(([name, value]) => [].concat(value).map((one) => [name, one]));
  return list.length ? `${path}?${new URLSearchParams(list)}` : path;
}

// no form of another page can send the second one, so that the daemon knows this page by it
/** An address for a link, which sends no header: it names the space itself. */
export const inSpace = (path) => address(path, { space });

/** What every request says: that it is the page's own, which no other page can say, and which space it is about. */
export function headers(more) {
  return { "Slowwave-Request": "1", ...(space ? { "Slowwave-Space": encodeURIComponent(space) } : {}), ...more };
}

async function send(method, path, { query, body, ...options } = {}) {
  const isPlain = body !== undefined && !(body instanceof Blob) && !(body instanceof FormData);
  let answer;
  try {
    answer = await fetch(address(path, query), {
      method,
      credentials: "same-origin",
      ...options,
      headers: headers({ ...(isPlain ? { "Content-Type": "application/json" } : {}), ...options.headers }),
      body: isPlain ? JSON.stringify(body) : body,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { detail: "the daemon does not answer; is `slowwave serve` running?" });
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  if (answer.status === 401) onSignIn();
  throw new Problem(answer.status, told);
}

async function read(answer) {
  if (answer.status === 204) return null;
  return (answer.headers.get("content-type") || "").includes("json") ? answer.json() : answer.text();
}

export const request = send;
export const get = async (path, query, options) => read(await send("GET", path, { query, ...options }));
export const post = async (path, body, options) => read(await send("POST", path, { body, ...options }));
export const remove = async (path, query, options) => read(await send("DELETE", path, { query, ...options }));
export const set = async (path, body, query) => read(await send("PUT", path, { body, query }));

const PAGE = 1000; // rows, the most that a page of a list holds

/** A list that comes a page at a time, `{[name]: rows, next}`: its rows, page by page. */
export async function* pages(path, name, query) {
  for (let after = null; ;) {
    const page = await get(path, { limit: PAGE, ...query, ...(after ? { after } : {}) });
    yield Array.isArray(page) ? page : page[name];
    after = page.next;
    if (!after) return;
  }
}

/** The first thousand rows; of people, those who speak come first. */
export async function some(path, name, query) {
  return (await pages(path, name, query).next()).value;
}

/** All rows. */
export async function all(path, name, query) {
  const rows = [];
  for await (const page of pages(path, name, query)) rows.push(...page);
  return rows;
}

/** Server-sent events of a request, as {event, data}; ends with the stream. `signal` stops it. */
export async function* events(method, path, { body, query, signal } = {}) {
  const answer = await send(method, path, { body, query, signal, headers: { Accept: "text/event-stream" } });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    held += value.replaceAll("\r\n", "\n");
    const blocks = held.split("\n\n");
    held = blocks.pop();
    for (const block of blocks) {
      const found = parse(block);
      if (found) yield found;
    }
  }
}

function parse(block) {
  const lines = block.split("\n");
  const named = lines.find((line) => line.startsWith("event:"));
  const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart());
  if (!data.length) return null;
  return { event: named ? named.slice(6).trim() : "message", data: JSON.parse(data.join("\n")) };
}
