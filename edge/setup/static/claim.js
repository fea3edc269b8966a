// Looks for a claim before the lens; a pasted one takes its place.
import { watch } from "./page.js";

const seen = document.getElementById("seen");
const button = document.getElementById("enrol");
const pasted = document.getElementById("claim");
let found = false;

function judge() {
  if (button.form.dataset.sent !== "1") button.disabled = !(found || pasted.value.trim());
}

pasted.addEventListener("input", judge);
button.form.addEventListener("submit", () => { button.form.dataset.sent = "1"; });
watch((measures) => {
  found = measures.claim !== "" && measures.claim !== "?";
  seen.classList.toggle("good", found);
  seen.textContent = found ? seen.dataset.found.replace("#", measures.claim)
    : measures.claim === "?" ? seen.dataset.other : seen.dataset.looking;
  judge();
}, "?scan=1");
