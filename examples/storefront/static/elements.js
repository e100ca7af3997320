// Makes elements. Text goes in as text: nothing that a server says can become markup.

export const make = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
};

export const find = (selector, within = document) => within.querySelector(selector);

// In place of a list that is empty.
export const nothing = (...text) => make("p", { class: "empty" }, ...text);
