// Turns measures into a word, a number and a bar.
import { watch } from "./page.js";

const SHARP = 60, FAIR = 50; // of 100: what the focus score of a good lens reaches, and where to go on turning
const GOOD = 100, LEAST = 80; // pixels of a plate's width that the reader wants
const LEVEL = 2, MOST = 10; // degrees
const words = JSON.parse(document.getElementById("meters").dataset.words);
const line = document.querySelector(".level line");
let best = 0;

function put(name, state, number, text, share) {
  const meter = document.getElementById(name);
  meter.className = `meter ${state}`;
  meter.querySelector("output").textContent = number;
  meter.querySelector("p").textContent = text;
  meter.querySelector("i").style.width = `${100 * Math.min(1, Math.max(0, share))}%`;
}

function mark(name, most) {
  const scale = document.querySelector(`#${name} .scale`);
  for (const place of (scale.dataset.marks ?? "").split(" ")) {
    const tick = scale.appendChild(document.createElement("b"));
    if (place) tick.style.left = `${(100 * Number(place)) / most}%`;
  }
}

function focus(score) {
  best = Math.max(best, score);
  const state = score >= SHARP ? "good" : score >= FAIR ? "fair" : "poor";
  const text = state === "fair" ? words.focus_fair.replace("{best}", Math.round(best)) : words[`focus_${state}`];
  put("focus", state, Math.round(score), text, score / 100);
}

function plates({ plates: count, widest, median }) {
  if (!count) return put("plates", "none", "–", words.plates_none, 0);
  const state = widest >= GOOD ? "good" : widest >= LEAST ? "fair" : "poor";
  const rest = words.plates_of.replace("{median}", Math.round(median)).replace("{count}", count);
  put("plates", state, `${Math.round(widest)} px`, `${words[`plates_${state}`]} (${rest})`, widest / 200);
}

function tilt(degrees) {
  line.setAttribute("transform", `rotate(${-(degrees ?? 0)})`);
  line.style.visibility = degrees === null ? "hidden" : "visible";
  if (degrees === null) return put("tilt", "none", "–", words.tilt_none, 0);
  const state = Math.abs(degrees) <= LEVEL ? "good" : Math.abs(degrees) <= 2 * LEVEL ? "fair" : "poor";
  const text = state === "good" ? words.tilt_level : degrees > 0 ? words.tilt_left : words.tilt_right;
  put("tilt", state, `${degrees.toFixed(1).replace("-", "−")}°`, text, Math.abs(degrees) / MOST / 2);
  const bar = document.querySelector("#tilt i");
  bar.style.left = degrees > 0 ? "50%" : `${50 - 50 * Math.min(1, -degrees / MOST)}%`;
}

mark("focus", 100);
mark("plates", 200);
mark("tilt", 1);
watch((measures) => {
  if (measures.trouble) return;
  focus(measures.focus);
  plates(measures);
  tilt(measures.tilt);
});
