// Asks how the order stands, and shows it. It decides nothing: our record does, and the gateway's word is behind it.
"use strict";

(() => {
  const shown = document.querySelector("[data-order]");
  if (!shown) return;

  const EVERY_MS = 2000; // while the order is pending
  const MAY_RECOVER = ["failed", "cancelled"]; // money may still arrive for an order that was given up
  const SOON_TIMES = 30; // most of it within a minute
  const LATE_MS = 10000;
  const LATE_TIMES = 90;
  let times = 0;

  const { order, token } = shown.dataset;
  const address = `../order-status/${encodeURIComponent(order)}?token=${encodeURIComponent(token)}`;

  const stateOf = ({ status, failure }) => {
    if (status !== "pending") return status;
    if (!failure) return "processing";
    return failure.code === "unknown" ? "unknown" : "declined";
  };

  const show = (standing) => {
    const state = stateOf(standing);
    for (const section of shown.querySelectorAll("[data-state]")) {
      section.hidden = section.dataset.state !== state;
      const reason = section.querySelector("[data-failure]");
      if (reason && !section.hidden) reason.textContent = standing.failure?.message ?? "";
    }
    const paidAt = document.querySelector("[data-paid-at]");
    if (standing.paidAt && !paidAt.textContent) {
      paidAt.textContent = new Date(standing.paidAt).toLocaleString(undefined, { dateStyle: "long", timeStyle: "short" });
      paidAt.parentElement.hidden = false;
    }
  };

  const nextLookMs = (status) => {
    if (status === "pending") return EVERY_MS;
    if (!MAY_RECOVER.includes(status) || times++ >= LATE_TIMES) return null;
    return times < SOON_TIMES ? EVERY_MS : LATE_MS;
  };

  const look = async () => {
    let wait = EVERY_MS;
    try {
      const answer = await fetch(address, { cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(10000) });
      if (answer.ok) {
        const standing = await answer.json();
        show(standing);
        wait = nextLookMs(standing.status);
      } else if (answer.status < 500 && answer.status !== 429) {
        wait = null; // The address is wrong, and stays wrong.
      }
    } catch {
      // The network or the service is away for a moment: what is shown stays, and we ask again.
    }
    if (wait !== null) setTimeout(look, wait);
  };

  setTimeout(look, EVERY_MS / 4);
})();
