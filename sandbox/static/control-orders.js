// What the page asks and orders of the sandbox, through the same routes that any program may use.

import { find, write } from "./control-elements.js";

const ASK_MS = 10_000;

/** What is so at this moment. `/_control` is meant, unless the path begins with a slash. */
export async function ask(path) {
  const address = path.startsWith("/") ? path : `/_control/${path}`;
  const answer = await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(ASK_MS) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

/** Gives an order; a refusal is thrown with the sandbox's own sentence. */
export async function order(path, what) {
  const answer = await fetch(`/_control/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(what),
  });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(said.detail ?? `the sandbox answered ${answer.status}`);
  return said;
}

let hiding;

/** One sentence at the foot of the page, for some seconds. */
export function say(sentence, mood = "good") {
  const toast = find("toast");
  write("toast", sentence);
  toast.dataset.mood = mood;
  clearTimeout(hiding);
  hiding = setTimeout(() => write("toast", ""), mood === "bad" ? 12_000 : 5_000);
}

/** Does it with the button held down, says what came of it, and looks at everything again. */
export async function perform(button, act, look) {
  if (button.ariaBusy) return;
  button.disabled = true;
  button.ariaBusy = "true";
  try {
    say(await act());
  } catch (error) {
    say(error.message, "bad");
  } finally {
    button.disabled = false;
    button.ariaBusy = null;
    await look();
  }
}

/** Whether it can be pressed, unless what it began goes on. */
export function enable(button, isPossible) {
  if (!button.ariaBusy) button.disabled = !isPossible;
}
