// Draws a part of the page anew under a customer's hand: what they have opened stays open, and the focus where it is.

const ITEM = "[data-subscription], [data-order]";
const REACHED = `${ITEM}, summary, button, a`;

// The same thing before and after: of the same item, in the same words; an item is itself, whatever it says.
const nameOf = (element) => {
  const item = element.closest(ITEM);
  const words = element === item ? null : element.textContent;
  return JSON.stringify([item?.dataset.subscription ?? item?.dataset.order, words]);
};

export const redraw = (part, drawn) => {
  const opened = [...part.querySelectorAll("details[open] > summary")].map(nameOf);
  const focused = part.contains(document.activeElement) ? nameOf(document.activeElement) : null;
  part.replaceChildren(...drawn);
  for (const summary of part.querySelectorAll("summary")) {
    if (opened.includes(nameOf(summary))) summary.parentElement.open = true;
  }
  if (focused === null) return;
  [...part.querySelectorAll(REACHED)].find((each) => nameOf(each) === focused)?.focus({ preventScroll: true });
};
