// The graph: first somebody's surroundings, then everything. Beside the drawing the same is a list, for ears and keys.

import { at, get, has } from "../api.js";
import { h, put } from "../dom.js";
import { act, count, empty, field, heading, words } from "../ui.js";
import { Drawing } from "./graph_drawing.js";
import { arrange, surroundings } from "./graph_layout.js";

const ROUTE = "GET /v1/graph/map";
const FOUND = 8; // names shown of a search
const LISTED = 60; // neighbours in the list
const ALL_AT_ONCE = 120; // nodes of a graph that is small enough to be shown whole at first

export async function view(place, [name]) {
  if (!has(ROUTE)) return void put(place, heading("Explore"), empty("This daemon has no map", "Update it to draw the graph."));
  const map = columns(await get("/v1/graph/map"));
  if (!map.n) {
    return void put(place, heading("Explore"), empty("There is nothing to draw yet", "Once something is imported, people, places and things appear here with what ties them.",
      h("a.button", { href: "#/people" }, "To the people")));
  }
  return explore(place, map, name ? map.find(name) : -1);
}

/** Typed columns and, for each node, where its links begin in `links`. */
function columns({ kinds, predicates, nodes, links }) {
  const n = nodes.label.length;
  const starts = new Uint32Array(n + 1);
  for (const ends of [links.source, links.target]) for (const end of ends) starts[end + 1] += 1;
  for (let i = 0; i < n; i += 1) starts[i + 1] += starts[i];
  const others = new Uint32Array(starts[n]);
  const whats = new Uint16Array(starts[n]);
  const filled = starts.slice(0, n);
  links.source.forEach((source, i) => {
    for (const [from, to] of [[source, links.target[i]], [links.target[i], source]]) {
      others[filled[from]] = to;
      whats[filled[from]] = links.what[i];
      filled[from] += 1;
    }
  });
  const keys = nodes.label.map((label) => label.toLowerCase());
  return {
    n, kinds, predicates, starts, others, whats, labels: nodes.label, kind: Uint8Array.from(nodes.kind), nLinks: links.source.length,
    x: Float32Array.from(nodes.x), y: Float32Array.from(nodes.y),
    find: (name) => keys.indexOf(name.toLowerCase()),
    like: (text) => {
      const found = [];
      for (let i = 0; i < n && found.length < FOUND; i += 1) if (keys[i].includes(text)) found.push(i);
      return found;
    },
    degree: (i) => starts[i + 1] - starts[i],
  };
}

function explore(place, map, chosen) {
  const canvas = h("canvas", { tabindex: "0", role: "img", "aria-label": "The graph. Arrow keys move it, plus and minus zoom, Enter chooses the node in the middle. The list below says the same in words." });
  const tip = h("p.tip", { "aria-live": "polite" });
  const list = h("section", { "aria-label": "What it is tied to" });
  const results = h("div.actions", { role: "group", "aria-label": "Found" });
  const told = h("p.soft", { role: "status" });
  const drawing = new Drawing(canvas, { onchoose: (node) => choose(node), onhover: (node) => put(tip, node < 0 ? "" : map.labels[node]) });
  const whole = h("button", { type: "button", "aria-pressed": "false", onclick: everything }, "Everything");

  function everything() {
    whole.setAttribute("aria-pressed", "true");
    drawing.show({ ...map, nodes: null });
    put(told, `${count(map.n, "node")}, ${count(map.nLinks, "link")}. Come closer to see more names.`);
  }

  function around(node) {
    whole.setAttribute("aria-pressed", "false");
    const near = surroundings(map, node);
    drawing.show({ ...map, ...arrange(map, near), nodes: near }, node);
    put(told, `${map.labels[node]} and what is near: ${count(near.length, "node")} of ${map.n.toLocaleString()}.`);
  }

  function choose(node) {
    put(results);
    if (node < 0) return;
    if (whole.getAttribute("aria-pressed") === "true") drawing.choose(node);
    else around(node);
    put(list, told_of(map, node, choose, () => around(node)));
  }

  const search = h("input", { type: "search", autocomplete: "off", placeholder: "A name", oninput: () => {
    const text = search.value.trim().toLowerCase();
    put(results, text ? map.like(text).map((node) => h("button", { type: "button", onclick: () => { choose(node); if (whole.getAttribute("aria-pressed") === "true") drawing.center(node); } }, map.labels[node])) : null);
    if (text && !results.hasChildNodes()) put(results, h("span.soft", null, "Nothing has that name."));
  } });
  put(place, heading("Explore", "People, places and things, and what ties them."),
    h("div.row", null, h("div.grow", null, field("Find", search)), whole), results,
    h("div.canvas-box", null, canvas, tip, h("div.tools", null,
      h("button", { type: "button", "aria-label": "Zoom in", onclick: () => drawing.zoom(1.5) }, "+"),
      h("button", { type: "button", "aria-label": "Zoom out", onclick: () => drawing.zoom(1 / 1.5) }, "−"),
      h("button", { type: "button", "aria-label": "Show all of it", onclick: () => drawing.fit() }, "⤢"))),
    h("div.legend", null, drawing.legend(map.kinds).map(([kind, colour]) => h("span", null, h("i", { style: { background: colour } }), words(kind)))), told, list);
  drawing.begin();
  if (chosen >= 0) choose(chosen);
  else if (map.n <= ALL_AT_ONCE) small();
  else choose(first(map));
  return () => drawing.end();

  function small() {
    drawing.show({ ...map, ...arrange(map, Uint32Array.from({ length: map.n }, (_, i) => i)), nodes: null });
    put(told, `${count(map.n, "node")}, ${count(map.nLinks, "link")}.`);
  }
}

/** Somebody with many ties: nodes come best connected first. */
function first(map) {
  const person = map.kinds.indexOf("person");
  const found = map.kind.findIndex((kind) => kind === person);
  return Math.max(0, found);
}

function told_of(map, node, choose, around) {
  const rows = [];
  for (let at = map.starts[node]; at < map.starts[node + 1] && rows.length < LISTED; at += 1) {
    rows.push(h("li", null, h("span.soft", null, `${words(map.predicates[map.whats[at]])}: `),
      h("button.quiet", { type: "button", onclick: () => choose(map.others[at]) }, map.labels[map.others[at]])));
  }
  const name = map.labels[node];
  return h("div.card", null, h("h2", null, name), h("p.soft", null, `${words(map.kinds[map.kind[node]])}, ${count(map.degree(node), "link")}`),
    h("ul.plain", null, rows), map.degree(node) > LISTED ? h("p.soft", null, `and ${count(map.degree(node) - LISTED, "more", "more")}`) : null,
    h("div.actions", null, map.kinds[map.kind[node]] === "person" ? h("a.button", { href: at`#/people/${name}` }, `To ${name}`) : null,
      act("Only what is near", async () => around())));
}
