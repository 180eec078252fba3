// Times in the reader's zone, parts of the page that move by themselves, buttons that copy, and forms that are sent once.

import { localizeFields, showTimes } from "./times.js";
import { follow } from "./live.js";

showTimes(document);
localizeFields();
setInterval(() => showTimes(document), 1000);
follow();
// A form that was rejected opens at its first wrong field.
document.querySelector("[aria-invalid=true]")?.focus();

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  await navigator.clipboard.writeText(source.textContent);
  button.textContent = "Copied";
});

// The first response may show a secret that the response to a second click would lack.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  if ("sent" in event.target.dataset) event.preventDefault();
  event.target.dataset.sent = "";
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});
