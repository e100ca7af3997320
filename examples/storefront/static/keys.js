// The key of each order that was opened here, where all tabs of its customer find it.
//
// Whoever asks for a page without the key of its order may be given another order, and pay twice.

const nameOf = (email, orderId) => `quillwork.key ${JSON.stringify([email, orderId])}`;

export const keyOf = (email, orderId) => localStorage.getItem(nameOf(email, orderId));
export const keepKey = (email, orderId, key) => localStorage.setItem(nameOf(email, orderId), key);
export const dropKey = (email, orderId) => localStorage.removeItem(nameOf(email, orderId));
