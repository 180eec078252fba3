// Replaces parts of the page as the server sends them (server-sent events), and says when it can't.

import { showTimes } from "./times.js";

const ENDED = { finished: "", "signed-out": "Your session has ended. Sign in to see what is new." };

export function follow() {
  const path = document.querySelector("[data-live]")?.dataset.live;
  if (!path) return;
  const state = document.getElementById("live");
  const show = (text, kind) => {
    if (state.textContent !== text) state.textContent = text;
    state.dataset.kind = kind;
  };
  const events = new EventSource(path);
  addEventListener("pagehide", () => events.close());
  events.addEventListener("open", () => show("Live", "live"));
  events.addEventListener("parts", (event) => {
    for (const [id, text] of Object.entries(JSON.parse(event.data))) replace(document.getElementById(id), text);
  });
  events.addEventListener("end", (event) => {
    events.close();
    show(ENDED[JSON.parse(event.data).reason], "ended");
  });
  events.addEventListener("error", () => {
    const isOver = events.readyState === EventSource.CLOSED;
    show(isOver ? "Live updates have stopped. Reload the page." : "Connection lost. Trying again…", "lost");
  });
}

// The server escapes all values, and the page's policy lets no inline script run. The focus stays where it was.
function replace(element, text) {
  if (!element || element.contains(document.activeElement) && document.activeElement.matches("input, textarea, select")) return;
  const focused = element.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
  element.innerHTML = text;
  showTimes(element);
  if (focused) element.querySelector(`[data-focus="${focused}"]`)?.focus();
}
