// The shop window: what is for sale, and the way to its payment page.

import { access, plansOnSale } from "./calls.js";
import { buy } from "./buying.js";
import { find, make } from "./elements.js";
import { gatewayName, price, rhythm } from "./figures.js";
import { explain } from "./refusals.js";
import { user, whenSessionChanges } from "./session.js";
import { signIn } from "./signing-in.js";

const shelf = find("[data-plans]");
let plans = [];
let isGoing = false;

const choice = (plan) =>
  make(
    "fieldset",
    { class: "choice" },
    make("legend", {}, "Pay with"),
    plan.gateways.map((gateway, index) =>
      make(
        "label",
        {},
        make("input", { type: "radio", name: `gateway-${plan.id}`, value: gateway, checked: index === 0 }),
        make("span", {}, gatewayName(gateway)),
      ),
    ),
  );

const whyNot = (plan) => (plan.gateways.length === 0 ? "No payment provider takes it yet" : null);

const wayIn = ({ interval, trialDays }) => {
  if (!interval) return "Buy";
  return trialDays > 0 ? "Try it for free" : "Subscribe";
};

const card = (plan) => {
  const reason = whyNot(plan);
  const button = make("button", { type: "submit", class: "primary", disabled: reason !== null }, reason ?? wayIn(plan));
  return make(
    "form",
    { class: reason ? "plan later" : "plan", "data-plan": plan.id, onsubmit: (event) => submit(event, plan) },
    make("h3", {}, plan.name),
    make("p", { class: "soft" }, plan.description),
    make(
      "p",
      { class: "price" },
      make("strong", {}, price(plan.priceCents, plan.currency)),
      ` ${rhythm(plan)}`,
      plan.trialDays > 0 && make("span", { class: "trial" }, `The first ${plan.trialDays} days are free`),
    ),
    make("p", { class: "yours", hidden: true }, "Yours already"),
    !reason && plan.gateways.length > 1 && choice(plan),
    make("div", { "data-notice": true }),
    button,
  );
};

const submit = (event, plan) => {
  event.preventDefault();
  const form = event.currentTarget;
  if (plan.interval && isOwned(form)) {
    location.assign("/account");
    return;
  }
  const gateway = form.elements[`gateway-${plan.id}`]?.value ?? plan.gateways[0];
  go(form, plan, gateway);
};

const go = async (form, plan, gateway) => {
  if (isGoing) return; // a second click while the first is on its way
  isGoing = true;
  const button = find("button[type=submit]", form);
  const notice = find("[data-notice]", form);
  const again = () => go(form, plan, gateway);
  button.disabled = true;
  notice.replaceChildren();
  try {
    if (!user() && !(await signIn())) return rest(form);
    button.textContent = `Opening ${gatewayName(gateway)}…`;
    location.assign(await buy(plan, gateway));
  } catch (refusal) {
    rest(form);
    explain(notice, refusal, { again, signIn: async () => (await signIn()) && again() });
  }
};

const isOwned = (form) => !find(".yours", form).hidden;

// What is paid once may be bought again: here one tries things out. A subscription of a plan there is one of.
const name = (form) => {
  const button = find("button[type=submit]", form);
  const plan = plans.find(({ id }) => id === form.dataset.plan);
  if (button.disabled) return;
  if (!isOwned(form)) button.textContent = wayIn(plan);
  else button.textContent = plan.interval ? "See your subscription" : "Buy again";
};

const rest = (form) => {
  isGoing = false;
  find("button[type=submit]", form).disabled = false;
  name(form);
};

const mark = (owned) => {
  const ids = new Set(owned.filter(({ active }) => active).map(({ planId }) => planId));
  for (const form of shelf.querySelectorAll("[data-plan]")) {
    find(".yours", form).hidden = !ids.has(form.dataset.plan);
    if (!isGoing) name(form);
  }
};

const markYours = async () => {
  const whose = user();
  mark([]); // what is the former user's is nobody else's
  const owned = whose ? await access().catch(() => []) : [];
  if (whose === user()) mark(owned);
};

const show = async () => {
  try {
    plans = await plansOnSale();
    // What can be bought today comes first.
    plans.sort((one, other) => (whyNot(one) !== null) - (whyNot(other) !== null));
    shelf.replaceChildren(...plans.map(card));
    if (plans.length === 0) shelf.replaceChildren(make("p", { class: "empty" }, "Nothing is for sale at the moment."));
    whenSessionChanges(markYours);
  } catch (refusal) {
    explain(shelf, refusal, { again: show, signIn });
  }
  shelf.removeAttribute("aria-busy");
};

// Back from the payment page, a browser may show this page as it was left: with its button still waiting.
window.addEventListener("pageshow", (event) => event.persisted && location.reload());

find("[data-scripted]").hidden = false;
show();
