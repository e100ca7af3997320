// From a click to the gateway's page, and never to two orders.
//
// An intent is what one customer wants to buy, and where: it gets its Idempotency-Key before the first request, and
// keeps it through reloads, the back button and lost answers, for as long as its order can be paid. Intents belong to
// their tab; once there is an order, its key is known to all tabs, and it alone leads back to that order's page.

import { Refusal, createPayment, createSubscription, orderStatus } from "./calls.js";
import { dropKey, keepKey, keyOf } from "./keys.js";
import { user } from "./session.js";

const KEPT = "quillwork.intents";
const BUSY_TIMES = 5;
const OVER = ["order_over", "key_reused", "invalid_plan", "invalid_gateway", "already_subscribed"];

const all = () => JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
const nameOf = (email, planId, gateway) => JSON.stringify([email, planId, gateway]);

const keep = (name, intent) => sessionStorage.setItem(KEPT, JSON.stringify({ ...all(), [name]: intent }));
const drop = (name) => {
  const { [name]: _, ...others } = all();
  sessionStorage.setItem(KEPT, JSON.stringify(others));
};

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

// Whether its page was opened, and the order takes no payment any more: the next click is a new wish.
const isOver = async ({ orderId, isOpened }) => {
  if (!isOpened) return false; // no page was ever seen: the same key goes on with the same order
  try {
    return (await orderStatus(orderId)).status !== "pending";
  } catch (refusal) {
    if (refusal.status === 404) return true;
    throw refusal;
  }
};

const intentFor = async (email, name) => {
  const kept = all()[name];
  if (kept && !(await isOver(kept))) return kept;
  if (kept) dropKey(email, kept.orderId);
  const fresh = { key: crypto.randomUUID() };
  keep(name, fresh);
  return fresh;
};

// A key says nothing under another user's token: there it would open an order of theirs.
const insistOn = (email) => {
  if (user() !== email) throw new Refusal(401, { code: "unauthenticated" });
};

const opened = async (email, create, planId, gateway, key) => {
  for (let times = 0; ; times += 1) {
    insistOn(email);
    try {
      return await create(planId, gateway, key);
    } catch (refusal) {
      if (refusal.code !== "key_in_use" || times >= BUSY_TIMES) throw refusal;
      await pause(refusal.waitSeconds ?? 2);
    }
  }
};

// The address of the gateway's page for a plan that is paid once, or again and again (`interval`). Raises the refusal
// that it met. Of a subscription that was begun and not paid it is the same page again, whatever the key.
export const buy = async ({ id, interval }, gateway) => {
  const email = user();
  const create = interval ? createSubscription : createPayment;
  const name = nameOf(email, id, gateway);
  const intent = await intentFor(email, name);
  try {
    const { orderId, url } = await opened(email, create, id, gateway, intent.key);
    keep(name, { ...intent, orderId, isOpened: true });
    keepKey(email, orderId, intent.key);
    insistOn(email);
    return url;
  } catch (refusal) {
    if (OVER.includes(refusal.code)) drop(name);
    else if (refusal.orderId) keepKey(email, refusal.orderId, intent.key);
    throw refusal;
  }
};

export const canResume = ({ orderId }) => keyOf(user(), orderId) !== null;

// The address of the page of an order that waits, by its own key. Never makes an order: without the key it refuses.
export const resume = async ({ orderId, planId, gateway }) => {
  const email = user();
  const key = keyOf(email, orderId);
  if (key === null) throw new Refusal(0, { code: "page_lost" });
  try {
    const page = await opened(email, createPayment, planId, gateway, key);
    if (page.orderId !== orderId) throw new Refusal(0, { code: "page_lost" });
    insistOn(email);
    return page.url;
  } catch (refusal) {
    if (refusal.code === "page_lost" || OVER.includes(refusal.code)) dropKey(email, orderId);
    throw refusal;
  }
};

// Of orders as they stand now: a key leads nowhere any more once its order has ended.
export const dropKeysOfEnded = (orders) => {
  for (const { orderId, status } of orders) if (status !== "pending") dropKey(user(), orderId);
};
