// What a customer has: access, subscriptions and orders as they stand at this moment, and the mails that were sent.

import { access, invoices, mails, notifications, orders, plansOnSale, subscriptions } from "./calls.js";
import { buy, canResume, dropKeysOfEnded, resume } from "./buying.js";
import { find, make, nothing } from "./elements.js";
import { gatewayName, money, when } from "./figures.js";
import { drawMails, drawNotifications } from "./inbox.js";
import { redraw } from "./redrawing.js";
import { explain } from "./refusals.js";
import { user, whenSessionChanges } from "./session.js";
import { signIn } from "./signing-in.js";
import { mayChange, standing } from "./standings.js";
import { mayChange as mayChangeItself, standing as standingOf } from "./subscription-standings.js";
import { drawInvoices, drawSubscriptions, isChanging } from "./subscriptions.js";

const EVERY_MS = 2000; // while an order is pending
const AFTER_MS = 20000; // after the last change: access and mails follow the payment
const PAGE_SIZE = 20;
const PAGE_SIZE_MAX = 100;
const PARTS = ["access", "subscriptions", "invoices", "orders", "mails", "notifications", "said", "notice"];

let limit = PAGE_SIZE;
let plans = [];
let timer = null;
let lastChange = 0;
let isGoing = false;
const shown = new Map(); // what each part shows, so that only a change touches the page
const statuses = new Map(); // of orders and subscriptions, to say aloud what became of them

const fill = (selector, value, draw) => {
  const text = JSON.stringify(value);
  if (shown.get(selector) === text) return;
  shown.set(selector, text);
  lastChange = Date.now();
  redraw(find(selector), [draw(value)].flat());
};

const planOf = (id) => plans.find((plan) => plan.id === id) ?? { id, name: id, interval: null };

const REASONS = { paid: "Paid for", trial: "On trial", grace: "Payment on its way" };

const drawAccess = (rows) => {
  const usable = rows.filter(({ active }) => active);
  if (usable.length === 0) return nothing("Nothing at the moment. ", make("a", { href: "/" }, "See the plans"));
  return make(
    "ul",
    { class: "access" },
    usable.map(({ planId, until, reason }) =>
      make(
        "li",
        {},
        make("strong", {}, planOf(planId).name),
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
      location.assign(await (kind === "resume" ? resume(order) : buy(planOf(order.planId), order.gateway)));
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

const announce = (id, name, { label }) => {
  const before = statuses.get(id);
  if (before && before !== label) find("[data-said]").textContent = `${name}: ${label}`;
  statuses.set(id, label);
};

// With what has been changed just now, which is drawn anew, in view and in the keyboard's way.
const showChanged = async ({ subscriptionId }) => {
  await look();
  find(`[data-subscription="${CSS.escape(subscriptionId)}"]`)?.focus({ preventScroll: true });
};

const fillSubscriptions = (subscribed, billed) => {
  find("[data-subscriber]").hidden = subscribed.length === 0;
  if (isChanging()) return;
  const about = { plansOnSale: plans, invoices: billed, changed: showChanged };
  fill("[data-subscriptions]", { subscribed, billed, plans }, () => drawSubscriptions(subscribed, about));
  fill("[data-invoices]", billed, drawInvoices);
};

// One look is planned at most, however many ended just now.
const lookIn = (milliseconds) => {
  clearTimeout(timer);
  timer = setTimeout(look, milliseconds);
};

// An order that began a subscription is shown as that.
const ordersAlone = (listed, subscribed) => {
  const begun = new Set(subscribed.map(({ orderId }) => orderId));
  return listed
    .filter(({ orderId }) => !begun.has(orderId))
    .map((order) => ({ ...order, canResume: canResume(order) }));
};

const look = async () => {
  const whose = user();
  if (!whose) return;
  try {
    const [rights, { data: subscribed }, { data: billed }, listed, letters, notices] = await Promise.all([
      access(),
      subscriptions(),
      invoices(PAGE_SIZE),
      orders(limit),
      mails(),
      notifications(),
    ]);
    if (whose !== user()) return; // somebody else has signed in meanwhile, and is looked after
    dropKeysOfEnded(listed.data);
    const found = { ...listed, data: ordersAlone(listed.data, subscribed) };
    fill("[data-access]", rights, drawAccess);
    fillSubscriptions(subscribed, billed);
    if (!isGoing) fill("[data-orders]", found, drawOrders);
    fill("[data-mails]", letters, drawMails);
    fill("[data-notifications]", notices, drawNotifications);
    find("[data-told]").hidden = notices.length === 0;
    find("[data-notice]").replaceChildren();
    for (const order of found.data) announce(order.orderId, order.planName ?? "Order", standing(order));
    for (const each of subscribed) announce(each.subscriptionId, each.planName ?? "Subscription", standingOf(each));
    const isWaiting = found.data.some(mayChange) || subscribed.some(mayChangeItself);
    if (isWaiting || Date.now() - lastChange < AFTER_MS) lookIn(EVERY_MS);
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
  for (const section of ["told", "subscriber"]) find(`[data-${section}]`).hidden = true;
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
  plans = await plansOnSale().catch(() => []);
  look();
};

find("[data-sign-in]").addEventListener("click", signIn);
// Back from the payment page, a browser may show this page as it was left.
window.addEventListener("pageshow", (event) => event.persisted && location.reload());
// A tab that nobody looks at may sleep; what it shows when it is looked at again is asked anew.
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && look());
whenSessionChanges(begin);
