// The dialog that signs somebody in, and the corner of each page that says who is.

import { demoUsers, openSession } from "./calls.js";
import { find, make } from "./elements.js";
import { wordsFor } from "./refusals.js";
import { forget, keep, user, whenSessionChanges } from "./session.js";

const firstName = (email) => {
  const [name] = email.split("@");
  return name.charAt(0).toUpperCase() + name.slice(1);
};

// Resolves to true once somebody has signed in, to false when they would rather not.
export const signIn = async () => {
  const notice = make("p", { class: "notice", role: "alert", hidden: true });
  const enter = async (email) => {
    try {
      keep(await openSession(email));
      dialog.close("in");
    } catch (refusal) {
      notice.textContent = refusal.code === "invalid_email" ? refusal.message : wordsFor(refusal).text;
      notice.hidden = false;
    }
  };
  const users = make("div", { class: "users" });
  const other = make("input", {
    name: "name",
    autocomplete: "off",
    maxlength: 40,
    placeholder: "dora",
    required: true,
    pattern: "[A-Za-z0-9][A-Za-z0-9._+\\-]*",
    title: "Letters and digits",
  });
  const form = make(
    "form",
    {
      class: "other",
      onsubmit: (event) => {
        event.preventDefault();
        enter(`${other.value}@example.com`);
      },
    },
    make("label", {}, "Somebody new", make("span", { class: "address" }, other, "@example.com")),
    make("button", { type: "submit", class: "second" }, "Sign in"),
  );
  const dialog = make(
    "dialog",
    { "aria-labelledby": "sign-in-title" },
    make("h2", { id: "sign-in-title" }, "Who is writing?"),
    make("p", { class: "soft" }, "Demo users need no password."),
    notice,
    users,
    form,
    make("button", { type: "button", class: "plain", onclick: () => dialog.close("out") }, "Not now"),
  );
  document.body.append(dialog);
  const closed = new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "in")));
  dialog.showModal();
  try {
    for (const email of await demoUsers()) {
      users.append(
        make(
          "button",
          { type: "button", class: "user", onclick: () => enter(email) },
          make("span", { class: "face", "aria-hidden": "true" }, firstName(email).charAt(0)),
          make("span", {}, make("strong", {}, firstName(email)), make("span", { class: "soft" }, email)),
        ),
      );
    }
  } catch (refusal) {
    notice.textContent = wordsFor(refusal).text;
    notice.hidden = false;
  }
  find("button", users)?.focus();
  const isIn = await closed;
  dialog.remove();
  return isIn;
};

// The corner of the page that says who is signed in.
whenSessionChanges(() => {
  const email = user();
  find("[data-who]").replaceChildren(
    ...(email
      ? [
          make("span", { class: "face", "aria-hidden": "true", title: email }, firstName(email).charAt(0)),
          make("span", { class: "name" }, firstName(email)),
          make("button", { type: "button", class: "plain", onclick: forget }, "Sign out"),
        ]
      : [make("button", { type: "button", class: "second", onclick: signIn }, "Sign in")]),
  );
});
