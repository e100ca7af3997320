// Faults and settings: a switch for each, and once it is on, how often or how long.

import { keep, make, restore } from "./control-elements.js";
import { ask, order, say } from "./control-orders.js";

/** What switching on means: a rate of always, some seconds, a tenth for each kind of error. */
const switchedOn = (kind, rates) => {
  if (kind === "rates") return Object.fromEntries(rates.map((rate) => [rate, 0.1]));
  return kind === "seconds" ? 3 : 1;
};

const isOn = (value) => (typeof value === "object" && value !== null ? Object.values(value).some(Boolean) : Boolean(value));

const percent = (rate) => `${Math.round(rate * 1000) / 10} %`;

/** Draws all faults; `look` is called after a change. */
export function showFaults(known, inForce, rates, look) {
  const rows = Object.entries(known)
    .filter(([name]) => name !== "seed")
    .map(([name, { kind, says }]) => ({ name, kind, says, value: inForce[name] ?? 0, rates: rates[name] ?? [] }));
  keep("faults", rows, ({ name }) => name, (row) => faultRow(row, look));
}

/** Changes one fault and leaves the others as they are now, whoever set them. */
export async function change(control, name, value, look) {
  try {
    const faults = await ask("faults");
    if (isOn(value) || (name === "seed" && value !== null)) faults[name] = value;
    else delete faults[name];
    await order("faults", faults);
  } catch (error) {
    restore(control);
    say(error.message, "bad");
  }
  await look();
}

function faultRow({ name, kind, says, value, rates }, look) {
  const on = isOn(value);
  const set = (control, next) => change(control, name, next, look);
  const box = switching(name, on, (control) => set(control, control.checked ? switchedOn(kind, rates) : 0));
  return make(
    "li",
    on ? { class: "on" } : {},
    make("label", { class: "fault" }, box, make("span", { class: "what" }, make("b", {}, name), " ", make("span", { class: "soft" }, says))),
    on ? make("div", { class: "dials" }, ...dials(name, kind, value, set)) : null,
  );
}

function dials(name, kind, value, set) {
  if (typeof value !== "object") return [kind === "seconds" ? seconds(name, value, set) : rate(name, value, set)];
  return Object.entries(value).map(([part, amount]) => {
    const setPart = (control, next) => set(control, { ...value, [part]: next });
    return part === "seconds" ? seconds(`${name} ${part}`, amount, setPart) : rate(`${name} ${part}`, amount, setPart, part);
  });
}

function rate(name, value, set, label) {
  const shown = make("output", {}, percent(value));
  return make(
    "label",
    { class: "dial" },
    label ? make("span", { class: "part" }, label) : null,
    make("input", {
      type: "range", min: 0, max: 1, step: 0.01, value, "aria-label": `${name}, rate`, "data-do": `${name} rate`,
      input: ({ target }) => { shown.textContent = percent(target.value); },
      change: ({ target }) => set(target, Number(target.value)),
    }),
    shown,
  );
}

function seconds(name, value, set) {
  return make(
    "label",
    { class: "dial" },
    make("input", {
      type: "number", min: 0, step: "any", value, "aria-label": `${name}, seconds`, "data-do": `${name} seconds`,
      change: ({ target }) => set(target, Number(target.value)),
    }),
    make("span", {}, "seconds"),
  );
}

/** What one sets in a gateway's dashboard. */
export function showSettings(settings, look) {
  const rows = Object.entries(settings).map(([name, value]) => ({ name, value }));
  keep("settings", rows, ({ name }) => name, ({ name, value }) => {
    // What is no switch is changed by an order, and shown here.
    if (typeof value !== "boolean") {
      return make("li", {}, make("b", {}, name), " ", make("span", { class: "soft" }, [value].flat().join(", ") || "none"));
    }
    const box = switching(name, value, async (control) => {
      try {
        await order("settings", { [name]: control.checked });
      } catch (error) {
        restore(control);
        say(error.message, "bad");
      }
      await look();
    });
    return make("li", value ? { class: "on" } : {}, make("label", { class: "fault" }, box, make("b", {}, name)));
  });
}

function switching(name, on, turn) {
  return make("input", {
    type: "checkbox", role: "switch", checked: on, "aria-label": name, "data-do": `${name} switch`,
    change: ({ target }) => turn(target),
  });
}
