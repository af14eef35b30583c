/** The fleet on a canvas: a cell for every host, coloured by what it is; by pointer and by keyboard. */

import { el, newId, put, say } from "./dom.js";
import { hostAt, laidOut, neighbour } from "./map_layout.js";

const MOST_HEIGHT = 800;
const NARROW_HEIGHT = 1300;
const DIM = 0.16;

/**
 * Return the map of a fleet.
 *
 * `paint(codes, tones)` colours host `i` with `tones[codes[i]]`, names of CSS variables; `only(code)` dims all others, or
 * none with null; `focusOn(host)` marks one.  `described(host)` is what is said of a host, `chosen(host)` is called as
 * another is looked at.
 */
export function hostMap(map, { label, described, chosen }) {
  const canvas = el("canvas", { "aria-hidden": "true" });
  const hint = newId("hint");
  const said = el("p", { class: "unseen", role: "status" });
  const node = el(
    "div",
    { class: "map", role: "application", tabindex: "0", "aria-label": label, "aria-describedby": hint },
    canvas,
  );
  const help = el(
    "p",
    { class: "note keys", id: hint },
    "Point at a host, or use the arrow keys here; Home and End lead to the first and the last host. ",
    "A click holds on to a host, another lets go. The table below has the same.",
  );
  let codes = new Uint8Array(map.host_id.length);
  let drawn = null;
  let tones = [];
  let highlighted = null;
  let focused = -1;
  let held = false;
  let layout = null;
  let colours = [];
  let ink = "#000";
  let muted = "#666";

  function resize() {
    const width = node.clientWidth;
    if (!width || (layout && layout.width === width)) return;
    themed();
    layout = laidOut(map, width, width < 600 ? NARROW_HEIGHT : MOST_HEIGHT);
    const scale = globalThis.devicePixelRatio || 1;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(layout.height * scale);
    canvas.style.setProperty("height", `${layout.height}px`);
    redraw();
  }

  function redraw() {
    drawn = null;
    draw();
  }

  /** Draw the hosts that have changed, or all. */
  function draw() {
    if (!layout) return;
    const context = canvas.getContext("2d");
    const scale = globalThis.devicePixelRatio || 1;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    if (drawn === null) {
      context.clearRect(0, 0, layout.width, layout.height);
      context.font = `12px ${getComputedStyle(node).fontFamily}`;
      context.textBaseline = "top";
      context.fillStyle = muted;
      for (const { name, x, y, width } of layout.labels) context.fillText(name, x, y, Math.max(width, 40));
    }
    const size = layout.cell - layout.gap;
    for (let code = 0; code < colours.length; code += 1) {
      context.fillStyle = colours[code];
      context.globalAlpha = highlighted === null || highlighted === code ? 1 : DIM;
      for (let host = 0; host < codes.length; host += 1) {
        if (codes[host] !== code || (drawn !== null && drawn[host] === code)) continue;
        if (drawn !== null) context.clearRect(layout.x[host], layout.y[host], size, size);
        context.fillRect(layout.x[host], layout.y[host], size, size);
      }
    }
    context.globalAlpha = 1;
    drawn = codes.slice();
    mark(context);
  }

  function mark(context) {
    if (focused < 0) return;
    context.lineWidth = 2;
    context.strokeStyle = ink;
    context.strokeRect(layout.x[focused] - 1, layout.y[focused] - 1, layout.cell - layout.gap + 2, layout.cell - layout.gap + 2);
  }

  function look(host, aloud) {
    if (host === focused) return;
    focused = host;
    redraw();
    chosen(host);
    if (aloud && host >= 0) say(said, described(host));
  }

  function themed() {
    const style = getComputedStyle(node);
    colours = tones.map((tone) => style.getPropertyValue(`--${tone}`).trim() || tone);
    ink = style.getPropertyValue("--ink").trim();
    muted = style.getPropertyValue("--muted").trim();
  }

  canvas.addEventListener("pointermove", ({ offsetX, offsetY }) => {
    const host = layout && !held ? hostAt(layout, offsetX, offsetY) : -1;
    if (host >= 0) look(host, false);
  });
  canvas.addEventListener("click", ({ offsetX, offsetY }) => {
    const host = layout ? hostAt(layout, offsetX, offsetY) : -1;
    held = host >= 0 && !(held && host === focused);
    if (host >= 0) look(host, false);
  });
  node.addEventListener("keydown", (event) => {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const start = Math.max(focused, 0);
    resize();
    if (!layout || event.ctrlKey || event.altKey || event.metaKey) return;
    if (ways[event.key]) look(focused < 0 ? 0 : neighbour(layout, start, ...ways[event.key]), true);
    else if (event.key === "Home") look(0, true);
    else if (event.key === "End") look(codes.length - 1, true);
    else if (event.key === "Escape" && focused >= 0) {
      held = false;
      look(-1, false);
      event.preventDefault();
      return;
    } else return;
    held = true;
    event.preventDefault();
  });
  const sizes = new ResizeObserver(resize);
  sizes.observe(node);
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const onScheme = () => {
    themed();
    redraw();
  };
  scheme.addEventListener("change", onScheme);

  const whole = el("div", { class: "map-whole" }, node, said, help);
  whole.paint = (others, named) => {
    codes = others;
    if (named.join() !== tones.join()) {
      tones = named;
      drawn = null;
    }
    if (layout) themed();
    draw();
  };
  whole.only = (code) => {
    highlighted = code;
    redraw();
  };
  whole.focusOn = (host) => {
    held = true;
    look(host, true);
  };
  whole.focus = () => {
    node.scrollIntoView({ block: "nearest" });
    node.focus({ preventScroll: true });
  };
  whole.end = () => {
    sizes.disconnect();
    scheme.removeEventListener("change", onScheme);
    put(node);
  };
  return whole;
}
