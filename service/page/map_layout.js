/** Where every host is drawn: rows of the hall as blocks, racks as blocks within, hosts as cells within these. */

const LARGEST = 24;
const SMALLEST = 3;
const SMALL = 8; // Below it, a row may go on in another line.
const LABEL = 16;
const RACK_SHAPE = 2.5; // A rack is so many times as high as wide.

/**
 * Lay a fleet out in `width` pixels, with the largest cells that keep it within `most` pixels of height.
 *
 * Returns `cell` (with its gap), `height`, `x` and `y` of each host, and `labels` of rows.
 */
export function laidOut(map, width, most) {
  const rows = grouped(map);
  const room = Math.ceil(Math.sqrt((width * most) / Math.max(1, map.host_id.length)));
  let made = null;
  for (let cell = Math.min(LARGEST, Math.max(room, SMALL)); cell >= SMALLEST; cell -= 1) {
    made = placed(rows, map.host_id.length, width, cell);
    if (made.height <= most && (made.whole || cell <= SMALL)) break;
  }
  return made;
}

/** Return the fleet's rows in the order of their names, each with its racks, each with its hosts. */
function grouped(map) {
  const rows = map.rows.map((name) => ({ name, racks: new Map() }));
  for (let host = 0; host < map.host_id.length; host += 1) {
    const racks = rows[map.row[host]].racks;
    const rack = map.rack[host];
    if (!racks.has(rack)) racks.set(rack, []);
    racks.get(rack).push(host);
  }
  return rows.map(({ name, racks }) => ({
    name,
    racks: [...racks.entries()].sort(([a], [b]) => a - b).map(([, hosts]) => hosts),
  }));
}

function placed(rows, hosts, width, cell) {
  const x = new Float32Array(hosts);
  const y = new Float32Array(hosts);
  const labels = [];
  const rackGap = Math.max(3, Math.round(cell * 0.6));
  const rowGap = Math.max(12, cell * 1.5);
  const gap = cell > 8 ? 2 : 1;
  let left = 0;
  let top = 0;
  let lineHeight = 0;
  let whole = true;
  for (const { name, racks } of rows) {
    const wide = Math.max(...racks.map((rack) => columnsOf(rack) * cell)) + rackGap;
    const fit = Math.max(1, Math.floor((width + rackGap) / wide));
    const across = Math.min(fit, racks.length);
    whole &&= across === racks.length;
    const blockWidth = Math.max(across * wide, 62);
    if (left > 0 && left + blockWidth - rackGap > width) {
      left = 0;
      top += lineHeight + rowGap;
      lineHeight = 0;
    }
    if (name) labels.push({ name, x: left, y: top, width: blockWidth - rackGap });
    let rackTop = top + (name ? LABEL : 0);
    for (let first = 0; first < racks.length; first += across) {
      const line = racks.slice(first, first + across);
      let high = 0;
      line.forEach((rack, place) => {
        const columns = columnsOf(rack);
        rack.forEach((host, number) => {
          x[host] = left + place * wide + (number % columns) * cell;
          y[host] = rackTop + Math.floor(number / columns) * cell;
        });
        high = Math.max(high, Math.ceil(rack.length / columns) * cell);
      });
      rackTop += high + rackGap;
    }
    lineHeight = Math.max(lineHeight, rackTop - rackGap - top);
    left += blockWidth + rowGap;
  }
  return { cell, gap, x, y, labels, width, whole, height: top + lineHeight };
}

function columnsOf(rack) {
  return Math.max(1, Math.round(Math.sqrt(rack.length / RACK_SHAPE)));
}

/** Return the host at a point, or -1. */
export function hostAt(layout, x, y) {
  const { cell } = layout;
  for (let host = 0; host < layout.x.length; host += 1) {
    const dx = x - layout.x[host];
    const dy = y - layout.y[host];
    if (dx >= 0 && dx < cell && dy >= 0 && dy < cell) return host;
  }
  return -1;
}

/** Return the nearest host in a direction, or the same one where there is none. */
export function neighbour(layout, from, dx, dy) {
  let best = from;
  let least = Infinity;
  for (let host = 0; host < layout.x.length; host += 1) {
    const x = layout.x[host] - layout.x[from];
    const y = layout.y[host] - layout.y[from];
    const along = x * dx + y * dy;
    const aside = Math.abs(x * dy) + Math.abs(y * dx);
    if (along < 1) continue;
    const cost = along + 4 * aside;
    if (cost < least) {
      least = cost;
      best = host;
    }
  }
  return best;
}
