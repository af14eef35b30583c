/** Parts that views are put together from: headings, tiles, badges, buttons that know who may press them. */

import { el, link, newId, put } from "./dom.js";
import { may, whyNot } from "./session.js";

const MOODS = {
  running: "going",
  starting: "going",
  queued: "going",
  finished: "good",
  done: "good",
  paused: "warning",
  "waiting for a decision": "warning",
  "waiting for approval": "warning",
  "held up": "bad",
  "waits for its release": "warning",
  proposed: "warning",
  "aborted before it began": "warning",
  stopped: "warning",
  cancelled: "warning",
  "ending, aborted": "bad",
  aborted: "bad",
  failed: "bad",
};

/** A state in a word, with a mark that says the same without colour. */
export function badge(state) {
  return el("span", { class: `badge ${MOODS[state] ?? "going"}` }, state);
}

/** Where this view is: links to what it belongs to. */
export function trail(...steps) {
  const items = steps.map(([href, text]) => el("li", {}, link(href, text)));
  return el("nav", { class: "trail", "aria-label": "Where you are" }, el("ol", {}, items));
}

/** A figure with its name, and what belongs beside it; `set` changes what is shown. */
export function tile(name, properties = {}) {
  const value = el("p", { class: "value" });
  const list = el("dl");
  const node = el("div", { class: "tile", ...properties }, el("h2", {}, name), value, list);
  node.set = (text, lines = [], mood = "") => {
    if (value.textContent !== text) value.textContent = text;
    value.className = `value ${mood} ${text.length > 16 ? "long" : ""}`.trim();
    const shown = lines.map(([term, said]) => `${term}\n${said}`).join("\n\n");
    if (list.dataset.shown === shown) return;
    list.dataset.shown = shown;
    put(list, lines.map(([term, said]) => el("div", {}, el("dt", {}, term), el("dd", {}, said))));
  };
  return node;
}

/** A section with a heading. */
export function section(title, properties = {}, ...children) {
  const id = newId("section");
  return el("section", { "aria-labelledby": id, ...properties }, el("h2", { id }, title), ...children);
}

/** Buttons of what is for a role; where the reader may not, they are disabled and it is said why. */
export function actions(role, buttons) {
  const note = newId("note");
  const allowed = may(role);
  const made = buttons.map(({ text, press, kind = "" }) =>
    el(
      "button",
      { type: "button", class: kind, onclick: press, disabled: !allowed, "aria-describedby": allowed ? null : note },
      text,
    ),
  );
  return el(
    "div",
    { class: "actions" },
    el("div", { class: "buttons" }, made),
    allowed ? null : el("p", { class: "note", id: note }, whyNot(role)),
  );
}

/** What went wrong: about what, what is so, and what mends it. */
export function trouble(error) {
  if (!("fact" in error)) {
    return el("p", { class: "trouble", role: "alert" }, el("strong", {}, "This is a bug in the page"), ` ${error}`);
  }
  const findings = error.findings.map((each) => el("li", {}, `${each.message}. ${each.remedy}`));
  return el(
    "div",
    { class: "trouble", role: "alert" },
    el("p", {}, el("strong", {}, error.object), ` ${error.fact}. ${error.remedy}`),
    findings.length ? el("ul", {}, findings) : null,
  );
}

/** A bar that fills. */
export function bar(label) {
  const node = el("progress", { max: 1, "aria-label": label });
  node.set = (share) => {
    if (share === null) node.removeAttribute("value");
    else node.value = share;
  };
  return node;
}

/** A legend of tones and marks. */
export function legend(keys) {
  const items = keys.map(({ tone, mark = "area", meaning }) =>
    el("li", {}, el("i", { class: mark, "aria-hidden": "true", style: { "--tone": `var(--${tone})` } }), meaning),
  );
  return el("ul", { class: "legend" }, items);
}

/** The first half of an id: enough to tell a few apart. */
export function short(id) {
  return id.slice(0, 8);
}
