// What every page does: counts the minutes down, says when the camera is gone, and shows the preview.

const body = document.body;
const left = document.getElementById("left");
const until = Date.now() + 1000 * Number(body.dataset.left);
let failures = 0;

function count() {
  const minutes = Math.max(0, Math.ceil((until - Date.now()) / 60000));
  if (left) left.textContent = left.dataset.text.replace("#", minutes);
  if (left && until < Date.now()) gone();
}

export function gone() {
  const note = document.getElementById("gone");
  note.textContent = body.dataset.gone;
  note.hidden = false;
}

export const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

// The JSON at `address`, or null. An ended session goes back to the code.
export async function ask(address) {
  try {
    const answer = await fetch(address, { signal: AbortSignal.timeout(20000) });
    if (answer.status === 401) location.assign("/");
    failures = 0;
    document.getElementById("gone").hidden = true;
    return answer.ok ? await answer.json() : null;
  } catch {
    failures += 1;
    if (failures >= 3) gone();
    return null;
  }
}

// Shows one picture after the other, never two at once; `measured` gets what was measured in between.
export async function watch(measured, query = "") {
  const image = document.getElementById("preview");
  const trouble = document.getElementById("trouble");
  for (let number = 0; ; number += 1) {
    if (document.hidden) {
      await pause(500);
      continue;
    }
    const measures = await ask("/measures" + query);
    if (measures) {
      trouble.hidden = measures.trouble === "";
      if (measures.trouble) trouble.textContent = measures.trouble;
      else await show(image, `/preview?${number}`);
      if (measures.width) image.parentElement.style.aspectRatio = `${measures.width} / ${measures.height}`;
      measured(measures);
    }
    await pause(measures && !measures.trouble ? 250 : 1500);
  }
}

function show(image, address) {
  return new Promise((done) => {
    image.onload = image.onerror = done;
    image.src = address;
  });
}

for (const form of document.forms) {
  form.addEventListener("submit", () => {
    const button = form.querySelector("button.main");
    if (!button) return;
    button.disabled = true; // a second tap does nothing
    if (form.dataset.busy) button.textContent = form.dataset.busy;
  });
}
count();
setInterval(count, 1000);
