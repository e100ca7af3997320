// Calls the two services that there are: the shop's own backend, and Counterfoil's checkout.

import { token, forget } from "./session.js";

const PATIENCE_MS = 30000; // the checkout answers within 25 seconds, whatever the gateway does

// Whatever is not a success. `code` is the service's own stable word, or `unreachable` where there was no answer.
export class Refusal extends Error {
  constructor(status, problem, waitSeconds) {
    super(problem.detail ?? problem.code ?? `status ${status}`);
    this.status = status;
    this.code = problem.code ?? "unexpected";
    this.orderId = problem.orderId;
    this.waitSeconds = waitSeconds;
  }
}

// `bearer` is the token to send, if any. `isAwaited` marks what nobody knows yet whether it was done.
const ask = async (address, options = {}, bearer = null) => {
  const headers = bearer === null ? options.headers : { ...options.headers, Authorization: `Bearer ${bearer}` };
  let answer;
  try {
    answer = await fetch(address, {
      ...options,
      headers,
      cache: "no-store",
      credentials: "omit",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
  } catch {
    throw new Refusal(0, { code: "unreachable" }, null);
  }
  const told = await answer.json().catch(() => ({}));
  if (answer.ok) return answer.status === 202 ? { ...told, isAwaited: true } : told;
  // A token that is not taken any longer is of no use to anybody. A late answer says nothing about the next one's.
  if (answer.status === 401 && bearer === token()) forget();
  throw new Refusal(answer.status, told, Number(answer.headers.get("Retry-After")) || null);
};

let config;
const configured = async () => {
  config ??= ask("/config").catch((refusal) => {
    config = undefined;
    throw refusal;
  });
  return config;
};

const own = (path) => ask(path, {}, token());
const checkout = async (path, options = {}) => {
  const bearer = token(); // of who asks now, whoever is signed in when we know where the checkout is
  return ask(`${(await configured()).checkout}${path}`, options, bearer);
};

export const demoUsers = async () => (await configured()).users;
export const plansOnSale = () => ask("/catalogue");
export const openSession = (email) => ask("/session", { method: "POST", body: JSON.stringify({ email }) });
export const mails = () => own("/mails");
export const notifications = () => own("/notifications");
export const access = () => checkout("/access");
export const orders = (limit) => checkout(`/orders?limit=${limit}`);
export const orderStatus = (id) => checkout(`/order-status/${encodeURIComponent(id)}`);

export const subscriptions = () => checkout("/subscriptions?limit=100");
export const invoices = (limit) => checkout(`/invoices?limit=${limit}`);

const post = (path, body, headers = {}) =>
  checkout(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
  });

// The same key and the same body, byte for byte, are the same wish: whoever repeats it gets the first answer.
export const createPayment = (planId, gateway, key) =>
  post("/create-payment", { planId, gateway }, { "Idempotency-Key": key });
export const createSubscription = (planId, gateway, key) =>
  post("/create-subscription", { planId, gateway }, { "Idempotency-Key": key });

// `change` is the last part of the route: cancel, pause, resume, change-plan, update-payment-method. Each says what is
// to be, so that asking twice does it once.
export const changeSubscription = (id, change, body = {}) =>
  post(`/subscriptions/${encodeURIComponent(id)}/${change}`, body);
