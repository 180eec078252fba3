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
  // It was moved, or it is gone.
  (focused.isConnected ? focused : document.getElementById("content")).focus({ preventScroll: true });
}

const isSame = (old, fresh) => old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && old.id === fresh.id;

function updateChildren(parent, wanted) {
  const ids = new Set(Array.from(wanted.children, (child) => child.id));
  for (const child of Array.from(parent.children)) if (child.id && !ids.has(child.id)) child.remove();
  let next = parent.firstChild;
  for (const fresh of Array.from(wanted.childNodes)) {
    const kept = fresh.id ? Array.from(parent.children).find((child) => isSame(child, fresh)) : next;
    if (!kept || !isSame(kept, fresh)) {
      parent.insertBefore(document.importNode(fresh, true), next);
    } else if (kept === next) {
      next = next.nextSibling;
      update(kept, fresh);
    } else {
      parent.insertBefore(kept, next);
      update(kept, fresh);
    }
  }
  while (next) {
    const after = next.nextSibling;
    next.remove();
    next = after;
  }
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
