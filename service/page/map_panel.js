/** The map with what belongs beside it: ways of colouring, a legend that filters, the host looked at, and the table. */

import { el, newId, put, say } from "./dom.js";
import { hostMap } from "./host_map.js";
import { byFill, byName, byStage, byState, byWave, facts } from "./palettes.js";
import { section } from "./parts.js";
import { pagedTable } from "./tables.js";
import { count, percent } from "./words.js";

const WAYS = {
  stage: ["by stage", ({ map, plan, stages }) => byStage(map, plan, stages)],
  wave: ["by wave", ({ map, plan }) => byWave(map, plan)],
  fill: ["by memory sold", ({ map }) => byFill(map)],
  state: ["by state in the snapshot", ({ map }) => byState(map)],
  type: ["by machine type", ({ map }) => byName(map.types, map.type)],
  level: ["by patch level", ({ map }) => byName(map.levels, map.level)],
};

/**
 * Return the panel of a fleet's map.  `ways` are names of WAYS, the first is shown unless the address says otherwise;
 * `beside(host)` returns what may be done with a host.
 */
export function mapPanel(title, map, { ways, plan = null, beside = () => [] }) {
  const shown = { map, plan, stages: null };
  const asked = new URLSearchParams(location.search);
  let way = ways.includes(asked.get("colour")) ? asked.get("colour") : ways[0];
  let only = null;
  let palette = null;
  let looked = -1;
  const number = new Map(map.host_id.map((name, place) => [name, place]));
  const kindOf = (host) => palette.kinds[palette.codes[host]]?.name ?? "";
  const said = (host) => `${map.host_id[host]}: ${kindOf(host)}, rack ${map.racks[map.rack[host]]}`;
  const canvas = hostMap(map, { label: `${title}, ${count(map.host_id.length)} hosts`, described: said, chosen: look });
  const keys = el("ul", { class: "legend toggles" });
  const details = el("div", { class: "details" });
  const found = el("p", { class: "note", role: "status" });
  const table = hostTable(map, plan, kindOf, focusOn);
  const whole = el("details", { class: "as-table", ontoggle: listed }, el("summary", {}, "The same as a table"), table);

  function look(host) {
    looked = host;
    address("host", host < 0 ? null : map.host_id[host]);
    detail();
  }

  function detail() {
    if (looked < 0) {
      put(details, el("p", { class: "note" }, "No host is looked at. Point at one, or search for its id."));
      return;
    }
    const now = way === "stage" ? kindOf(looked) : null;
    const rows = facts(map, plan, looked, now);
    put(
      details,
      el("h3", {}, map.host_id[looked]),
      el("dl", {}, rows.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
      beside(map.host_id[looked]),
    );
  }

  function focusOn(name) {
    const host = number.get(name);
    say(found, host === undefined ? `The fleet has no host ${name}.` : "");
    if (host !== undefined) canvas.focusOn(host);
  }

  function paint() {
    const kindsBefore = palette?.kinds.map((kind) => kind.name).join();
    palette = WAYS[way][1](shown);
    const counts = new Array(palette.kinds.length).fill(0);
    for (const code of palette.codes) counts[code] += 1;
    if (palette.kinds.map((kind) => kind.name).join() !== kindsBefore) only = null;
    canvas.paint(palette.codes, palette.kinds.map((kind) => kind.tone));
    legendOf(counts);
    if (looked >= 0) detail();
    if (whole.open) listed();
  }

  function legendOf(counts) {
    const known = new Map([...keys.children].map((item) => [item.dataset.name, item]));
    const items = palette.kinds.flatMap((kind, code) => {
      if (!counts[code] && only !== code) return [];
      const item = known.get(kind.name) ?? key(kind, code);
      say(item.querySelector("b"), count(counts[code]));
      item.querySelector("button").setAttribute("aria-pressed", String(only === code));
      return [item];
    });
    if (items.length !== keys.children.length || items.some((item, place) => keys.children[place] !== item)) put(keys, items);
  }

  function key({ name, tone }, code) {
    const swatch = el("i", { class: "area", "aria-hidden": "true", style: { "--tone": `var(--${tone})` } });
    const button = el("button", { type: "button", "aria-pressed": "false", onclick: () => filter(code) }, swatch, el("b"), ` ${name}`);
    const item = el("li", {}, button);
    item.dataset.name = name;
    return item;
  }

  function filter(code) {
    only = only === code ? null : code;
    canvas.only(only);
    table.first();
    paint();
  }

  function listed() {
    if (!whole.open) return;
    const hosts = [];
    for (let host = 0; host < map.host_id.length; host += 1) if (only === null || palette.codes[host] === only) hosts.push(host);
    table.set(hosts);
  }

  const node = section(
    title,
    { class: "card map-panel" },
    controls(ways, () => way, (chosen) => {
      way = chosen;
      address("colour", way === ways[0] ? null : way);
      put(keys);
      only = null;
      canvas.only(null);
      paint();
    }, focusOn),
    found,
    keys,
    el("div", { class: "map-and-details" }, canvas, details),
    whole,
  );
  node.paint = (stages) => {
    shown.stages = stages;
    paint();
  };
  /** Look at a host, here on the map. */
  node.look = (name) => {
    focusOn(name);
    canvas.focus();
  };
  node.end = canvas.end;
  paint();
  detail();
  if (asked.get("host")) requestAnimationFrame(() => focusOn(asked.get("host")));
  return node;
}

function controls(ways, current, choose, focusOn) {
  const colour = newId("colour");
  const search = newId("search");
  const select = el(
    "select",
    { id: colour, onchange: (event) => choose(event.target.value) },
    ways.map((each) => el("option", { value: each, selected: each === current() }, WAYS[each][0])),
  );
  const input = el("input", { id: search, type: "search", autocomplete: "off", spellcheck: "false", size: 16 });
  const form = el(
    "form",
    {
      class: "field inline",
      role: "search",
      onsubmit: (event) => {
        event.preventDefault();
        focusOn(input.value.trim());
      },
    },
    el("label", { for: search }, "Host"),
    input,
    el("button", { type: "submit", class: "quiet" }, "Find"),
  );
  return el("div", { class: "controls" }, el("div", { class: "field inline" }, el("label", { for: colour }, "Colours"), select), form);
}

function hostTable(map, plan, kindOf, focusOn) {
  const columns = [
    {
      name: "host",
      cell: (host) => el("button", { type: "button", class: "as-link", onclick: () => focusOn(map.host_id[host]) }, map.host_id[host]),
    },
    { name: map.laid_out_by ?? "row", cell: (host) => map.rows[map.row[host]] || "–" },
    { name: "rack", cell: (host) => map.racks[map.rack[host]] },
    { name: "shown as", cell: kindOf },
    { name: "VMs", number: true, cell: (host) => count(map.vms[host]) },
    { name: "memory sold", number: true, cell: (host) => percent(map.memory_fill[host] / 1000) },
  ];
  if (plan) columns.push({ name: "wave", number: true, cell: (host) => count(plan.wave[host]) });
  return pagedTable("Hosts", columns, { size: 50, nothing: "No host is shown in this way." });
}

const ADDRESS_MS = 400;
const waiting = new Map();

/** Keep in the address what is looked at, a moment later, so that it can be shared; null: leave it out. */
export function address(name, value) {
  const path = location.pathname;
  clearTimeout(waiting.get(name));
  waiting.set(name, setTimeout(() => path === location.pathname && noted(name, value), ADDRESS_MS));
}

function noted(name, value) {
  const url = new URL(location.href);
  if (value === null) url.searchParams.delete(name);
  else url.searchParams.set(name, value);
  if (url.href !== location.href) history.replaceState(history.state, "", url);
}
