/** What a job has found, as its command says it: a what-if, a Pareto front, an explanation. */

import { el } from "../dom.js";
import { plainTable } from "../tables.js";
import { count, counted, duration, hostHours, isKnown, overBound } from "../words.js";
import { explainedWords, planLink } from "./plan.js";

const LEAST_HOST_H = 0.05;

/** Return what a job that is done has found; nothing where links to what it made say it all. */
export function jobResult({ kind, result }) {
  if (!result) return [];
  if (kind === "what-if") return whatIf(result);
  if (kind === "pareto") return front(result);
  return kind === "explain" ? [el("h2", {}, "What limits the plan"), explainedWords(result)] : [];
}

function whatIf(found) {
  const { present, deadline, conflict, purchases, promised, not_planned: left } = found;
  const early = found.present_ended_early ? " Its search was ended early: part of what limits seem to buy is the search's." : "";
  const why = found.interrupted ? "the work was interrupted" : "the time was over";
  return [
    el("p", { class: "lead" }, `Policy ${found.policy}: ${counted(present.hosts, "host")} in ${duration(present.makespan_s)} (bound ${duration(present.makespan_bound_s)}), exposure ${hostHours(present.exposure_host_h)} (bound ${hostHours(present.exposure_bound_host_h)})${present.deferred ? `, ${count(present.deferred)} deferred` : ""}; plan `, planLink(present.plan_id), `.${early}`),
    deadline ? reached(deadline) : null,
    conflict ? [el("h2", {}, "Why hosts are left alone"), conflicting(conflict)] : null,
    purchases.length ? [el("h2", {}, "What one step of each limit buys"), bought(purchases)] : null,
    left.length ? el("p", { class: "note" }, `Not planned, ${why}: ${left.join(", ")}.`) : null,
    promised.length ? [el("h2", {}, "What bounds promise, without a plan"), plainTable("What bounds promise", PROMISED, promised)] : null,
  ];
}

/** Return what must give for everything to be done by a time. */
function reached(answer) {
  const by = `Everything by ${duration(answer.by_s)}: `;
  const together = answer.together ? [{ ...answer.together, isTogether: true }] : [];
  const ways = [...answer.alone, ...together];
  const sure = answer.not_alone.filter((one) => one.proven).map((one) => one.limit);
  const unsure = answer.not_alone.filter((one) => !one.proven).map((one) => one.limit);
  return [
    el("h2", {}, "What must give"),
    el("p", {}, by, ...verdict(answer)),
    ways.length ? plainTable("What suffices", WAYS, ways) : null,
    sure.length ? el("p", {}, `Alone proven not to suffice, however loose: ${sure.join(", ")}.`) : null,
    unsure.length ? el("p", {}, `Alone no plan found, however loose: ${unsure.join(", ")}.`) : null,
    answer.conflict ? conflicting(answer.conflict) : null,
    answer.verdict !== "reached" && !answer.whole ? el("p", { class: "note" }, "The work ended before every question was answered.") : null,
  ];
}

function verdict({ verdict: is, present, bound_s: bound }) {
  if (is === "reached" && present) {
    const rest = present.deferred ? `; ${counted(present.deferred, "host")} left alone, whatever limit gives` : "";
    return [`the present limits suffice, ${duration(present.makespan_s)} with plan `, planLink(present.plan_id), `${rest}.`];
  }
  const known = isKnown(bound);
  if (is === "impossible") return [`proven impossible under the present limits, ${known ? `the bound is ${duration(bound)}` : "not all hosts can be patched"}.`];
  return [`no plan found under the present limits${known ? `; the bound, ${duration(bound)}, does not exclude one` : ""}.`];
}

const GROUNDS = { bounds: "proven", "joint model": "proven with the joint model", search: "not proven: no plan found" };

function conflicting({ members, ground, among_all: amongAll }) {
  const how = GROUNDS[ground] ?? ground;
  if (members.length) return el("p", {}, `In conflict (${how}): ${members.map((one) => `${one.limit} ${one.value}`).join(", ")}.`);
  if (amongAll) return el("p", {}, `No limit of the policy stands in the way, but the fleet itself (${how}).`);
  return el("p", {}, `Not the limits that were named stand in the way, but others, which were not looked at, or the fleet (${how}).`);
}

function step({ before, after }) {
  return `${before} → ${after}`;
}

/** A gain with its sign, a minus for what a figure falls by; `0` for less than would be seen. */
function less(gain, least, said) {
  return Math.abs(gain) < least ? "0" : `${gain > 0 ? "−" : "+"}${said(Math.abs(gain))}`;
}

const WAYS = [
  { name: "what gives", cell: ({ changes, isTogether }) => `${isTogether ? "together: " : ""}${changes.map((one) => `${one.limit} ${step(one)}`).join(", ")}` },
  { name: "makespan then", number: true, cell: ({ plan }) => duration(plan.makespan_s) },
  { name: "bound", number: true, cell: ({ plan }) => duration(plan.makespan_bound_s) },
  { name: "exposure", number: true, cell: ({ plan }) => hostHours(plan.exposure_host_h) },
  { name: "by so little", cell: ({ least }) => (least ? "proven least" : "least found") },
  { name: "plan", cell: ({ plan, of_fleet: ofFleet }) => (ofFleet ? `${plan.plan_id}, of a changed fleet` : planLink(plan.plan_id)) },
];

function bought(purchases) {
  const order = (a, b) => b.more_hosts - a.more_hosts || b.exposure_gain_host_h - a.exposure_gain_host_h || b.gain_s - a.gain_s;
  return plainTable("What each relaxation buys", BOUGHT, [...purchases].sort(order));
}

const BOUGHT = [
  { name: "limit", cell: (row) => row.limit },
  { name: "one step", cell: step },
  { name: "makespan", number: true, cell: (row) => less(row.gain_s, 1, duration) },
  { name: "its bound", number: true, cell: (row) => (isKnown(row.bound_gain_s) ? less(row.bound_gain_s, 1, duration) : "a plan becomes possible") },
  { name: "exposure", number: true, cell: (row) => less(row.exposure_gain_host_h, LEAST_HOST_H, hostHours) },
  { name: "its bound", number: true, cell: (row) => (isKnown(row.exposure_bound_gain_host_h) ? less(row.exposure_bound_gain_host_h, LEAST_HOST_H, hostHours) : "") },
  { name: "more hosts", number: true, cell: (row) => count(row.more_hosts) },
  { name: "plan", cell: (row) => (row.present ? "no better one found" : row.of_fleet ? `${row.plan.plan_id}, of a changed fleet` : planLink(row.plan.plan_id)) },
];
const PROMISED = [
  { name: "limit", cell: (row) => row.limit },
  { name: "one step", cell: step },
  { name: "bound on the makespan then", number: true, cell: (row) => (isKnown(row.bound_s) ? duration(row.bound_s) : "still no plan") },
  { name: "it falls by", number: true, cell: (row) => (isKnown(row.gain_s) ? duration(row.gain_s) : "") },
];

function front({ policy, front: points, not_planned: left }) {
  return [
    el("p", { class: "lead" }, `Policy ${policy}: ${counted(points.length, "plan")} that none beats in makespan, moves and hosts out at once.`),
    points.length ? plainTable("Plans that none beats", FRONT, points) : null,
    left ? el("p", { class: "note" }, `${counted(left, "further plan was", "further plans were")} not made: the work ended before.`) : null,
  ];
}

const FRONT = [
  { name: "hosts out", number: true, cell: (row) => `${count(row.hosts_out)} of ${count(row.max_out_fleet)} allowed${row.present ? ", as now" : ""}` },
  { name: "makespan", number: true, cell: (row) => duration(row.makespan_s) },
  { name: "over its bound", number: true, cell: (row) => overBound(row.makespan_s, row.makespan_bound_s) },
  { name: "moves per VM", number: true, cell: (row) => row.moves_per_vm.toFixed(3) },
  { name: "exposure", number: true, cell: (row) => hostHours(row.exposure_host_h) },
  { name: "plan", cell: (row) => planLink(row.plan_id) },
];
