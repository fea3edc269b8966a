// Asks for the checks until all is well; sealing takes two taps, since nothing leads back.
import { ask, pause } from "./page.js";

const list = document.getElementById("checks");
const words = JSON.parse(list.dataset.words);
const seal = document.getElementById("seal");
const verdict = document.getElementById("verdict");
const again = document.getElementById("again");

function show(results) {
  for (const { name, state, text } of results) {
    const item = list.querySelector(`[data-name="${name}"]`);
    item.className = state;
    item.querySelector("p").textContent = text;
  }
  const bad = results.filter((result) => result.state === "bad").length;
  const waiting = results.filter((result) => result.state === "wait").length;
  again.hidden = !results.some((result) => result.name === "trial" && result.state === "bad");
  seal.disabled = bad + waiting > 0;
  if (seal.disabled && seal.type === "submit") unsure();
  verdict.textContent = bad ? words.mend.replace("{count}", bad)
    : waiting ? words.wait.replace("{count}", waiting) : words.ready;
}

function unsure() {
  seal.type = "button";
  seal.classList.remove("sure");
  seal.textContent = words.button;
}

seal.addEventListener("click", (event) => {
  if (seal.type === "submit") return;
  event.preventDefault();
  seal.type = "submit";
  seal.classList.add("sure");
  seal.textContent = seal.dataset.sure;
});

seal.form.addEventListener("submit", () => { seal.dataset.sent = "1"; });
while (seal.dataset.sent !== "1") {
  const results = await ask("/checks/state");
  if (seal.dataset.sent === "1") break;
  if (results) show(results);
  await pause(1500);
}
