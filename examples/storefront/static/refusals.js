// What went wrong in a customer's words, and the way on. The codes are Counterfoil's (docs/checkout.md, "Refusals").

import { make } from "./elements.js";

const AGAIN = "again"; // the same wish once more: its key is kept, and nothing happens twice
const SIGN_IN = "sign in";
const ORDERS = "orders";
const RELOAD = "reload";

const inWords = (seconds) => (seconds > 90 ? `${Math.ceil(seconds / 60)} minutes` : `${Math.ceil(seconds)} seconds`);

const BY_CODE = {
  gateway_refused: [
    "The payment provider could not open its page. Your order is kept, and nothing was charged.",
    AGAIN,
    ORDERS,
  ],
  gateway_unknown: [
    "The payment provider has not answered yet. Your order is kept, and trying again cannot charge you twice.",
    AGAIN,
    ORDERS,
  ],
  key_in_use: ["Your first click is still being worked on.", AGAIN],
  key_reused: ["This wish was made before, and was another one. Please choose again.", AGAIN],
  order_over: [
    "That order has ended in the meantime, paid or not. See how it stands before you buy again.",
    ORDERS,
    AGAIN,
  ],
  already_subscribed: ["You have a subscription of this plan, or have begun one. See how it stands.", ORDERS],
  already_on_plan: ["Your subscription is on this plan.", RELOAD],
  subscription_ended: ["This subscription has ended, and nothing can be changed about it any more.", RELOAD],
  subscription_incomplete: ["This subscription has not begun: its payment page comes first.", RELOAD],
  change_pending: ["Another change of this subscription still waits for the payment provider’s answer."],
  page_lost: ["The payment page of this order cannot be opened from here. What becomes of it shows here by itself."],
  invalid_plan: ["This plan cannot be bought any more, or not there.", RELOAD],
  invalid_gateway: ["This payment provider cannot be used at the moment. Please choose another.", RELOAD],
  no_sessions: ["This shop cannot sign anybody in: its backend does not hold the secret that signs tokens.", RELOAD],
  unreachable: ["The shop cannot be reached at the moment. Nothing was charged.", AGAIN],
};

export const wordsFor = ({ status, code, message, waitSeconds }) => {
  if (status === 401) return { text: "You have been signed out. Please sign in again to go on.", ways: [SIGN_IN] };
  if (status === 429) {
    const text = `These were many attempts in a short time. Please try again in ${inWords(waitSeconds ?? 60)}.`;
    return { text, ways: [AGAIN] };
  }
  // Why a gateway cannot do it, it alone can say.
  if (code === "gateway_cannot") return { text: `That is not possible. ${message}.`, ways: [] };
  const [text, ...ways] = BY_CODE[code] ?? ["The shop cannot answer at the moment. Nothing was charged.", AGAIN];
  return { text, ways };
};

// Puts the words where they belong, with a button for each way on, and brings them into view.
export const explain = (place, refusal, { again, signIn }) => {
  const { text, ways } = wordsFor(refusal);
  const button = (label, onclick) => make("button", { type: "button", class: "second", onclick }, label);
  const buttons = {
    [AGAIN]: () => button("Try again", again),
    [SIGN_IN]: () => button("Sign in", signIn),
    [RELOAD]: () => button("Load anew", () => location.reload()),
    [ORDERS]: () => make("a", { class: "button second", href: "/account" }, "See your account"),
  };
  const notice = make(
    "div",
    { class: "notice", role: "alert" },
    make("p", {}, text),
    ways.length > 0 && make("div", { class: "ways" }, ways.map((way) => buttons[way]())),
  );
  place.replaceChildren(notice);
  notice.scrollIntoView({ block: "nearest" });
};
