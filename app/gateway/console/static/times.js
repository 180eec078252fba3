// Shows times in the reader's zone; the exact time in UTC stays in the title. Same length as before, so nothing moves.

const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
const two = (number) => String(number).padStart(2, "0");

function local(moment, seconds) {
  const day = `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
  const time = `${two(moment.getHours())}:${two(moment.getMinutes())}`;
  return seconds ? `${day} ${time}:${two(moment.getSeconds())}` : `${day} ${time}`;
}

function left(moment) {
  let seconds = Math.floor((moment - Date.now()) / 1000);
  if (seconds <= 0) return "now";
  const parts = [];
  for (const [unit, size] of UNITS) {
    const count = Math.floor(seconds / size);
    seconds -= count * size;
    if (count || parts.length) parts.push([count, unit]);
  }
  return parts.slice(0, 2).filter(([count]) => count).map(([count, unit]) => `${count} ${unit}`).join(" ");
}

// Fields hold UTC where no script runs, and send it in any case.
export function localizeFields() {
  for (const field of document.querySelectorAll("input[data-moment]")) {
    if (field.value) field.value = local(new Date(`${field.value}Z`), false).replace(" ", "T");
    const label = field.labels[0].firstChild;
    label.data = label.data.replace("UTC", "local time");
    field.form.addEventListener("formdata", (event) => {
      if (field.value) event.formData.set(field.name, new Date(field.value).toISOString().slice(0, 16));
    });
  }
}

export function showTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(element.dateTime);
    const text = "countdown" in element.dataset ? left(moment) : local(moment, element.dataset.show === "seconds");
    if (element.textContent !== text) element.textContent = text;
  }
  // Hours of charts: the text begins with them.
  for (const element of root.querySelectorAll("[data-hour]")) {
    const text = local(new Date(element.dataset.hour)).slice(-5) + element.textContent.slice(5);
    if (element.textContent !== text) element.textContent = text;
  }
}
