// Draws with a finger: a drag makes a shape, a corner is pulled where it belongs.
import { watch } from "./page.js";
import { between, dragged, middle, named, pack, place, unpack } from "./shapes.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDE = 1000; // of the drawing's own units
const canvas = document.getElementById("canvas");
const list = document.getElementById("shapes");
const words = JSON.parse(list.dataset.words);
const shapes = unpack(JSON.parse(list.dataset.drawing));
const RULES = { zone: ["entry", "dwell", "stop", ""], line: ["both", "right", "left", ""] };
let high = WIDE * 9 / 16;
let tool = "zone";
let selected = -1;
let drag = null;

const at = ([x, y]) => `${x * WIDE},${y * high}`;

function make(kind, attributes, parent = canvas) {
  const made = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return parent.appendChild(made);
}

function paint() {
  canvas.setAttribute("viewBox", `0 0 ${WIDE} ${high}`);
  canvas.setAttribute("preserveAspectRatio", "none");
  canvas.replaceChildren();
  const unit = WIDE / canvas.clientWidth; // of the drawing, a pixel of the screen
  const drawn = drag?.fresh ? [...shapes, drag.fresh] : shapes;
  drawn.forEach((shape, number) => {
    if (shape.tool === "line") fence(shape, unit);
    else {
      make("polygon", { points: shape.points.map(at).join(" "), class: "shadow" });
      make("polygon", { points: shape.points.map(at).join(" "), class: shape.tool, "data-shape": number });
    }
  });
  drawn.forEach((shape) => {
    if (!shape.name) return;
    const [x, y] = shape.tool === "line" ? shape.points[0] : middle(shape.points);
    const label = make("text", { x: x * WIDE, y: y * high - (shape.tool === "line" ? 14 * unit : 0) });
    label.style.fontSize = `${15 * unit}px`;
    label.style.strokeWidth = `${4 * unit}px`;
    label.textContent = shape.name;
  });
  if (shapes[selected]) handles(shapes[selected], unit);
}

// A line with an arrow for each direction that its rule is about.
function fence({ points: [a, b], rule }, unit) {
  const path = `M${at(a)} L${at(b)}`;
  make("path", { d: path, class: "shadow" });
  make("path", { d: path, class: "line" });
  const [mx, my] = [((a[0] + b[0]) / 2) * WIDE, ((a[1] + b[1]) / 2) * high];
  const [dx, dy] = [(b[0] - a[0]) * WIDE, (b[1] - a[1]) * high];
  const long = Math.hypot(dx, dy) || 1;
  const [nx, ny] = [(-dy / long) * unit, (dx / long) * unit]; // to the right of whoever walks from a to b
  for (const [side, sign] of [["right", 1], ["left", -1]]) {
    if (rule !== side && rule !== "both") continue;
    const [tx, ty] = [mx + sign * nx * 34, my + sign * ny * 34];
    const [wx, wy] = [(dx / long) * unit * 10, (dy / long) * unit * 10];
    const [ex, ey] = [mx + sign * nx * 22, my + sign * ny * 22];
    const arrow = `M${mx},${my} L${tx},${ty} M${ex + wx},${ey + wy} L${tx},${ty} L${ex - wx},${ey - wy}`;
    make("path", { d: arrow, class: "shadow" });
    make("path", { d: arrow, class: "line" });
  }
}

function handles(shape, unit) {
  for (const [index, x, y] of between(shape)) knob(x, y, unit, { "data-insert": index }, "dot between", 6);
  shape.points.forEach(([x, y], index) => knob(x, y, unit, { "data-corner": index }, "dot", 10));
}

function knob(x, y, unit, data, kind, size) {
  const where = { cx: x * WIDE, cy: y * high };
  make("circle", { ...where, r: size * unit, class: kind }).style.strokeWidth = `${2.5 * unit}px`;
  make("circle", { ...where, r: (kind === "dot" ? 26 : 16) * unit, class: "hold", ...data });
}

function under(event) {
  const box = canvas.getBoundingClientRect();
  return place([(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height]);
}

canvas.addEventListener("pointerdown", (event) => {
  const { corner, insert, shape } = event.target.dataset;
  const from = under(event);
  canvas.setPointerCapture(event.pointerId);
  if (insert !== undefined) shapes[selected].points.splice(Number(insert), 0, from);
  const held = corner ?? insert;
  drag = held !== undefined ? { corner: Number(held) } : { from, shape };
  event.preventDefault();
});

canvas.addEventListener("pointermove", (event) => {
  if (!drag) return;
  const to = under(event);
  if (drag.corner !== undefined) shapes[selected].points[drag.corner] = to;
  else drag.fresh = dragged(tool, drag.from, to, shapes);
  paint();
});

function drop() {
  if (drag?.fresh) {
    shapes.push(drag.fresh);
    selected = shapes.length - 1;
  } else if (drag && drag.corner === undefined) selected = drag.shape === undefined ? -1 : Number(drag.shape);
  drag = null;
  paint();
  tell();
}

canvas.addEventListener("pointerup", drop);
canvas.addEventListener("pointercancel", () => { drag = null; paint(); });

function take(button) {
  tool = button.dataset.tool;
  for (const other of document.querySelectorAll("[data-tool]")) other.ariaChecked = String(other === button);
}

for (const button of document.querySelectorAll("[data-tool]")) {
  // at the first touch: a quick thumb that has just drawn would have to wait for the click
  button.addEventListener("pointerdown", () => take(button));
  button.addEventListener("click", () => take(button));
}

function field(kind, parent, attributes) {
  const made = parent.appendChild(document.createElement(kind));
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function tell() {
  list.replaceChildren();
  if (!shapes.length) field("li", list, { class: "empty" }).textContent = words.nothing;
  shapes.forEach((shape, number) => entry(shape, number));
}

function entry(shape, number) {
  const item = field("li", list, { class: shape.tool });
  field("i", item, { "aria-hidden": "true" });
  if (shape.tool === "privacy") field("span", item, { class: "plain" }).textContent = words.privacy_hint;
  else {
    const name = field("input", item, { value: shape.name, "aria-label": words.name, maxlength: 16, autocapitalize: "none" });
    name.addEventListener("change", () => {
      const typed = named(name.value);
      const taken = shapes.some((other) => other !== shape && other.name === typed);
      name.value = shape.name = typed && !taken ? typed : shape.name;
      paint();
    });
  }
  const remove = field("button", item, { type: "button", "aria-label": words.remove });
  remove.textContent = "✕";
  remove.addEventListener("click", () => {
    shapes.splice(number, 1);
    selected = -1;
    paint();
    tell();
  });
  if (shape.tool !== "privacy") choice(shape, item);
}

function choice(shape, item) {
  const select = field("select", item, { "aria-label": shape.name });
  for (const rule of RULES[shape.tool]) {
    const option = field("option", select, { value: rule });
    option.textContent = words[`rule_${rule || "none"}`];
    option.selected = rule === shape.rule;
  }
  select.addEventListener("change", () => {
    shape.rule = select.value;
    paint();
    tell();
  });
  if (shape.rule === "dwell" || shape.rule === "stop") {
    item.classList.add("timed");
    const seconds = field("input", item, {
      class: "seconds", type: "number", inputmode: "numeric", min: 1, max: 86400, value: shape.seconds ?? 30,
      "aria-label": words.seconds,
    });
    seconds.addEventListener("change", () => { shape.seconds = Number(seconds.value); });
  }
}

document.getElementById("save").form.addEventListener("submit", () => {
  document.getElementById("drawing").value = JSON.stringify(pack(shapes));
});

new ResizeObserver(paint).observe(canvas);
tell();
watch((measures) => {
  if (!measures.width) return;
  const proper = (WIDE * measures.height) / measures.width;
  if (proper !== high) {
    high = proper;
    paint();
  }
});
