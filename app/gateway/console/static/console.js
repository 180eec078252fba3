// Times in the reader's zone, parts of the page that move by themselves, and buttons that copy.

import { showTimes } from "./times.js";
import { follow } from "./live.js";

showTimes(document);
setInterval(() => showTimes(document), 1000);
follow();

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  await navigator.clipboard.writeText(source.textContent);
  button.textContent = "Copied";
});
