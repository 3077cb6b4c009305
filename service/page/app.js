// The shell: navigation, the space, signing in, and one module per view, loaded when it is first shown.

import { chooseSpace, currentSpace, get, has, learnRoutes, whenSignInIsNeeded } from "./api.js";
import { h, icon, put } from "./dom.js";
import { loading, problem } from "./ui.js";

// path, word, icon, routes it needs, whether it stands in a phone's bar
const VIEWS = [
  ["people", "People", "people", ["GET /v1/people"], true],
  ["ask", "Ask", "ask", ["POST /v1/ask"], true],
  ["talk", "Talk", "talk", ["POST /v1/chat"], true],
  ["graph", "Explore", "graph", ["GET /v1/graph"], false],
  ["nights", "Nights", "nights", ["GET /v1/runs"], true],
  ["review", "Review", "review", ["GET /v1/review"], false],
  ["recipes", "Weights", "recipes", ["GET /v1/recipes"], false],
  ["import", "Import", "import", ["POST /v1/imports"], false],
  ["erase", "Erase", "erase", ["POST /v1/forget"], false],
  ["status", "Status", "status", ["GET /v1/verify"], false],
];

const main = document.getElementById("main");
let leave = null;
let shown = 0;

const available = () => VIEWS.filter(([, , , needs]) => has(...needs));

function link([path, word, sign, , isMain]) {
  return h(isMain ? "a.first" : "a", { href: `#/${path}`, "data-view": path }, icon(sign), h("span", null, word));
}

function drawSide(spaces) {
  const names = spaces.map((one) => one.name ?? one.space ?? one);
  const picker = names.length > 1 ? h("label.space", null, h("span.soft", null, "Space"),
    h("select", { value: currentSpace(), onchange: (event) => { chooseSpace(event.target.value); location.reload(); } },
      names.map((name) => h("option", { value: name, selected: name === currentSpace() }, name)))) : null;
  put(document.getElementById("side"),
    h("a.brand", { href: "#/people" }, icon("wave"), h("span", null, "slowwave")), picker,
    h("nav", { "aria-label": "Views" }, available().map(link),
      h("a.first.more", { href: "#/more", "data-view": "more" }, icon("more"), h("span", null, "More"))));
}

function mark(view) {
  for (const each of document.querySelectorAll("#side nav a")) {
    if (each.dataset.view === view) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
}

function more() {
  return h("div", null, h("h1", { tabindex: "-1" }, "More"), h("nav.more-list", { "aria-label": "All views" }, available().map(link)));
}

/** Show what the address says: `#/view/part/part?query`. */
async function route() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [view = "people", ...parts] = path.split("/").filter(Boolean).map(decodeURIComponent);
  const mine = ++shown;
  if (leave) leave();
  leave = null;
  mark(view);
  const place = h(`div.view.${/^[a-z]+$/.test(view) ? view : "unknown"}`);
  put(main, place);
  const waiting = setTimeout(() => { if (!place.hasChildNodes()) put(place, loading()); }, 120);
  try {
    leave = await open(view, place, parts, new URLSearchParams(query));
  } catch (error) {
    put(place, h("h1", { tabindex: "-1" }, "This cannot be shown"), problem(error, route));
  }
  clearTimeout(waiting);
  if (mine !== shown) return;
  const title = place.querySelector("h1");
  document.title = title ? `${title.textContent} · slowwave` : "slowwave";
  if (title && hasNavigated) title.focus({ preventScroll: true });
  hasNavigated = true;
  scrollTo(0, 0);
}

let hasNavigated = false;

async function open(view, place, parts, query) {
  if (view === "more") return void put(place, more());
  if (!VIEWS.some(([path, , , needs]) => path === view && has(...needs))) {
    put(place, h("h1", { tabindex: "-1" }, "Nothing is here"), h("p", null, h("a", { href: "#/people" }, "To the people")));
    return null;
  }
  const module = await import(`./views/${view}.js`);
  return module.view(place, parts, query);
}

async function signIn() {
  if (document.querySelector(".view.login")) return;
  const place = h("div.view.login");
  put(main, place);
  const module = await import("./views/login.js");
  module.view(place, start);
}

async function start() {
  const theme = localStorage.getItem("slowwave.theme");
  if (theme) document.documentElement.dataset.theme = theme;
  try {
    await learnRoutes();
    const spaces = has("GET /v1/spaces") ? await get("/v1/spaces") : [];
    const list = Array.isArray(spaces) ? spaces : spaces.spaces || [];
    drawSide(list);
    await route();
  } catch (error) {
    if (error.status !== 401) put(main, h("h1", null, "slowwave"), problem(error, start));
  }
}

whenSignInIsNeeded(signIn);
document.getElementById("skip").addEventListener("click", () => main.focus());
addEventListener("hashchange", () => { if (location.hash.startsWith("#/") || !location.hash) route(); });
start();
