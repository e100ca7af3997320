// How a subscription stands, in a customer's words: what it gives, what comes next, and what they can do about it.

import { day, price, rhythm, when } from "./figures.js";

const cost = ({ amount, currency, interval }) => `${price(amount, currency)} ${rhythm({ interval })}`;

const TRIAL = "Free for now. Cancel before the trial ends, and nothing is charged.";

const running = (subscription) => {
  if (subscription.cancelAtPeriodEnd) {
    const end = subscription.endsAt ?? subscription.currentPeriodEnd;
    return {
      label: "Set to end",
      tone: "quiet",
      text: `It ends ${end ? `on ${day(end)}` : "with its period"}. Nothing more is charged.`,
      ways: ["keep", "cancel-now"],
    };
  }
  const isTrial = subscription.status === "trialing";
  return {
    label: isTrial ? "On trial" : "Active",
    tone: "good",
    text: isTrial ? TRIAL : "Thank you for subscribing.",
    ways: ["change-plan", "new-card", "pause", "cancel"],
  };
};

const incomplete = () => ({
  label: "Not begun",
  tone: "waiting",
  text: "Its payment page has not been finished. If you have paid a moment ago, this changes by itself.",
  ways: ["continue", "give-up"],
});

const failing = (text) => () => ({
  label: "Payment failed",
  tone: "bad",
  text,
  ways: ["pay", "new-card", "cancel-now"],
});

const paused = () => ({
  label: "Paused",
  tone: "quiet",
  text: "Nothing is charged until you resume it.",
  ways: ["resume", "cancel-now"],
});

const cancelled = ({ endedAt }) => ({
  label: "Cancelled",
  tone: "quiet",
  text: endedAt ? `It ended on ${day(endedAt)}.` : "It has ended.",
  ways: [],
});

const expired = ({ currentPeriodStart }) => ({
  label: currentPeriodStart ? "Ended" : "Never begun",
  tone: "quiet",
  text: currentPeriodStart ? "It has come to its end." : "Its payment page closed before it was paid.",
  ways: [],
});

const BY_STATUS = {
  incomplete,
  trialing: running,
  active: running,
  past_due: failing("The last payment failed. It is tried again by itself; or pay it now, with this card or another."),
  unpaid: failing("The payment failed again and again, and is not tried any more. It can still be paid."),
  paused,
  cancelled,
  expired,
};

// Of a subscription as the checkout tells it.
export const standing = (subscription) =>
  (BY_STATUS[subscription.status] ?? (({ status }) => ({ label: status, tone: "quiet", text: "", ways: [] })))(
    subscription,
  );

const NOT_NOW = {
  incomplete: "not yet",
  payment_failed: "not until the open payment is made",
  paused: "not while it is paused",
  cancelled: "not any more",
  ended: "not any more",
};

// What it lets the customer do at this moment: the checkout decides that, and the page only says it.
export const gives = ({ access: { active, until, reason } }) => {
  if (!active) return NOT_NOW[reason] ?? "not now";
  if (reason === "grace") return "yes, while the next payment is on its way";
  return until ? `yes, until ${when(until)}` : "yes";
};

const CHARGING = ["trialing", "active"];

// When the gateway charges next, and how much; null where it does not. Of a change to come only it knows the price.
export const nextPayment = (subscription) => {
  const at = subscription.status === "trialing" ? subscription.trialEnd : subscription.currentPeriodEnd;
  if (!CHARGING.includes(subscription.status) || subscription.cancelAtPeriodEnd || at === null) return null;
  const isKnown = subscription.amount !== null && subscription.pendingPlanId === null;
  return isKnown ? `${price(subscription.amount, subscription.currency)} on ${day(at)}` : day(at);
};

export const costs = (subscription) => (subscription.amount === null ? null : cost(subscription));

// Asked for, and nobody knows yet whether it was done. What is planned for later is known.
export const isAwaited = ({ changePending, pendingPlanId }) => changePending && pendingPlanId === null;

// These change without anybody's doing here.
export const mayChange = (subscription) => subscription.status === "incomplete" || isAwaited(subscription);

export const hasEnded = ({ status }) => status === "cancelled" || status === "expired";

const REASONS = { first: "First payment", renewal: "Renewal", change: "Change of plan", other: "Other" };
const INVOICES = {
  paid: { label: "Paid", tone: "good" },
  open: { label: "To be paid", tone: "bad" },
  uncollectible: { label: "To be paid", tone: "bad" },
  void: { label: "Taken back", tone: "quiet" },
};

// An invoice that the gateway tries to charge at this moment has not failed.
export const invoiceStanding = ({ status, reason, failure }) => ({
  ...(INVOICES[status] ?? { label: status, tone: "quiet" }),
  ...(status === "open" && !failure ? { label: "On its way", tone: "waiting" } : {}),
  what: REASONS[reason] ?? "Invoice",
});
