// Shapes of the drawing, as data: places are fractions of the frame. No page in here, so that it can be tested alone.

export const SMALLEST = 0.03; // of the frame: a shorter drag is a slip
const COUNTED = { zone: "zones", line: "lines", privacy: "privacy" };

const within = (value) => Math.min(1, Math.max(0, value));
export const place = ([x, y]) => [within(x), within(y)];

// The shape that a drag from `a` to `b` draws with `tool`, or null when it is too small.
export function dragged(tool, a, b, shapes) {
  const [[ax, ay], [bx, by]] = [place(a), place(b)];
  const [wide, high] = [Math.abs(ax - bx), Math.abs(ay - by)];
  if (tool === "line") {
    if (Math.hypot(wide, high) < SMALLEST) return null;
    return { tool, name: unused("line", shapes), rule: "both", points: [[ax, ay], [bx, by]] };
  }
  if (wide < SMALLEST || high < SMALLEST) return null;
  const [x0, x1, y0, y1] = [Math.min(ax, bx), Math.max(ax, bx), Math.min(ay, by), Math.max(ay, by)];
  const points = [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];
  return tool === "zone" ? { tool, name: unused("zone", shapes), rule: "entry", seconds: 30, points } : { tool, points };
}

export function unused(word, shapes) {
  const taken = new Set(shapes.map((shape) => shape.name));
  for (let number = 1; ; number += 1) if (!taken.has(`${word}-${number}`)) return `${word}-${number}`;
}

// What a person typed, as a name that rules can have.
export const named = (typed) => typed.toLowerCase().replace(/[\s_]+/g, "-").replace(/[čć]/g, "c").replace(/[š]/g, "s")
  .replace(/[ž]/g, "z").replace(/[đ]/g, "dj").replace(/[^a-z0-9-]/g, "").replace(/^-+/, "").slice(0, 16);

export function middle(points) {
  const sum = points.reduce(([x, y], [px, py]) => [x + px, y + py], [0, 0]);
  return [sum[0] / points.length, sum[1] / points.length];
}

// The places between corners, where a new corner can be pulled out: [index to insert at, x, y].
export function between(shape) {
  if (shape.tool === "line" || shape.points.length >= 32) return [];
  return shape.points.map(([x, y], n) => {
    const [nx, ny] = shape.points[(n + 1) % shape.points.length];
    return [n + 1, (x + nx) / 2, (y + ny) / 2];
  });
}

// To and from what the camera keeps.
export function pack(shapes) {
  const packed = { zones: [], lines: [], privacy: [] };
  for (const { tool, points, name, rule, seconds } of shapes) {
    const rounded = points.map(([x, y]) => [Math.round(x * 1e4) / 1e4, Math.round(y * 1e4) / 1e4]);
    if (tool === "privacy") packed.privacy.push(rounded);
    else if (tool === "line") packed.lines.push({ name, points: rounded, rule });
    else packed.zones.push({ name, points: rounded, rule, seconds: Number(seconds) || 30 });
  }
  return packed;
}

export function unpack(drawing) {
  return Object.entries(COUNTED).flatMap(([tool, many]) =>
    drawing[many].map((kept) => (tool === "privacy" ? { tool, points: kept } : { tool, ...kept })));
}
