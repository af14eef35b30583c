/** Pictures of a campaign as it runs: exposure, hosts out and blackouts, planned and measured. */

import { curves, distribution, figure } from "../charts.js";
import { breathe, el } from "../dom.js";
import { count, counted, milliseconds } from "../words.js";
import { exposureKeys, outCurves, outName } from "./plan.js";

const PLANNED = { tone: "planned", meaning: "planned" };
const MEASURED = { tone: "measured", mark: "line", meaning: "measured" };
const LIMIT = { tone: "limit", mark: "dash", meaning: "limit" };
const BLACKOUTS = [
  PLANNED,
  { ...MEASURED, meaning: "measured by the hypervisor" },
  { tone: "probe", mark: "dots", meaning: "measured by the probe" },
  { ...LIMIT, meaning: "policy's limit" },
];

/** Return the pictures: `node`, `show(found, how)` with what the API answers as curves, and `end`. */
export function campaignPictures() {
  const exposure = figure("Exposure", exposureKeys(true));
  const out = figure("Hosts out", [PLANNED, MEASURED, LIMIT]);
  const blackouts = figure("Blackouts of live migrations", BLACKOUTS, { wide: true });
  const node = el("section", { class: "plots", "aria-label": "Pictures" }, exposure, out, blackouts);
  for (const each of [exposure, out, blackouts]) each.show(() => [], "It is being worked out.");

  /** Draw them; `bound` is the curve that no plan can run below, once it is known. */
  async function show(found, { bound, isRevised, isOver }) {
    const whole = { horizonS: found.horizon_s, markS: isOver ? null : found.now_s };
    const series = [
      { curve: found.exposure, tone: "planned", kind: "area" },
      { curve: found.returned, tone: "measured", kind: "line" },
      ...(bound ? [{ curve: bound, tone: "limit", kind: "dash" }] : []),
    ];
    await breathe();
    exposure.show(
      (width) => curves(width, { ...whole, series, height: 250, most: found.due * 1.04, label: "Due hosts not yet patched, planned and measured" }),
      `Due hosts not yet patched: ${count(found.returned.value.at(-1) ?? found.due)} of ${count(found.due)} now. ${boundWords(bound, isRevised)}`,
    );
    const both = (each) => [
      { curve: each.planned, tone: "planned", kind: "area" },
      { curve: each.measured, tone: "measured", kind: "line" },
    ];
    const now = (each) => `${outName(each)}: ${count(each.measured.value.at(-1) ?? 0)} of ${count(each.limit)}`;
    await breathe();
    out.show((width) => found.out.map((each) => outCurves(width, whole, each, both(each))), `Now: ${found.out.map(now).join("; ")}. Of each kind of failure domain the most loaded is shown.`);
    distributed(found.blackouts);
  }

  function distributed({ series, edges_ms: edges, limit_ms: limit, restarts, above }) {
    const { planned, measured, probe } = series;
    blackouts.hidden = !planned;
    if (!planned) return;
    const shown = [
      { share: planned.share, tone: "planned", kind: "area" },
      ...(measured ? [{ share: measured.share, tone: "measured", kind: "line" }] : []),
      ...(probe ? [{ share: probe.share, tone: "probe", kind: "dots" }] : []),
    ];
    const words = measured
      ? `Share of live migrations by length of blackout, in ms: ${count(planned.count)} planned, ${count(measured.count)} measured so far. Half are at or below ${milliseconds(measured.p50_ms)} (planned ${milliseconds(planned.p50_ms)}), the longest had ${milliseconds(measured.max_ms)} (planned ${milliseconds(planned.max_ms)}). ${count(above)} above the VM's limit. Not drawn: ${counted(restarts, "restart")}.`
      : `Share of ${counted(planned.count, "live migration")} by length of blackout, in ms, as planned. None is measured yet.`;
    blackouts.show((width) => distribution(width, { edges, limit, series: shown, label: "Blackouts by length, planned and measured" }), words);
  }

  function end() {
    for (const each of [exposure, out, blackouts]) each.end();
  }

  return { node, show, end };
}

function boundWords(bound, isRevised) {
  if (!bound) return "The bound is being worked out.";
  const none = isRevised ? "No plan made before the campaign began could" : "No plan can";
  return `${none} run below the dashed line, the bound on each host's return.`;
}
