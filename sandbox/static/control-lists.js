// What is to be paid, what was sent, and what was asked: three lists, the newest first.

import { clockTime, copying, dateTime, keep, make, opening, pretty } from "./control-elements.js";
import { order, perform } from "./control-orders.js";

const badge = (text, mood) => make("span", { class: `badge ${mood}` }, text);
const mark = (gateway) => make("span", { class: `mark ${gateway}` }, gateway);

const MOODS = {
  open: "wait", paid: "good", no_payment_required: "good", unpaid: "wait", expired: "", cancelled: "",
  authenticated: "good", active: "good", completed: "good", paused: "wait", halted: "bad",
  delivered: "good", pending: "wait", sending: "wait", withheld: "wait", failed: "bad",
};
const mood = (state) => MOODS[state] ?? "";

const statusMood = (status) => (status === null || status >= 500 ? "bad" : status >= 400 ? "wait" : "good");

// --- payments ---

export function showPayables(payables, ways, look) {
  keep("payables", payables, ({ id }) => id, (payable) => payableRow(payable, waysOf(payable, ways), look),
    "Nothing has been asked for yet. Sessions, invoices, payment links and orders that your backend makes appear here.");
}

function waysOf({ gateway, takes_cards_alone: cardsAlone }, ways) {
  return ways[gateway].filter((way) => !cardsAlone || way.order.method === undefined);
}

function payableRow(payable, ways, look) {
  const { id, gateway, amount, what, status, is_open: isOpen, expires, created, url, said, afterwards } = payable;
  const head = make("div", { class: "line" },
    mark(gateway), make("b", { class: "amount" }, amount), badge(status, mood(status)),
    make("span", { class: "grow what" }, what),
    url ? make("a", { href: url, target: "_blank", rel: "noopener", "data-do": "open" }, "Open page") : null);
  const below = make("p", { class: "soft small" },
    make("code", {}, id), ` made ${clockTime(created)}`, expires ? `, expires ${dateTime(expires)}` : "", said ? ` · ${said}` : "");
  return make("li", { class: isOpen ? "payable open" : "payable" }, head, below,
    isOpen ? buttons(payable, ways, look) : null, afterwards.length ? laterButtons(payable, look) : null);
}

function buttons({ id, amount }, ways, look) {
  const pay = (way) => async () => {
    const { outcome } = await order("pay", { session: id, ...way.order });
    return `${amount}: ${outcome.replace("_", " ")}`;
  };
  return make("div", { class: "ways", role: "group", "aria-label": `Pay ${id}` },
    make("span", { class: "soft small" }, "As the customer:"),
    ...ways.map((way) => make("button", {
      type: "button", "data-do": `pay ${way.says}`, title: way.order.card ?? way.order.vpa,
      click: ({ currentTarget }) => perform(currentTarget, pay(way), look),
    }, way.says)));
}

/** What happens to a payment that was taken: in the gateway's dashboard, or at the customer's bank. */
function laterButtons({ id, amount, afterwards }, look) {
  const give = ({ says, path, order: what }) => async () => {
    const { status } = await order(path, what);
    return `${amount}: ${says.toLowerCase()}${status ? `, ${status.replaceAll("_", " ")}` : ""}`;
  };
  return make("div", { class: "ways", role: "group", "aria-label": `After the payment of ${id}` },
    make("span", { class: "soft small" }, "Afterwards:"),
    ...afterwards.map((each) => make("button", {
      type: "button", "data-do": `after ${each.says}`,
      click: ({ currentTarget }) => perform(currentTarget, give(each), look),
    }, each.says)));
}

// --- webhooks ---

export function showDeliveries(deliveries, look) {
  keep("deliveries", [...deliveries].reverse(), ({ id }) => id, (delivery) => deliveryRow(delivery, look), "No webhook yet.");
}

function deliveryRow(delivery, look) {
  const { id, gateway, type, state, attempts } = delivery;
  const last = attempts.at(-1);
  const send = make("button", {
    type: "button", "data-do": "resend",
    click: (event) => {
      event.preventDefault(); // The row stays as open as it is.
      perform(event.currentTarget, () => resend(id), look);
    },
  }, state === "withheld" ? "Send" : "Send again");
  return make("li", {}, opening(
    [mark(gateway), make("span", { class: "grow what" }, type), answered(last), badge(state, mood(state)), send],
    () => deliveryInside(delivery),
  ));
}

async function resend(delivery) {
  const { data: [{ attempt }] } = await order("resend", { delivery });
  return attempt.status === null ? `Sent, and not answered: ${attempt.answer}` : `Sent, and answered ${attempt.status}`;
}

function answered(attempt) {
  if (!attempt) return null;
  return make("span", { class: "soft small" }, attempt.status === null ? "no answer" : `${attempt.status} in ${attempt.milliseconds} ms`);
}

function deliveryInside({ id, event, url, endpoint, attempts, nextAttempt, body }) {
  return [
    make("p", { class: "soft small" }, "Delivery ", make("code", {}, id), " of ", make("code", {}, event), " to ", make("code", {}, url),
      ` (${endpoint})`, nextAttempt ? `, next attempt ${dateTime(nextAttempt)}` : ""),
    attempts.length === 0 ? make("p", { class: "small" }, "It was never sent.") : make("ol", { class: "attempts" }, ...attempts.map(attemptRow)),
    make("div", { class: "line" }, make("span", { class: "soft small grow" }, `${new Blob([body]).size} bytes`), copying(body, "Copy as sent")),
    make("pre", {}, pretty(body)),
  ];
}

function attemptRow({ at, status, answer, milliseconds, signature, faults, resent }) {
  const particulars = [clockTime(at), `${milliseconds} ms`, `${signature} signature`, resent ? "sent by hand" : ""];
  return make("li", {},
    make("div", { class: "line" },
      badge(status ?? "no answer", status !== null && status < 300 ? "good" : "bad"),
      make("span", { class: "soft small" }, particulars.filter(Boolean).join(", ")),
      ...faults.map((fault) => badge(fault, "wait"))),
    answer ? make("pre", {}, answer) : null);
}

// --- calls ---

export function showCalls(calls) {
  keep("calls", [...calls].reverse(), ({ id }) => id, callRow, "No call to either API yet.");
}

function callRow(call) {
  const { at, gateway, method, path, status, milliseconds, faults } = call;
  return make("li", {}, opening(
    [
      mark(gateway), make("span", { class: "grow what" }, make("b", {}, method), ` ${path}`),
      ...faults.map((fault) => badge(fault, "wait")),
      make("span", { class: "soft small" }, `${clockTime(at)}${milliseconds === null ? "" : `, ${milliseconds} ms`}`),
      badge(status ?? "no answer", statusMood(status)),
    ],
    () => callInside(call),
  ));
}

function callInside({ answer, ...asked }) {
  const told = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== null));
  return [
    make("pre", {}, JSON.stringify(told, null, 2)),
    answer ? make("p", { class: "soft small" }, "Answered, its beginning:") : null,
    answer ? make("pre", {}, pretty(answer)) : null,
  ].filter(Boolean);
}
