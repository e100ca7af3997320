// What a customer has: access, orders as they stand at this moment, and the mails that were sent.

import { access, mails, notifications, orders, plansOnSale } from "./calls.js";
import { buy, canResume, dropKeysOfEnded, resume } from "./buying.js";
import { find, make } from "./elements.js";
import { gatewayName, money, when } from "./figures.js";
import { explain } from "./refusals.js";
import { user, whenSessionChanges } from "./session.js";
import { signIn } from "./signing-in.js";
import { mayChange, standing } from "./standings.js";

const EVERY_MS = 2000; // while an order is pending
const AFTER_MS = 20000; // after the last change: access and mails follow the payment
const PAGE_SIZE = 20;
const PAGE_SIZE_MAX = 100;
const PARTS = ["access", "orders", "mails", "notifications", "said", "notice"];

let limit = PAGE_SIZE;
let names = {};
let timer = null;
let lastChange = 0;
let isGoing = false;
const shown = new Map(); // what each part shows, so that only a change touches the page
const statuses = new Map(); // of orders, to say aloud what became of them

const fill = (selector, value, draw) => {
  const text = JSON.stringify(value);
  if (shown.get(selector) === text) return;
  shown.set(selector, text);
  lastChange = Date.now();
  find(selector).replaceChildren(...[draw(value)].flat());
};

const nothing = (...text) => make("p", { class: "empty" }, ...text);
const planName = (id) => names[id] ?? id;

const REASONS = { paid: "Paid for" };

const drawAccess = (rows) => {
  const usable = rows.filter(({ active }) => active);
  if (usable.length === 0) return nothing("Nothing yet. ", make("a", { href: "/" }, "See the plans"));
  return make(
    "ul",
    { class: "access" },
    usable.map(({ planId, until, reason }) =>
      make(
        "li",
        {},
        make("strong", {}, planName(planId)),
        make("span", { class: "soft" }, until ? `until ${when(until)}` : "for good"),
        make("span", { class: "badge good" }, REASONS[reason] ?? reason),
      ),
    ),
  );
};

// The button that leads to a payment page; what stands in the way is told in `notice`.
const payButton = (order, { kind, label }, notice) => {
  const follow = async () => {
    if (isGoing) return;
    isGoing = true;
    button.disabled = true;
    notice.replaceChildren();
    try {
      location.assign(await (kind === "resume" ? resume(order) : buy(order.planId, order.gateway)));
    } catch (refusal) {
      isGoing = false;
      button.disabled = false;
      explain(notice, refusal, { again: follow, signIn });
    }
  };
  const button = make("button", { type: "button", class: "primary", onclick: follow }, label);
  return button;
};

const drawOrder = (order) => {
  const { label, tone, text, way } = standing(order);
  const notice = make("div");
  const ways = [
    way && order.planId && payButton(order, way, notice),
    order.receiptUrl && make("a", { class: "button second", href: order.receiptUrl }, "Receipt"),
  ].filter(Boolean);
  return make(
    "li",
    { class: "order", "data-order": order.orderId, "data-status": order.status },
    make(
      "div",
      { class: "head" },
      make("strong", {}, order.planName ?? "Order"),
      make("span", { class: "amount" }, money(order.amount, order.currency)),
      make("span", { class: `badge ${tone}` }, label),
    ),
    text && make("p", { class: "text" }, text),
    make(
      "p",
      { class: "soft small" },
      `Ordered on ${when(order.createdAt)}, at ${gatewayName(order.gateway)}`,
      make("span", { class: "id" }, order.orderId),
    ),
    notice,
    ways.length > 0 && make("div", { class: "ways" }, ways),
  );
};

const drawOrders = ({ data, nextCursor }) => {
  if (data.length === 0) return nothing("No orders yet. ", make("a", { href: "/" }, "See the plans"));
  const list = make("ul", { class: "orders" }, data.map(drawOrder));
  if (!nextCursor) return list;
  if (limit === PAGE_SIZE_MAX) return [list, nothing(`These are the newest ${PAGE_SIZE_MAX}.`)];
  const more = () => {
    limit = PAGE_SIZE_MAX;
    look();
  };
  return [list, make("button", { type: "button", class: "second", onclick: more }, "Show older orders")];
};

const drawMails = (letters) => {
  if (letters.length === 0) return nothing("No mail yet. It comes when a payment is confirmed.");
  return letters.map(({ from, subject, sentAt, text }) =>
    make(
      "details",
      { class: "mail" },
      make("summary", {}, make("span", {}, subject), sentAt && make("span", { class: "soft small" }, when(sentAt))),
      make("p", { class: "soft small" }, `From ${from}`),
      make("pre", {}, text),
    ),
  );
};

const drawNotifications = (notices) =>
  make(
    "ul",
    { class: "access" },
    notices.map(({ type, createdAt, data }) =>
      make(
        "li",
        {},
        make("code", {}, type),
        make("span", { class: "soft small" }, `${when(createdAt)}, order ${data.orderId}`),
      ),
    ),
  );

const announce = (data) => {
  for (const order of data) {
    const before = statuses.get(order.orderId);
    if (before && before !== order.status) {
      find("[data-said]").textContent = `${order.planName ?? "Order"}: ${standing(order).label}`;
    }
    statuses.set(order.orderId, order.status);
  }
};

// One look is planned at most, however many ended just now.
const lookIn = (milliseconds) => {
  clearTimeout(timer);
  timer = setTimeout(look, milliseconds);
};

const look = async () => {
  const whose = user();
  if (!whose) return;
  try {
    const [rights, listed, letters, notices] = await Promise.all([access(), orders(limit), mails(), notifications()]);
    if (whose !== user()) return; // somebody else has signed in meanwhile, and is looked after
    dropKeysOfEnded(listed.data);
    const found = { ...listed, data: listed.data.map((order) => ({ ...order, canResume: canResume(order) })) };
    fill("[data-access]", rights, drawAccess);
    if (!isGoing) fill("[data-orders]", found, drawOrders);
    fill("[data-mails]", letters, drawMails);
    fill("[data-notifications]", notices, drawNotifications);
    find("[data-told]").hidden = notices.length === 0;
    find("[data-notice]").replaceChildren();
    announce(found.data);
    if (found.data.some(mayChange) || Date.now() - lastChange < AFTER_MS) lookIn(EVERY_MS);
  } catch (refusal) {
    if (refusal.status !== 401 && whose === user()) {
      explain(find("[data-notice]"), refusal, { again: look, signIn });
      lookIn((refusal.waitSeconds ?? 5) * 1000);
    }
  }
};

// Nothing of one customer stays for the next to see, whatever becomes of the calls for them.
const empty = () => {
  for (const part of PARTS) find(`[data-${part}]`).replaceChildren();
  find("[data-told]").hidden = true;
  shown.clear();
  statuses.clear();
  isGoing = false;
};

const begin = async () => {
  const isIn = user() !== null;
  empty();
  find("[data-signed-out]").hidden = isIn;
  find("[data-signed-in]").hidden = !isIn;
  if (!isIn) return;
  names = Object.fromEntries((await plansOnSale().catch(() => [])).map(({ id, name }) => [id, name]));
  look();
};

find("[data-sign-in]").addEventListener("click", signIn);
// Back from the payment page, a browser may show this page as it was left.
window.addEventListener("pageshow", (event) => event.persisted && location.reload());
// A tab that nobody looks at may sleep; what it shows when it is looked at again is asked anew.
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && look());
whenSessionChanges(begin);
