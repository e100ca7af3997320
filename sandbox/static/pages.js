// Comforts only: digits in groups, a test card filled in by one press, and a button that is pressed once.
"use strict";

(() => {
  const ANSWER_MS = 20000; // after so long without an answer the button may be pressed again

  const digits = (text) => text.replace(/\D/g, "");

  const expiry = (text) => {
    const known = digits(text.replace(/^\s*(\d)\s*\//, "0$1/").replace(/\/\s*20(?=\d\d)/, "/"));
    const padded = /^[2-9]/.test(known) ? `0${known}` : known;
    return padded.length < 2 ? padded : `${padded.slice(0, 2)} / ${padded.slice(2, 4)}`;
  };

  const WRITTEN = {
    number: (text) => digits(text).slice(0, 19).replace(/\d{4}(?=\d)/g, "$& "),
    expiry,
    csc: (text) => digits(text).slice(0, 4),
  };

  const forget = (input) => {
    input.removeAttribute("aria-invalid");
    document.getElementById(`${input.name}-mistake`)?.remove();
  };

  document.addEventListener("input", ({ target, inputType }) => {
    forget(target);
    const write = WRITTEN[target.name];
    const isAtEnd = target.selectionStart === target.value.length;
    // Where something is taken away, or put in between, the hand knows better.
    if (write && isAtEnd && !inputType?.startsWith("delete")) target.value = write(target.value);
  });

  for (const button of document.querySelectorAll("[data-fill]")) {
    const { fill, ...values } = button.dataset;
    button.hidden = false;
    button.addEventListener("click", () => {
      let form;
      for (const [name, value] of Object.entries(values)) {
        const input = document.getElementById(name);
        input.value = value;
        forget(input);
        form = input.form;
      }
      form.querySelector("[type=submit]").focus();
    });
  }

  let pressed = null;

  const release = () => {
    if (!pressed) return;
    pressed.removeAttribute("aria-disabled");
    pressed.textContent = pressed.dataset.label;
    pressed = null;
  };

  document.addEventListener("submit", (event) => {
    if (pressed) {
      event.preventDefault();
      return;
    }
    pressed = event.submitter ?? event.target.querySelector("[type=submit]");
    pressed.dataset.label = pressed.textContent;
    // Not `disabled`: that would take the button's value out of what is sent, and the focus away.
    pressed.setAttribute("aria-disabled", "true");
    pressed.textContent = "Processing…";
    document.querySelector("[data-progress]").textContent = "Your payment is being processed. Please wait.";
    setTimeout(release, ANSWER_MS);
  });

  // Kept in memory and brought back as it was: the truth may be another by now.
  addEventListener("pageshow", ({ persisted }) => {
    if (persisted) location.reload();
  });
})();
