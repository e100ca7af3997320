// A subscriber's part of the account: how each subscription stands, what can be done about it, and what it has cost.

import { changeSubscription } from "./calls.js";
import { buy } from "./buying.js";
import { make, nothing } from "./elements.js";
import { day, gatewayName, money, price, rhythm } from "./figures.js";
import { explain } from "./refusals.js";
import { signIn } from "./signing-in.js";
import { costs, gives, invoiceStanding, isAwaited, nextPayment, standing } from "./subscription-standings.js";

const AWAITED =
  "The payment provider has not answered yet whether that was done. " +
  "We keep asking, and this page looks again by itself.";

// Draws subscriptions. `plansOnSale` are what one could change to; `invoices` lead to what is to be paid; `changed` is
// called when an answer is here, with the subscription as it is now.
export const drawSubscriptions = (listed, { plansOnSale, invoices, changed }) => {
  const draw = (subscription) => card(subscription, { plansOnSale, invoices, changed });
  return make("ul", { class: "orders" }, listed.map(draw));
};

const card = (subscription, about) => {
  const { label, tone, text, ways } = standing(subscription);
  const notice = make("div", { "data-notice": true });
  const press = pressing(subscription, notice, about.changed);
  const drawn = ways.map((way) => WAYS[way](subscription, press, about)).filter(Boolean);
  return make(
    "li",
    { class: "order", "data-subscription": subscription.subscriptionId, tabindex: -1 },
    make(
      "div",
      { class: "head" },
      make("strong", {}, subscription.planName ?? "Subscription"),
      make("span", { class: "amount" }, costs(subscription)),
      make("span", { class: `badge ${tone}` }, label),
    ),
    make("p", { class: "text" }, text),
    figures(subscription),
    plannedChange(subscription, about.plansOnSale),
    isAwaited(subscription) && make("p", { class: "notice waiting", role: "status" }, AWAITED),
    make(
      "p",
      { class: "soft small" },
      `Since ${day(subscription.createdAt)}, at ${gatewayName(subscription.gateway)}`,
      make("span", { class: "id" }, subscription.subscriptionId),
    ),
    notice,
    drawn.length > 0 && make("div", { class: "ways" }, drawn),
  );
};

const figures = (subscription) => {
  const next = nextPayment(subscription);
  const lines = [["You may use it", gives(subscription)], next !== null && ["Next payment", next]].filter(Boolean);
  const line = ([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value));
  return make("dl", { class: "figures" }, lines.map(line));
};

const plannedChange = ({ pendingPlanId, currentPeriodEnd }, plansOnSale) => {
  if (pendingPlanId === null) return null;
  const name = plansOnSale.find(({ id }) => id === pendingPlanId)?.name ?? pendingPlanId;
  const from = currentPeriodEnd ? ` on ${day(currentPeriodEnd)} at the latest` : "";
  const text = `It changes to ${name}${from}: as soon as that is paid, or with the next period.`;
  return make("p", { class: "text" }, text);
};

// One change at a time, of all subscriptions on the page: the record may stand differently after it.
let isGoing = false;
export const isChanging = () => isGoing;

const pressing = (subscription, notice, changed) => async (button, act) => {
  if (isGoing) return;
  isGoing = true;
  button.disabled = true;
  notice.replaceChildren();
  const rest = () => {
    isGoing = false;
    button.disabled = false;
  };
  try {
    const told = await act();
    if (told.url) {
      location.assign(told.url);
      return;
    }
    rest();
    button.closest("details")?.removeAttribute("open");
    if (told.isAwaited) notice.replaceChildren(make("p", { class: "notice waiting", role: "status" }, AWAITED));
    changed({ ...subscription, ...told });
  } catch (refusal) {
    rest();
    explain(notice, refusal, { again: () => button.click(), signIn });
  }
};

const button = (label, kind, press, act) => {
  const made = make("button", { type: "button", class: kind, onclick: () => press(made, act) }, label);
  return made;
};

const asking = (change, body) => ({ subscriptionId }) => changeSubscription(subscriptionId, change, body);
const way = (label, kind, act) => (subscription, press) => button(label, kind, press, () => act(subscription));

const cancelAtEnd = asking("cancel", { atPeriodEnd: true });
const cancelNow = asking("cancel", { atPeriodEnd: false });
const resume = asking("resume");

// What is asked about twice before it is done, or offers a choice; the keyboard opens it too.
const choice = (label, text, buttons) =>
  make(
    "details",
    { class: "choice-of" },
    make("summary", { class: "button second" }, label),
    make("p", { class: "soft small" }, text),
    make("div", { class: "ways" }, buttons),
  );

const confirmCancel = (subscription, press) =>
  choice("Cancel", "What is paid for can be used until its end; or give it up at once. Nothing is paid back.", [
    button("At the end of the period", "second", press, () => cancelAtEnd(subscription)),
    button("Now", "danger", press, () => cancelNow(subscription)),
  ]);

const confirmCancelNow = (subscription, press) =>
  choice("Cancel now", "It ends at once. Nothing is paid back.", [
    button("End it", "danger", press, () => cancelNow(subscription)),
  ]);

const choosePlan = (subscription, press, { plansOnSale }) => {
  const others = plansOnSale.filter((plan) => plan.id !== subscription.planId && fits(plan, subscription));
  if (others.length === 0) return null;
  const change = ({ id }) => asking("change-plan", { planId: id })(subscription);
  const named = (plan) => `${plan.name}, ${price(plan.priceCents, plan.currency)} ${rhythm(plan)}`;
  return choice(
    "Change plan",
    "What costs more is charged for now, and what is paid counts. What costs less begins with the next period.",
    others.map((plan) => button(named(plan), "second", press, () => change(plan))),
  );
};

const fits = ({ interval, gateways, currency }, subscription) =>
  interval !== null && currency === subscription.currency && gateways.includes(subscription.gateway);

const payLink = ({ subscriptionId }, _press, { invoices }) => {
  const unpaid = invoices.find((invoice) => invoice.subscriptionId === subscriptionId && invoice.payUrl);
  if (!unpaid) return null;
  const amount = money(unpaid.amount, unpaid.currency);
  return make("a", { class: "button primary", href: unpaid.payUrl }, `Pay ${amount} now`);
};

const goOn = async ({ planId, interval, gateway }) => ({
  url: await buy({ id: planId, interval: interval ?? "month" }, gateway),
});

const WAYS = {
  continue: way("Continue", "primary", goOn),
  "give-up": way("Give it up", "second", cancelNow),
  pay: payLink,
  keep: way("Keep it", "primary", resume),
  resume: way("Resume", "primary", resume),
  "change-plan": choosePlan,
  "new-card": way("New card", "second", asking("update-payment-method")),
  pause: way("Pause", "second", asking("pause")),
  cancel: confirmCancel,
  "cancel-now": confirmCancelNow,
};

const period = ({ periodStart, periodEnd }) =>
  periodStart && periodEnd ? `${day(periodStart)} to ${day(periodEnd)}` : null;

const invoiceLine = (invoice) => {
  const { label, tone, what } = invoiceStanding(invoice);
  const link = invoice.payUrl ?? invoice.receiptUrl;
  return make(
    "li",
    { "data-invoice": invoice.invoiceId },
    make("strong", {}, `${invoice.planName ?? "Subscription"}: ${what.toLowerCase()}`),
    make("span", { class: "amount" }, money(invoice.amount, invoice.currency)),
    make("span", { class: `badge ${tone}` }, label),
    make(
      "span",
      { class: "soft small line" },
      [period(invoice), invoice.number, invoice.failure?.message].filter(Boolean).join(" · "),
    ),
    link && make("a", { class: "small", href: link }, invoice.payUrl ? "Pay it" : "Receipt"),
  );
};

// A trial's invoice over nothing tells a customer nothing.
export const drawInvoices = (listed) => {
  const due = listed.filter(({ amount }) => amount > 0);
  if (due.length === 0) return nothing("Nothing has been billed yet.");
  return make("ul", { class: "access" }, due.map(invoiceLine));
};
