// How an order stands, in a customer's words, and what they can do about it.

import { money, when } from "./figures.js";

// What helps, by the `action` of the failure. `wait` offers nothing: paying again is what must not happen.
const PAY_ACTIONS = {
  retry: "Try again",
  update_card: "Use another card",
  contact_bank: "Use another card",
  authenticate: "Confirm with your bank",
};

const LOOKED_INTO =
  "This payment is being looked into, and what becomes of it shows here by itself. " +
  "Its payment page cannot be opened from here.";

const pending = ({ failure, canResume }) => {
  if (failure?.action !== "wait" && !canResume) {
    const text = failure ? `${failure.message} ${LOOKED_INTO}` : LOOKED_INTO;
    return { label: "Being looked into", tone: "waiting", text };
  }
  if (!failure) {
    const text = "Not paid yet. If you have paid a moment ago, this changes by itself.";
    return { label: "Payment pending", tone: "waiting", text, way: { kind: "resume", label: "Continue paying" } };
  }
  if (failure.action === "wait") return { label: "Being looked into", tone: "waiting", text: failure.message };
  const way = { kind: "resume", label: PAY_ACTIONS[failure.action] ?? "Try again" };
  return { label: "Not paid yet", tone: "bad", text: failure.message, way };
};

const paid = ({ paidAt, amountRefunded, currency }) => {
  const refunded = amountRefunded ? ` ${money(amountRefunded, currency)} of it came back to you.` : "";
  const came = paidAt ? ` The payment came on ${when(paidAt)}.` : "";
  return { label: "Paid", tone: "good", text: `Thank you.${came}${refunded}` };
};

const failed = ({ failure }) => ({
  label: "Failed",
  tone: "bad",
  text: failure?.message ?? "The payment failed.",
  way: failure?.action === "wait" ? undefined : { kind: "buy", label: PAY_ACTIONS[failure?.action] ?? "Try again" },
});

const cancelled = ({ failure }) => ({
  label: "Cancelled",
  tone: "quiet",
  text: failure?.message ?? "Its payment page closed, and no payment has reached the shop.",
  way: failure?.action === "wait" ? undefined : { kind: "buy", label: "Buy after all" },
});

const refunded = ({ amountRefunded, currency }) => ({
  label: "Refunded",
  tone: "quiet",
  text: `${money(amountRefunded, currency)} are on their way back. Banks take some days to show it.`,
});

const disputed = () => ({
  label: "Under review",
  tone: "quiet",
  text: "The bank has asked about this payment. Nothing is for you to do.",
});

const BY_STATUS = { pending, paid, failed, cancelled, refunded, disputed };

// Of an order as the checkout tells it, and whether its page can be opened from here (`canResume`).
export const standing = (order) =>
  (BY_STATUS[order.status] ?? (() => ({ label: order.status, tone: "quiet", text: "" })))(order);

// Money may still arrive for these, or their page is still open: they are asked after again.
export const mayChange = ({ status }) => status === "pending";
