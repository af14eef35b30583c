/** Numbers as people read them: two units of time at most, thousands separated, and the unit. */

export const UNKNOWN = "–";
const NARROW = " ";
const FINE = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });

function fixed(number, digits) {
  return number.toLocaleString("en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function isKnown(value) {
  return value !== null && value !== undefined && !Number.isNaN(value);
}

/** A whole number. */
export function count(number) {
  return isKnown(number) ? FINE.format(number) : UNKNOWN;
}

/** A number with its noun: `1 host`, `12 hosts`. */
export function counted(number, noun, nouns = `${noun}s`) {
  return `${count(number)} ${number === 1 ? noun : nouns}`;
}

/** A duration in its two largest units: `3 h 12 min`, `42 s`. */
export function duration(seconds) {
  if (!isKnown(seconds)) return UNKNOWN;
  const sign = seconds < 0 ? "−" : "";
  let whole = Math.round(Math.abs(seconds));
  const coarse = whole >= 86400 ? 3600 : whole >= 3600 ? 60 : 1;
  whole = Math.round(whole / coarse) * coarse;
  const parts = [
    [Math.floor(whole / 86400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  let first = parts.findIndex(([number]) => number > 0);
  if (first < 0) first = 3;
  const shown = parts.slice(first, first + 2).filter(([number], place) => number || place === 0);
  return sign + shown.map(([number, unit]) => `${number}${NARROW}${unit}`).join(" ");
}

/** A short time: with a decimal below a minute. */
export function fineDuration(seconds) {
  if (!isKnown(seconds)) return UNKNOWN;
  return Math.abs(seconds) < 60 ? `${fixed(seconds, 1)}${NARROW}s` : duration(seconds);
}

/** Milliseconds: one decimal below 10, none above; from 10 s on as a duration. */
export function milliseconds(number) {
  if (!isKnown(number)) return UNKNOWN;
  if (number >= 10000) return duration(number / 1000);
  return `${fixed(number, number < 10 ? 1 : 0)}${NARROW}ms`;
}

/** Host-hours: two digits that count below 1, one decimal below 100, none above. */
export function hostHours(number) {
  if (!isKnown(number)) return UNKNOWN;
  const few = number > 0 && number < 1;
  const shown = few ? number.toLocaleString("en-GB", { maximumSignificantDigits: 2 }) : fixed(number, number < 100 ? 1 : 0);
  return `${shown}${NARROW}host-h`;
}

export function percent(share, digits = 1) {
  return isKnown(share) ? `${fixed(100 * share, digits)}${NARROW}%` : UNKNOWN;
}

export function gbit(mbit) {
  return isKnown(mbit) ? `${fixed(mbit / 1000, 1)}${NARROW}Gbit/s` : UNKNOWN;
}

export function mib(number) {
  if (!isKnown(number)) return UNKNOWN;
  if (number >= 1024 ** 2) return `${fixed(number / 1024 ** 2, 1)}${NARROW}TiB`;
  return number >= 1024 ? `${fixed(number / 1024, 1)}${NARROW}GiB` : `${count(number)}${NARROW}MiB`;
}

/** How far a value is above its bound: `+5.3 %`. */
export function overBound(value, bound) {
  if (!isKnown(value) || !isKnown(bound) || bound <= 0) return UNKNOWN;
  const gap = (value - bound) / bound;
  return `${gap >= 0 ? "+" : "−"}${percent(Math.abs(gap))}`;
}

/** A moment in UTC: `2026-11-29 18:38 UTC`. */
export function moment(text) {
  if (!text) return UNKNOWN;
  return `${new Date(text).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

/** A clock time in UTC, so many seconds after an origin; `fine`: to the second. */
export function clock(origin, seconds, fine = false) {
  if (!origin || !isKnown(seconds)) return UNKNOWN;
  return `${new Date(new Date(origin).getTime() + 1000 * seconds).toISOString().slice(11, fine ? 19 : 16)} UTC`;
}

/** Who asked, by the name of their token: `token:90f7def5ce40 (night shift)` is `night shift`. */
export function person(who) {
  return /^token:\S+ \((.*)\)$/.exec(who)?.[1] ?? who;
}

/** A text in which somebody is named so, with the names alone. */
export function people(text) {
  return text.replace(/token:[0-9a-f]+ \(([^)]*)\)/g, "$1");
}

/** A name as it is read: `source_deleted` as `source deleted`. */
export function plain(name) {
  return String(name).replace(/[_-]/g, " ");
}
