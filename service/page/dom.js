// Elements out of plain values. Text is only ever inserted as text nodes: nothing that was stored is read as markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else if (name === "value" && "value" in element) element.value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  add(element, children);
  return element;
}

/** Append texts and elements; lists are opened, null and false are left out. */
export function add(element, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === "") continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

/** h("button.quiet", {onclick}, "text"): an element with classes, attributes and children. */
export function h(what, properties, ...children) {
  const [tag, ...classes] = what.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  return fill(element, properties, children);
}

/** The same for SVG. */
export function s(what, properties, ...children) {
  const [tag, ...classes] = what.split(".");
  const element = document.createElementNS(SVG, tag);
  if (classes.length) element.setAttribute("class", classes.join(" "));
  return fill(element, properties, children);
}

/** Put these in place of what an element holds. */
export function put(element, ...children) {
  element.replaceChildren();
  return add(element, children);
}

const PATHS = {
  people: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM2.5 20c.6-4 3-6 6.500-6s5.900 2 6.500 6M16 4.500a3.300 3.300 0 0 1 0 6.300M18 14.400c2 .8 3.200 2.700 3.500 5.600",
  ask: "M21 11.500a8.500 8 0 0 1-12.400 7.100L3.500 20l1.500-4.400A8 8 0 1 1 21 11.500ZM9.800 9.300c.3-1.400 1.300-2.100 2.600-2.100 1.500 0 2.600.9 2.600 2.200 0 1.900-2.600 2-2.600 4M12.400 16v.1",
  graph: "M6 8.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5ZM18 10.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5ZM9 20.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5ZM8.500 6.500l7 1.200M7 8.400l1.500 7M10.900 16.400l5.600-6.400",
  talk: "M4 5.500h11a1.500 1.500 0 0 1 1.500 1.500v5a1.500 1.500 0 0 1-1.500 1.500H8L4.500 16.500v-3H4A1.500 1.500 0 0 1 2.500 12V7A1.500 1.500 0 0 1 4 5.500ZM19 9.500h1a1.500 1.500 0 0 1 1.500 1.500v5a1.500 1.500 0 0 1-1.500 1.500v2.500L16.500 18h-5",
  nights: "M20 14.500A8.500 8.500 0 1 1 9.500 4a7 7 0 0 0 10.500 10.500Z",
  review: "M4 12.500l4.500 4.500L20 6",
  recipes: "M12 3.500l8.500 4.500L12 12.500 3.500 8 12 3.500ZM3.500 12l8.500 4.500L20.500 12M3.500 16l8.500 4.500 8.500-4.500",
  import: "M12 3.500v11M7.500 10.500l4.500 4.500 4.500-4.500M4 19.500h16",
  erase: "M5 7h14M9.500 7V4.500h5V7M7 7l.8 12.500h8.400L17 7M10.500 10.500v5.500M13.500 10.500v5.500",
  status: "M4 7h9M17 7h3M15 7a2 2 0 1 0 0-.01M4 17h3M11 17h9M9 17a2 2 0 1 0 0-.01",
  more: "M6 12h.01M12 12h.01M18 12h.01",
  wave: "M2 14c2.600-8 5.200-8 7 0s4.400 8 7 0 4.400-8 6-2.500",
};

/** A drawing beside a word that says the same; never alone. */
export function icon(name) {
  return s("svg.icon", { viewBox: "0 0 24 24", "aria-hidden": "true" }, s("path", { d: PATHS[name] }));
}
