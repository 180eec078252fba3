// Makes an element's content equal to new content and leaves alone what is equal already. So the focus, a selection,
// an open <details> and text that a person has typed stay, a click in progress arrives, and screen readers stay quiet.

export function morph(element, text, prepare) {
  const fresh = document.createElement("template");
  fresh.innerHTML = text;
  prepare(fresh.content);
  const focused = document.activeElement;
  const hadFocus = element.contains(focused);
  updateChildren(element, fresh.content);
  if (!hadFocus || document.activeElement === focused) return;
  // It was moved, replaced or removed.
  const { focus } = focused.dataset;
  const again = focused.isConnected ? focused : focus && element.querySelector(`[data-focus="${CSS.escape(focus)}"]`);
  (again || document.getElementById("content")).focus({ preventScroll: true });
}

// What a row is about is what its first link leads to.
const ROWS = ["TR", "LI"];
const focusOf = (node) => node.dataset?.focus || (ROWS.includes(node.nodeName) && node.querySelector("[data-focus]")?.dataset.focus);
const keyOf = (node) => node.id || focusOf(node) || "";
const isSame = (old, fresh) => old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && keyOf(old) === keyOf(fresh);

function updateChildren(parent, wanted) {
  const keys = new Set(Array.from(wanted.children, keyOf));
  for (const child of Array.from(parent.children)) if (keyOf(child) && !keys.has(keyOf(child))) child.remove();
  let next = parent.firstChild;
  for (const fresh of Array.from(wanted.childNodes)) {
    const kept = keyOf(fresh) ? firstSame(next, fresh) : next;
    if (!kept || !isSame(kept, fresh)) {
      parent.insertBefore(document.importNode(fresh, true), next);
      continue;
    }
    if (kept === next) next = next.nextSibling;
    else parent.insertBefore(kept, next);
    update(kept, fresh);
  }
  while (next) {
    const after = next.nextSibling;
    next.remove();
    next = after;
  }
}

function firstSame(node, fresh) {
  while (node && !isSame(node, fresh)) node = node.nextSibling;
  return node;
}

function update(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  // A person opens and closes <details>.
  const isTheirs = (name) => name === "open" && old.nodeName === "DETAILS";
  for (const { name } of Array.from(old.attributes)) if (!fresh.hasAttribute(name) && !isTheirs(name)) old.removeAttribute(name);
  for (const { name, value } of Array.from(fresh.attributes)) {
    if (old.getAttribute(name) !== value && !isTheirs(name)) old.setAttribute(name, value);
  }
  updateChildren(old, fresh);
}
