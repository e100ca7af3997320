// The desk: asks every second and a half how everything stands, shows what has changed, and passes orders on.

import { copying, dateTime, find, keep, make, span, write } from "./control-elements.js";
import { change, showFaults, showSettings } from "./control-faults.js";
import { showCalls, showDeliveries, showPayables } from "./control-lists.js";
import { ask, enable, order, perform, say } from "./control-orders.js";

const EVERY_MS = 1500;
const SHOWN = 50;

const seed = document.getElementById("seed");
const filter = find("deliveries", "filter");
let known; // of faults; the list does not change while the sandbox runs
let board = { now: 0 };
let offset = 0; // how far the sandbox's clock is ahead of real time
let next = null; // what happens next by itself: when, and in words
let askedAt = 0; // by the browser's own clock, which ticks on between two answers
let turns = 0;
let waiting;

const now = () => board.now + (performance.now() - askedAt) / 1000;

/** Looks at everything once, and plans the next look. Of two at the same time the later one is believed. */
async function look() {
  const turn = ++turns;
  const answers = await askAll().catch(() => null);
  if (turn !== turns) return;
  clearTimeout(waiting);
  if (!document.hidden) waiting = setTimeout(look, EVERY_MS);
  if (answers) show(...answers);
  else showState("away", "does not answer"); // What is shown stays; we ask again.
}

async function askAll() {
  const state = filter.value ? `&state=${filter.value}` : "";
  known ??= await ask("faults/known");
  return Promise.all([
    ask("/desk/board"), ask("status"), ask(`deliveries?limit=${SHOWN}${state}`), ask(`calls?limit=${SHOWN}`),
  ]);
}

function show(freshBoard, status, deliveries, calls) {
  [board, offset, next, askedAt] = [freshBoard, status.offset, nextOf(freshBoard, status), performance.now()];
  showTime();
  showFaults(known, status.faults, board.rates, look);
  showSeed(status.faults);
  showPayables(board.payables, board.ways, look);
  showDeliveries(deliveries.data, look);
  showCalls(calls.data);
  showSettings(status.settings, look);
  showSetup(status.endpoints);
  showFilter(status.deliveries);
  write("calls", `${status.calls} in all`);
  write("payables", `${board.payables.filter((each) => each.is_open).length} open`);
  showState("live", "live");
}

function showState(state, text) {
  document.querySelector(".state").dataset.state = state;
  write("state", text);
}

// --- the clock ---

/** The earlier of the next webhook to send and the next entry of the sandbox's agenda. */
function nextOf({ nextDelivery }, { next: entry }) {
  if (nextDelivery !== null && (entry === null || nextDelivery <= entry.at)) return { at: nextDelivery, what: "a webhook is sent" };
  if (entry === null) return null;
  const words = entry.what.split(".").slice(1).join(" ").replaceAll("_", " ");
  return { at: entry.at, what: `${words}, ${entry.subject.slice(0, 20)}` };
}

function showTime() {
  if (!board.now) return;
  write("now", `${dateTime(now())} UTC`);
  write("offset", offset < 1 ? "real time" : `${span(offset)} ahead`);
  write("next", next ? `Next in ${span(next.at - now())}: ${next.what}` : "Nothing falls due by itself");
  enable(find("next", "advance"), next !== null);
}

async function advance(seconds) {
  const clock = await order("clock", { advance: seconds });
  return `It is ${dateTime(clock.now)} UTC now`;
}

for (const button of document.querySelectorAll("[data-advance]")) {
  button.addEventListener("click", () => perform(button, () => {
    const asked = button.dataset.advance;
    return advance(asked === "next" ? Math.max(0, next.at - now()) + 0.05 : Number(asked));
  }, look));
}

// --- money to the bank ---

for (const button of document.querySelectorAll("[data-pay-out]")) {
  button.addEventListener("click", () => perform(button, async () => {
    const { data } = await order("payout", { gateway: button.dataset.payOut });
    return data.length ? `On its way: ${data.map((each) => each.payout).join(", ")}` : "Nothing is there to be paid out";
  }, look));
}

// --- faults as a whole ---

function showSeed(faults) {
  const value = faults.seed === undefined ? "" : String(faults.seed);
  if (document.activeElement !== seed && seed.value !== value) seed.value = value;
  enable(find("clear", "do"), Object.keys(faults).length > 0);
}

seed.addEventListener("change", () => change(seed, "seed", seed.value === "" ? null : Number(seed.value), look));
find("seed", "form").addEventListener("submit", (event) => { event.preventDefault(); seed.blur(); });
find("clear", "do").addEventListener("click", ({ currentTarget }) => perform(currentTarget, async () => {
  await order("faults", {});
  return "No faults any more";
}, look));

// --- setup ---

function showSetup(endpoints) {
  const bases = ["stripe", "razorpay"].map((gateway) => ({ id: gateway, gateway, url: `${board.url}/${gateway}`, says: "" }));
  keep("bases", bases, ({ id }) => id, copyRow);
  const rows = endpoints.map(({ id, gateway, url, enabled, types, version }) => ({
    id, gateway, url, says: [describe(types), version, enabled ? "" : "disabled"].filter(Boolean).join(", "),
  }));
  keep("endpoints", rows, ({ id }) => id, copyRow, "None. Name one with --stripe-webhook-url or --razorpay-webhook-url, or make one through the API.");
}

const describe = (types) => (types.includes("*") ? "every type" : types.length > 2 ? `${types.length} types` : types.join(", "));

function copyRow({ gateway, url, says }) {
  return make("li", {},
    make("div", { class: "grow" },
      make("span", { class: `mark ${gateway}` }, gateway), says ? make("span", { class: "soft small" }, says) : null,
      make("p", {}, make("code", {}, url))),
    copying(url));
}

/** How many webhooks there are in each state, where one chooses among them. */
function showFilter(counts) {
  for (const choice of filter.options) {
    const count = choice.value === "pending" ? counts.pending + counts.sending : counts[choice.value];
    const text = choice.value ? `${choice.value}: ${count}` : "all";
    if (choice.textContent !== text) choice.textContent = text;
  }
}

// --- going on ---

filter.addEventListener("change", look);
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
window.addEventListener("unhandledrejection", (event) => say(String(event.reason?.message ?? event.reason), "bad"));
setInterval(showTime, 1000);
look();
