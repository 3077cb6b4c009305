// What the views share: headings, empty states, errors in one line, toasts with undo, dialogs, dates.

import { add, h, icon, put } from "./dom.js";

const DAY = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric", timeZone: "UTC" });
const TIME = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });

export const day = (moment) => (moment ? DAY.format(new Date(moment)) : "");
export const time = (moment) => (moment ? TIME.format(new Date(moment)) : "");
export const words = (name) => String(name).replaceAll("_", " ");
export const count = (n, one, many = `${one}s`) => `${n.toLocaleString()} ${n === 1 ? one : many}`;

/** "Mar 2025 to Jun 2025", "since Mar 2025", "until Jun 2025" or nothing. */
export function span(from, to) {
  if (from && to) return `${day(from)} to ${day(to)}`;
  if (from) return `since ${day(from)}`;
  return to ? `until ${day(to)}` : "";
}

export function heading(title, note, ...actions) {
  return h("div.heading", null,
    h("div", null, h("h1", { tabindex: "-1" }, title), note ? h("p.soft", null, note) : null),
    actions.length ? h("div.actions", null, actions) : null);
}

/** What to do where there is nothing yet. */
export function empty(title, text, ...actions) {
  return h("section.empty", null, icon("wave"), h("h2", null, title), h("p", null, text), h("div.actions", null, actions));
}

export const loading = (what = "Loading") => h("p.loading", { role: "status" }, h("span.dots", { "aria-hidden": "true" }), `${what} …`);

export function problem(error, again) {
  if (error.status === undefined && error.name !== "AbortError") console.error(error);
  return h("p.problem", { role: "alert" }, error.message,
    again ? h("button.quiet", { type: "button", onclick: again }, "Try again") : null);
}

/** Fill `place` with what `make` gives, with a loading state before and the problem's line where it fails. */
export async function show(place, make, what) {
  const waiting = setTimeout(() => put(place, loading(what)), 120);
  place.setAttribute("aria-busy", "true");
  try {
    const made = await make();
    clearTimeout(waiting);
    put(place, made);
  } catch (error) {
    clearTimeout(waiting);
    if (error.name !== "AbortError") put(place, problem(error, () => show(place, make, what)));
  } finally {
    place.removeAttribute("aria-busy");
  }
}

/** One line at the foot of the page, with an undo where there is one. Errors stay until they are closed. */
export function toast(text, { undo, isError = false } = {}) {
  const close = () => box.remove();
  const box = h(isError ? "div.toast.bad" : "div.toast", isError ? { role: "alert" } : null, h("span", null, text),
    undo ? h("button.quiet", { type: "button", onclick: async () => { close(); await attempt(undo); } }, "Undo") : null,
    h("button.quiet", { type: "button", "aria-label": "Close this note", onclick: close }, "×"));
  document.getElementById("toasts").append(box);
  if (!isError) setTimeout(() => { if (!box.matches(":hover, :focus-within")) close(); }, undo ? 12000 : 5000);
}

/** Do it; a refusal becomes a toast. Gives whether it was done. */
export async function attempt(action, button) {
  if (button) button.disabled = true;
  try {
    await action();
    return true;
  } catch (error) {
    if (error.name !== "AbortError") {
      if (error.status === undefined) console.error(error);
      toast(error.message, { isError: true });
    }
    return false;
  } finally {
    if (button) button.disabled = false;
  }
}

/** A button that waits for what it does. */
export function act(label, action, kind = "") {
  const button = h(`button${kind}`, { type: "button" }, label);
  button.addEventListener("click", () => attempt(() => action(button), button));
  return button;
}

let nextId = 0;

/** A labelled input, select or textarea; `field.input` is the control. */
export function field(label, input, note) {
  const id = input.id || `field-${++nextId}`;
  input.id = id;
  if (note) input.setAttribute("aria-describedby", `${id}-note`);
  const box = h("div.field", null, h("label", { for: id }, label), input,
    note ? h("small.soft", { id: `${id}-note` }, note) : null);
  box.input = input;
  return box;
}

export function choice(options, chosen) {
  return h("select", { value: chosen }, options.map(([value, text]) =>
    h("option", { value, selected: value === chosen }, text)));
}

/** A modal dialog; Escape and the cross close it, the focus goes back to where it was. */
export function dialog(title, fillWith) {
  const before = document.activeElement;
  const id = `dialog-${++nextId}`;
  const body = h("div.body");
  const box = h("dialog", { "aria-labelledby": id },
    h("div.bar", null, h("h2", { id, tabindex: "-1" }, title),
      h("button.quiet", { type: "button", "aria-label": "Close", onclick: () => box.close() }, "×")), body);
  box.addEventListener("close", () => { box.remove(); if (before && before.isConnected) before.focus(); });
  box.addEventListener("click", (event) => { if (event.target === box) box.close(); });
  document.body.append(box);
  box.showModal();
  box.querySelector("h2").focus();
  add(body, fillWith(box, body));
  return box;
}

/** Ask before what cannot be undone. With `type` the word has to be typed. */
export function confirm(title, text, yes, { type, isDangerous = true } = {}) {
  return new Promise((decide) => {
    let answer = false;
    const box = dialog(title, (self) => {
      const go = h(isDangerous ? "button.danger" : "button.main", { type: "submit", disabled: Boolean(type) }, yes);
      const typed = type ? h("input", { autocomplete: "off", oninput: () => { go.disabled = typed.value.trim() !== type; } }) : null;
      return h("form", { onsubmit: (event) => { event.preventDefault(); answer = true; self.close(); } },
        [].concat(text).map((line) => h("p", null, line)),
        typed ? field(`Type “${type}” to go on`, typed) : null,
        h("div.actions", null, h("button", { type: "button", onclick: () => self.close() }, "Leave it as it is"), go));
    });
    box.addEventListener("close", () => decide(answer));
  });
}

/** Messages as they were said; `said` is [{speaker, time, text}]. */
export function quotes(said) {
  return h("div.quotes", null, said.map((one) => h("figure.quote", null,
    h("blockquote", null, h("p", null, one.text)),
    h("figcaption.soft", null, one.speaker || "unknown", one.time ? h("time", { datetime: one.time }, ` · ${time(one.time)}`) : null,
      one.origin === "simulated" ? h("span.badge.simulated", null, "simulated") : null))));
}

export const badge = (text, kind = "") => h(`span.badge${kind ? `.${kind}` : ""}`, null, text);

export const fold = (label, ...inside) => h("details", null, h("summary", null, label), inside);

/** Rows of cells under a head; a row may be an element already. */
export function table(head, rows, caption) {
  return h("div.wide", { tabindex: "0", role: "region", "aria-label": caption }, h("table", null,
    h("thead", null, h("tr", null, head.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", null, rows.map((row) => h("tr", null, row.map((cell) => h("td", null, cell)))))));
}

/** Wait with the last of many calls until it has been quiet. */
export function settled(action, ms = 180) {
  let waiting;
  return (...given) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => action(...given), ms);
  };
}
