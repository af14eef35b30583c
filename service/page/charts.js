/** Pictures as SVG, drawn anew for the width there is: curves of steps, waves, distributions. */

import { el, put, svg } from "./dom.js";
import { legend } from "./parts.js";
import { count, duration, milliseconds } from "./words.js";

const LEFT = 46;
const RIGHT = 12;
const TOP = 8;
const AXIS = 22;

/** Return a figure with title, legend and words; `show(draw, words)` draws it, now and whenever its width changes. */
export function figure(title, keys, { wide = false } = {}) {
  const room = el("div", { class: "drawing" });
  const words = el("figcaption");
  const node = el("figure", { class: wide ? "card wide" : "card" }, el("h3", {}, title), legend(keys), room, words);
  let draw = null;
  let width = 0;
  const sizes = new ResizeObserver(() => {
    if (room.clientWidth !== width) again();
  });
  sizes.observe(room);

  function again() {
    width = room.clientWidth;
    if (draw && width) put(room, draw(width));
  }

  node.show = (how, said) => {
    draw = how;
    if (words.textContent !== said) put(words, said);
    again();
  };
  node.end = () => sizes.disconnect();
  return node;
}

/**
 * Return curves over time.  `series` have `curve`, `tone` and `kind` (`area`, `line`, `dash`); `limit` is a level that
 * must not be passed; `mark_s` a moment that is marked, such as now.
 */
export function curves(width, { height = 190, horizonS, series, limit = null, most = null, shown = count, markS = null, label, title = null }) {
  const top = TOP + (title ? 18 : 0);
  const bottom = height - AXIS;
  const highest = most ?? Math.max(limit ?? 0, ...series.flatMap(({ curve }) => curve.value), 1e-9) * 1.04;
  const x = (s) => LEFT + (s / horizonS) * (width - LEFT - RIGHT);
  const y = (value) => bottom - (value / highest) * (bottom - top);
  const parts = [...timeAxis(horizonS, x, width, top, bottom), ...levels(highest, y, width, shown, bottom - top)];
  for (const { curve, tone, kind } of series) parts.push(...stepped(curve, x, y, tone, kind, bottom));
  if (limit !== null) parts.push(level(y(limit), width, "limit"));
  if (markS !== null && markS > 0 && markS < horizonS) parts.push(moment(x(markS), top, bottom));
  if (title) parts.push(svg("text", { x: 2, y: 12, class: "strong" }, title));
  return picture(width, height, label, parts);
}

function picture(width, height, label, parts) {
  return svg("svg", { role: "img", "aria-label": label, width, height, viewBox: `0 0 ${width} ${height}` }, parts);
}

function stepped({ at_s: atS, value }, x, y, tone, kind, bottom) {
  if (!atS.length) return [];
  let path = `M${x(atS[0]).toFixed(1)},${y(value[0]).toFixed(1)}`;
  for (let place = 1; place < atS.length; place += 1) path += `H${x(atS[place]).toFixed(1)}V${y(value[place]).toFixed(1)}`;
  const line = svg("path", { d: path, class: `curve ${kind}`, style: { "--tone": `var(--${tone})` } });
  if (kind !== "area") return [line];
  const closed = `${path}V${bottom}H${x(atS[0]).toFixed(1)}Z`;
  return [svg("path", { d: closed, class: "under", style: { "--tone": `var(--${tone})` } }), line];
}

function level(y, width, tone) {
  return svg("line", { x1: LEFT, x2: width - RIGHT, y1: y, y2: y, class: "curve dash", style: { "--tone": `var(--${tone})` } });
}

function moment(x, top, bottom) {
  return svg("line", { x1: x, x2: x, y1: top, y2: bottom, class: "now" });
}

/** Return round moments of a time axis. */
function ticks(horizonS, room) {
  const steps = [1, 2, 5, 10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];
  const step = steps.find((each) => horizonS / each <= room / 84) ?? steps.at(-1);
  return Array.from({ length: Math.floor(horizonS / step) + 1 }, (_, place) => place * step);
}

function timeAxis(horizonS, x, width, top, bottom) {
  return ticks(horizonS, width - LEFT - RIGHT).flatMap((s) => [
    svg("line", { x1: x(s), x2: x(s), y1: top, y2: bottom, class: "grid" }),
    svg("text", { x: x(s), y: bottom + 15, class: "middle" }, s === 0 ? "0" : duration(s)),
  ]);
}

/** Return round levels, at least two where one is below the highest; of what is counted whole ones, each once. */
function levels(highest, y, width, shown, room) {
  const rough = highest / Math.max(1, Math.floor(room / 34));
  const power = 10 ** Math.floor(Math.log10(rough));
  const round = [1, 2, 5, 10].map((each) => each * power);
  const few = round.filter((each) => each <= highest).at(-1);
  const next = round.find((each) => each >= rough);
  const step = Math.max(next > highest && few ? few : next, shown === count ? 1 : 0);
  const found = [];
  for (let value = 0; value <= highest * 1.0001; value += step) {
    found.push(
      svg("line", { x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value), class: value ? "grid" : "base" }),
      svg("text", { x: LEFT - 6, y: y(value) + 4, class: "end" }, shown(value)),
    );
  }
  return found;
}

/** Return the waves of a plan: when each drains and is patched; `open` waves and a moment are marked. */
export function waveBars(width, { horizonS, rows, markS = null, label }) {
  const high = rows.length > 24 ? 12 : 20;
  const left = 78;
  const bottom = TOP + rows.length * high;
  const x = (s) => left + (s / horizonS) * (width - left - RIGHT);
  const parts = timeAxis(horizonS, x, width, TOP, bottom);
  rows.forEach(({ name, drain, patch, gate }, place) => {
    const top = TOP + place * high;
    const bar = (from, to, tone, at, size) =>
      svg("rect", {
        x: x(from),
        y: top + at,
        width: Math.max(1.5, x(to) - x(from)),
        height: size,
        rx: 2,
        style: { "--tone": `var(--${tone})` },
        class: "bar",
      });
    const half = (high - 4) / 2;
    parts.push(svg("text", { x: left - 8, y: top + high / 2 + 4, class: "end" }, name));
    parts.push(bar(...drain, "drain", 1, half), bar(...patch, "patch", 1 + half + 1, half));
    if (gate) parts.push(svg("path", { d: gateShape(gate, x(drain[0]) - 4, top + high / 2), class: "gate" }));
  });
  if (markS !== null && markS > 0 && markS < horizonS) parts.push(moment(x(markS), TOP, bottom));
  return picture(width, bottom + AXIS, label, parts);
}

function gateShape(gate, x, y) {
  if (gate === "approval") return `M${x - 5},${y}L${x},${y - 5}L${x + 5},${y}L${x},${y + 5}Z`;
  if (gate === "canary") return `M${x - 6},${y - 5}L${x + 2},${y}L${x - 6},${y + 5}Z`;
  return `M${x - 5},${y - 4}H${x + 2}V${y + 4}H${x - 5}Z`;
}

/** Return blackouts by length, on a logarithmic scale. */
export function distribution(width, { edges, series, limit, label, height = 210 }) {
  const bottom = height - AXIS;
  const [low, high] = [Math.log(edges[0]), Math.log(Math.max(edges.at(-1), limit * 1.1))];
  const x = (ms) => LEFT + ((Math.log(Math.max(ms, edges[0])) - low) / (high - low)) * (width - LEFT - RIGHT);
  const highest = Math.max(...series.flatMap(({ share }) => share), 0.01) * 1.06;
  const y = (share) => bottom - (share / highest) * (bottom - TOP);
  const parts = levels(highest, y, width, (share) => `${Math.round(1000 * share) / 10} %`, bottom - TOP);
  for (const ms of [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000]) {
    if (ms < edges[0] || Math.log(ms) > high) continue;
    parts.push(svg("line", { x1: x(ms), x2: x(ms), y1: TOP, y2: bottom, class: "grid" }));
    parts.push(svg("text", { x: x(ms), y: bottom + 15, class: "middle" }, ms < 1000 ? String(ms) : `${count(ms)}`));
  }
  for (const { share, tone, kind } of series) {
    let path = `M${x(edges[0]).toFixed(1)},${bottom}`;
    share.forEach((each, place) => {
      path += `V${y(each).toFixed(1)}H${x(edges[place + 1]).toFixed(1)}`;
    });
    path += `V${bottom}`;
    if (kind === "area") parts.push(svg("path", { d: `${path}Z`, class: "under", style: { "--tone": `var(--${tone})` } }));
    parts.push(svg("path", { d: path, class: `curve ${kind}`, style: { "--tone": `var(--${tone})` } }));
  }
  parts.push(svg("line", { x1: x(limit), x2: x(limit), y1: TOP, y2: bottom, class: "curve dash", style: { "--tone": "var(--limit)" } }));
  parts.push(svg("text", { x: x(limit) - 6, y: TOP + 10, class: "end" }, `limit ${milliseconds(limit)}`));
  return picture(width, height, label, parts);
}

/** Return the stages of one migration, planned above measured, from when it began; the shortest are still seen. */
export function stageBars(width, { fromS, toS, planned, measured, label }) {
  const left = width < 520 ? 66 : 78;
  const height = 2 * 34 + AXIS;
  const bottom = height - AXIS;
  const span = Math.max(toS - fromS, 1);
  const x = (s) => left + ((s - fromS) / span) * (width - left - RIGHT);
  const step = ticks(span, width - left - RIGHT)[1] ?? span;
  const first = Math.ceil(fromS / step);
  const moments = Array.from({ length: Math.floor(toS / step) - first + 1 }, (_, place) => (first + place) * step);
  const parts = moments.flatMap((s) => [
    svg("line", { x1: x(s), x2: x(s), y1: TOP, y2: bottom, class: s === 0 ? "base" : "grid" }),
    svg("text", { x: x(s), y: bottom + 15, class: "middle" }, s === 0 ? "begins" : duration(s)),
  ]);
  [["planned", planned], ["measured", measured]].forEach(([name, bars], row) => {
    const top = TOP + row * 34;
    parts.push(svg("text", { x: left - 8, y: top + 17, class: "end" }, name));
    for (const { from, to, tone, title } of bars) {
      if (to < fromS) continue;
      const begin = x(Math.max(from, fromS));
      const wide = Math.max(3, x(to) - begin);
      const style = { "--tone": `var(--${tone})` };
      parts.push(svg("rect", { x: begin, y: top + 3, width: wide, height: 22, class: "bar", style }, svg("title", {}, title)));
    }
  });
  return picture(width, height, label, parts);
}
