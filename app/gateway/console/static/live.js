// Keeps parts of the page up to date as the server sends them (server-sent events), and says when it can't.
// It reads them with fetch(), because EventSource does not say why a server refuses.

import { morph } from "./morph.js";
import { showTimes } from "./times.js";

// All in seconds. The server sends at least a comment every 15 seconds, unless it counts the rows of a tenant.
const MAX_PAUSE = 15;
const MAX_SILENCE = 75;
// Browsers open six connections to a server at a time: windows that are not visible leave theirs to others.
const HIDDEN_FOR = 5;

const LOST = "Connection lost. Trying again…";

export function follow() {
  const path = document.querySelector("[data-live]")?.dataset.live;
  if (!path) return;
  let connection, timer, failures = 0, isOver = false;

  const later = (seconds, act) => {
    clearTimeout(timer);
    timer = setTimeout(act, seconds * 1000);
  };
  const close = () => {
    clearTimeout(timer);
    connection?.abort();
    connection = undefined;
  };
  const end = (text, link) => {
    isOver = true;
    close();
    show("ended", text, link);
  };
  const handlers = {
    parts: (texts) => {
      failures = 0;
      for (const [id, text] of Object.entries(texts)) {
        const element = document.getElementById(id);
        if (element) morph(element, text, showTimes);
      }
      show("live", "Live");
    },
    delayed: ({ detail }) => show("lost", detail),
    end: () => end("No more changes"),
  };

  async function open() {
    if (connection || isOver || document.hidden) return;
    const current = (connection = new AbortController());
    let wait, text = LOST;
    try {
      const response = await fetch(path, { headers: { Accept: "text/event-stream" }, signal: current.signal });
      if (response.status === 401) return end("Your session has ended.", "Sign in");
      if (response.ok) {
        await read(response.body, handlers, () => later(MAX_SILENCE, () => current.abort()));
        // The server has ended it, to be replaced by another one perhaps.
        text = undefined;
      } else if (response.status < 500 && response.status !== 429) {
        return end("Live updates have stopped.", "Load the page again");
      } else {
        wait = Number(response.headers.get("Retry-After")) || undefined;
        text = `Not live: ${(await response.json()).detail}`;
      }
    } catch {
      // The network, or the server while it starts.
    }
    if (connection !== current) return;
    connection = undefined;
    if (text) show("lost", text);
    later(wait ?? Math.min(MAX_PAUSE, 2 ** failures / 2), open);
    failures += 1;
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) later(HIDDEN_FOR, close);
    else if (connection) later(MAX_SILENCE, () => connection?.abort());
    else open();
  });
  addEventListener("online", open);
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
}

async function read(body, handlers, onData) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    onData();
    const { value, done } = await reader.read();
    if (done) return;
    const events = (text + value).split("\n\n");
    text = events.pop();
    for (const event of events) {
      const fields = Object.fromEntries(event.split("\n").map((line) => line.split(/: (.*)/, 2)));
      handlers[fields.event]?.(JSON.parse(fields.data));
    }
  }
}

// Read out by screen readers, so it changes only with the state.
function show(kind, text, link) {
  const state = document.getElementById("live");
  state.dataset.kind = kind;
  if (state.dataset.text === text) return;
  state.dataset.text = text;
  state.textContent = text;
  if (!link) return;
  const anchor = document.createElement("a");
  anchor.href = location.href;
  anchor.textContent = link;
  state.append(" ", anchor);
}
