/**
 * Tables in pages, of rows that are here or that come in pages from the API.
 *
 * On a telephone a row is a block with a line for each cell; roles are written out, since browsers forget them there.
 */

import { get } from "./api.js";
import { announce, el, renew } from "./dom.js";
import { count } from "./words.js";

/**
 * Return a table; `columns` have `name`, `cell(row)` and, where the cell is a number, `number`; those
 * that are `minor` have no room on a telephone.
 * `set(rows)` shows other rows, on the page that was shown.
 */
export function pagedTable(label, columns, { size = 25, nothing = "There is none." } = {}) {
  let rows = [];
  let page = 0;
  const body = el("tbody");
  const says = el("span", { class: "note" });
  const before = el("button", { type: "button", class: "quiet", onclick: () => turn(-1) }, "Before");
  const next = el("button", { type: "button", class: "quiet", onclick: () => turn(1) }, "Next");
  const pager = el("div", { class: "pager" }, before, next, says);
  const empty = el("p", { class: "note" }, nothing);
  const scroll = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Table: ${label}` }, grid(columns, body));
  const node = el("div", { class: "paged" }, scroll, pager, empty);

  function turn(step) {
    page += step;
    show();
    announce(says.textContent);
  }

  function show() {
    const pages = Math.max(1, Math.ceil(rows.length / size));
    page = Math.min(Math.max(page, 0), pages - 1);
    const begin = page * size;
    fill(body, columns, rows.slice(begin, begin + size));
    before.disabled = page === 0;
    next.disabled = page >= pages - 1;
    pager.hidden = pages === 1;
    empty.hidden = rows.length > 0;
    scroll.hidden = rows.length === 0;
    says.textContent = `${count(begin + 1)} to ${count(Math.min(begin + size, rows.length))} of ${count(rows.length)}`;
  }

  node.set = (others) => {
    rows = others;
    show();
  };
  node.first = () => {
    page = 0;
  };
  show();
  return node;
}

/** Return a table whose pages come from the API one after the other. */
export function remoteTable(label, path, columns, { size = 25, nothing = "There is none.", signal, failed } = {}) {
  const cursors = [null];
  let page = 0;
  const body = el("tbody");
  const says = el("span", { class: "note" });
  const before = el("button", { type: "button", class: "quiet", onclick: () => turn(-1) }, "Before");
  const next = el("button", { type: "button", class: "quiet", onclick: () => turn(1) }, "Next");
  const pager = el("div", { class: "pager", hidden: true }, before, next, says);
  const empty = el("p", { class: "note", hidden: true }, nothing);
  const scroll = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Table: ${label}` }, grid(columns, body));

  async function turn(step) {
    page += step;
    before.disabled = next.disabled = true;
    try {
      await load();
      announce(says.textContent);
    } catch (error) {
      failed?.(error);
    }
  }

  async function load() {
    const cursor = cursors[page] ? `&cursor=${encodeURIComponent(cursors[page])}` : "";
    const found = await get(`${path}${path.includes("?") ? "&" : "?"}limit=${size}${cursor}`, signal);
    cursors[page + 1] = found.next;
    fill(body, columns, found.items);
    before.disabled = page === 0;
    next.disabled = !found.next;
    pager.hidden = page === 0 && !found.next;
    empty.hidden = found.items.length > 0;
    scroll.hidden = found.items.length === 0;
    says.textContent = `Page ${count(page + 1)}`;
  }

  const node = el("div", { class: "paged" }, scroll, pager, empty);
  node.load = load;
  return node;
}

/** Return a table of a few rows. */
export function plainTable(label, columns, rows) {
  const body = el("tbody", {}, rows.map((row) => line(columns, row)));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Table: ${label}` }, grid(columns, body));
}

function grid(columns, body) {
  const heads = columns.map((column) => el("th", { scope: "col", role: "columnheader", class: kind(column) }, column.name));
  body.setAttribute("role", "rowgroup");
  return el("table", { role: "table" }, el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, heads)), body);
}

/** Show some rows; cells that stay as they are keep the focus. */
function fill(body, columns, rows) {
  rows.forEach((row, place) => {
    const now = body.children[place];
    const other = line(columns, row);
    if (now) renew(now, [...other.children]);
    else body.append(other);
  });
  while (body.children.length > rows.length) body.lastElementChild.remove();
}

function line(columns, row) {
  const cells = columns.map((column) =>
    el("td", { role: "cell", "data-name": column.name, class: kind(column) }, el("span", {}, column.cell(row))),
  );
  return el("tr", { role: "row" }, cells);
}

function kind({ number, minor }) {
  return [number ? "number" : "", minor ? "minor" : ""].join(" ").trim() || null;
}
