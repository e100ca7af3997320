// What was sent: the mails to a customer, and what Counterfoil told the shop about them.

import { make, nothing } from "./elements.js";
import { when } from "./figures.js";

export const drawMails = (letters) => {
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

const about = ({ subscriptionId, orderId }) =>
  subscriptionId ? `subscription ${subscriptionId}` : `order ${orderId}`;

export const drawNotifications = (notices) =>
  make(
    "ul",
    { class: "access" },
    notices.map(({ type, createdAt, data }) =>
      make(
        "li",
        {},
        make("code", {}, type),
        make("span", { class: "soft small" }, `${when(createdAt)}, ${about(data)}`),
      ),
    ),
  );
