// Who is signed in, for all tabs of this browser.

const KEPT = "quillwork.session";

const kept = () => {
  try {
    return JSON.parse(localStorage.getItem(KEPT));
  } catch {
    return null;
  }
};

export const user = () => kept()?.email ?? null;
export const token = () => kept()?.token ?? null;

const changed = () => document.dispatchEvent(new Event("session"));

export const keep = (session) => {
  localStorage.setItem(KEPT, JSON.stringify(session));
  changed();
};

export const forget = () => {
  if (!kept()) return;
  localStorage.removeItem(KEPT);
  changed();
};

// Calls `tell` now, and whenever somebody signs in or out, in this tab or in another.
export const whenSessionChanges = (tell) => {
  document.addEventListener("session", tell);
  window.addEventListener("storage", (event) => event.key === KEPT && tell());
  tell();
};
