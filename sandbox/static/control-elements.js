// How the page is written: elements that hold text alone, and lists that change only where what they show has changed.

/** An element. A function among its attributes listens to the event of that name; strings inside become text. */
export function make(name, attributes = {}, ...inside) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...inside.filter((each) => each !== null && each !== undefined && each !== ""));
  return element;
}

export const find = (name, kind = "show") => document.querySelector(`[data-${kind}="${name}"]`);

/** Writes a text where it belongs; one that is there already is left alone, for whoever listens to the page. */
export function write(name, text) {
  const element = find(name);
  if (element.textContent !== text) element.textContent = text;
}

const drawnFrom = new WeakMap();

/** Draws what is new or has changed, leaves the rest as it stands: opened, scrolled and focused. */
export function keep(name, items, keyOf, draw, nothing) {
  const list = find(name, "list");
  const there = new Map([...list.children].map((row) => [row.dataset.key, row]));
  const rows = items.map((item) => {
    const key = String(keyOf(item));
    const from = JSON.stringify(item);
    const old = there.get(key);
    if (old && drawnFrom.get(old) === from) return old;
    const fresh = draw(item);
    fresh.dataset.key = key;
    drawnFrom.set(fresh, from);
    if (old) replace(old, fresh);
    return fresh;
  });
  if (rows.length === 0 && nothing) {
    const empty = there.get("") ?? make("li", { class: "nothing" }, nothing);
    empty.dataset.key = "";
    rows.push(empty);
  }
  const wanted = new Set(rows);
  for (const row of [...list.children]) if (!wanted.has(row)) row.remove();
  rows.forEach((row, place) => {
    if (list.children[place] !== row) list.insertBefore(row, list.children[place] ?? null);
  });
}

/** Has the row around this control drawn again: what somebody did to it was refused. */
export const restore = (control) => drawnFrom.delete(control.closest("[data-key]"));

function replace(old, fresh) {
  const focused = old.contains(document.activeElement) ? document.activeElement.dataset.do : undefined;
  const opened = old.querySelector("details[open]") !== null;
  old.replaceWith(fresh);
  if (opened) {
    const details = fresh.querySelector("details");
    details.open = true;
    details.dispatchEvent(new Event("toggle")); // The browser's own comes a moment later: the row would flicker.
  }
  if (focused) fresh.querySelector(`[data-do="${CSS.escape(focused)}"]`)?.focus();
}

/** A row that opens; what is inside is drawn when it is first wanted. */
export function opening(summary, drawInside) {
  const details = make("details", {
    toggle: () => {
      if (details.open && details.children.length === 1) details.append(make("div", { class: "inside" }, ...drawInside()));
    },
  });
  details.append(make("summary", {}, ...summary));
  return details;
}

/** A button that copies a text and says so. */
export function copying(text, label = "Copy") {
  const button = make("button", { type: "button", class: "quiet", "data-do": `copy ${text.slice(0, 80)}`, click: copy }, label);
  async function copy(event) {
    event.preventDefault();
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 1500);
  }
  return button;
}

/** JSON as people read it; what is no JSON as it is. */
export function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

const instant = (seconds) => new Date(seconds * 1000).toISOString();
export const clockTime = (seconds) => instant(seconds).slice(11, 19);
export const dateTime = (seconds) => `${instant(seconds).slice(0, 10)} ${clockTime(seconds)}`;

/** A span of time in its two largest units: 2 d 3 h. */
export function span(seconds) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  let rest = Math.max(0, Math.round(seconds));
  const parts = [];
  for (const [unit, length] of units) {
    const count = Math.floor(rest / length);
    rest -= count * length;
    if (count) parts.push(`${count} ${unit}`);
  }
  return parts.slice(0, 2).join(" ") || "0 s";
}
