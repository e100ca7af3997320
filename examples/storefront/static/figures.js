// Amounts and times as people write them.

const LANGUAGE = document.documentElement.lang;

// Whole numbers in minor units: how many decimals that is, only the currency knows (two for USD, none for JPY).
export const money = (minor, currency, options = {}) => {
  const format = new Intl.NumberFormat(LANGUAGE, { style: "currency", currency: currency.toUpperCase(), ...options });
  return format.format(minor / 10 ** format.resolvedOptions().maximumFractionDigits);
};

export const price = (minor, currency) => money(minor, currency, { trailingZeroDisplay: "stripIfInteger" });

export const when = (text) =>
  new Intl.DateTimeFormat(LANGUAGE, { dateStyle: "medium", timeStyle: "short" }).format(new Date(text));

export const day = (text) => new Intl.DateTimeFormat(LANGUAGE, { dateStyle: "long" }).format(new Date(text));

const PER = { month: "a month", year: "a year" };

// How often a price is paid.
export const rhythm = ({ interval }) => (interval ? (PER[interval] ?? `every ${interval}`) : "paid once");

export const GATEWAYS = { stripe: "Stripe", razorpay: "Razorpay" };
export const gatewayName = (name) => GATEWAYS[name] ?? name ?? "the payment provider";
