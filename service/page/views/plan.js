/** A plan before anybody approves it: what it does when, what it costs, what limits it, and what would help. */

import { all, get, post } from "../api.js";
import { curves, distribution, figure, waveBars } from "../charts.js";
import { breathe, el, link, put } from "../dom.js";
import { mapPanel } from "../map_panel.js";
import { actions, section, short, tile, trail, trouble } from "../parts.js";
import { plainTable, remoteTable } from "../tables.js";
import { count, counted, duration, gbit, hostHours, milliseconds, moment, overBound, percent, person, plain } from "../words.js";
import { carryOut } from "./campaign_actions.js";
import { listed, lookedAt } from "./lists.js";

const LOOK_MS = 1000;
const AGAIN_MS = 3000;

export async function planView({ main, signal, failed, go }, planId) {
  document.title = `Plan ${short(planId)} · Slacktide`;
  const plan = await get(`/v1/plans/${planId}`, signal);
  const { header } = plan;
  const [map, columns] = await Promise.all([
    get(`/v1/fleets/${plan.fleet_id}/map`, signal),
    get(`/v1/plans/${planId}/map`, signal),
  ]);
  const panel = mapPanel("When each host leaves", map, { ways: ["wave", "fill", "type"], plan: columns });
  const pictures = el("section", { class: "plots", "aria-label": "Pictures" }, el("p", { class: "note" }, "The pictures are being drawn."));
  const explained = section("What limits it, and what would help", { class: "card" });
  const figures = [];
  put(
    main,
    trail(["/page/plans", "Plans"], [`/page/fleets/${plan.fleet_id}`, `Fleet ${short(plan.fleet_id)}`]),
    el("h1", { tabindex: "-1" }, "Plan ", el("span", { class: "id" }, planId)),
    el("p", { class: "lead" }, verdict(header.summary), ` Made ${moment(plan.created_at)} by ${person(plan.created_by)}.`),
    actions("operator", [{ text: "Have it carried out…", kind: "main", press: () => carryOut(plan, go) }]),
    el("section", { class: "tiles", "aria-label": "Key figures" }, tiles(header)),
    panel,
    pictures,
    explained,
    await deferred(planId, header, signal, failed),
    section("Campaigns of this plan", { class: "card" }, await campaignsOf(planId, plan.fleet_id, signal, failed)),
    terms(header),
  );
  drawn(planId, pictures, figures, signal).catch(failed);
  const stop = explanation(planId, explained, signal, failed);
  return () => {
    panel.end();
    stop();
    for (const each of figures) each.end();
  };
}

function verdict(summary) {
  const left = Object.values(summary.deferred).reduce((sum, each) => sum + each, 0);
  const findings = summary.audit.findings.length;
  const audit = findings ? `The audit has ${counted(findings, "finding")}.` : "The audit has no finding.";
  return `${count(summary.hosts)} of ${count(summary.hosts + left)} due hosts are patched within ${duration(summary.makespan_s)}. ${audit}`;
}

function tiles({ summary, policy }) {
  const left = Object.entries(summary.deferred);
  const due = summary.hosts + left.reduce((sum, [, number]) => sum + number, 0);
  const hosts = tile("Hosts patched, of due");
  hosts.set(`${count(summary.hosts)} of ${count(due)}`, left.map(([reason, number]) => [`deferred: ${plain(reason)}`, count(number)]), left.length ? "warning" : "");
  const makespan = tile("Makespan");
  const { makespan_bound_s: bound } = summary;
  makespan.set(duration(summary.makespan_s), [
    ["bound", duration(bound)],
    ["over the bound", overBound(summary.makespan_s, bound)],
    ["deadline", policy.deadline_s === null ? "none" : duration(policy.deadline_s)],
  ]);
  const exposure = tile("Exposure");
  exposure.set(hostHours(summary.exposure_host_h), [
    ["bound", hostHours(summary.exposure_bound_host_h)],
    ["over the bound", overBound(summary.exposure_host_h, summary.exposure_bound_host_h)],
  ]);
  const moves = tile("Migrations");
  moves.set(count(summary.migrations), [["VMs", count(summary.vms)], ["per VM", summary.moves_per_vm.toFixed(3)], ["waves", count(summary.waves)]]);
  const blackout = tile("Blackout, predicted, p99");
  const { predicted_blackout_ms: predicted } = summary;
  blackout.set(milliseconds(predicted.p99), [
    ["p50", milliseconds(predicted.p50)],
    ["longest", milliseconds(predicted.max)],
    ["policy's limit", milliseconds(policy.migration.blackout_limit_ms)],
  ]);
  return [hosts, makespan, exposure, moves, blackout];
}

async function drawn(planId, pictures, figures, signal) {
  const [found, waves] = await Promise.all([
    get(`/v1/plans/${planId}/curves`, signal),
    get(`/v1/plans/${planId}/waves`, signal),
  ]);
  const whole = { horizonS: found.horizon_s };
  const timeline = figure("Waves", waveKeys(waves), { wide: true });
  timeline.show((width) => waveBars(width, { ...whole, rows: waveRows(found.waves, waves), label: "Waves over time" }), waveWords(waves));
  const out = figure("Hosts out", [
    { tone: "planned", meaning: "planned" },
    { tone: "limit", mark: "dash", meaning: "limit" },
  ]);
  out.show(
    (width) => found.out.map((each) => outCurves(width, whole, each, [{ curve: each.planned, tone: "planned", kind: "area" }])),
    `At the peak: ${found.out.map((each) => `${outName(each)}: ${count(Math.max(0, ...each.planned.value))} of ${count(each.limit)}`).join("; ")}. Of each kind of failure domain the most loaded is shown.`,
  );
  const exposure = figure("Exposure", exposureKeys(false));
  const planned = { curve: found.exposure, tone: "planned", kind: "area" };
  const draw = (series) => (width) => curves(width, { ...whole, series, height: 250, most: found.due * 1.04, label: "Due hosts not yet patched" });
  exposure.show(draw([planned]), "Due hosts not yet patched. The bound is being worked out.");
  const links = figure("Hottest links", [{ tone: "planned", meaning: "planned" }, { tone: "limit", mark: "dash", meaning: "limit" }], { wide: true });
  links.show((width) => linkCurves(width, whole, found.links), linkWords(found.links));
  const blackouts = figure("Blackouts of live migrations, predicted", [{ tone: "planned", meaning: "predicted" }, { tone: "limit", mark: "dash", meaning: "policy's limit" }], { wide: true });
  const { predicted } = found.blackouts.series;
  if (predicted) {
    const series = [{ share: predicted.share, tone: "planned", kind: "area" }];
    blackouts.show(
      (width) => distribution(width, { edges: found.blackouts.edges_ms, limit: found.blackouts.limit_ms, series, label: "Blackouts by length" }),
      `Share of ${counted(predicted.count, "live migration")} by length of blackout, in ms; half stay at or below ${milliseconds(predicted.p50_ms)}, 99 of 100 at or below ${milliseconds(predicted.p99_ms)}. Not drawn: ${counted(found.blackouts.restarts, "restart")}.`,
    );
  }
  figures.push(timeline, out, exposure, links, blackouts);
  put(pictures);
  for (const each of [timeline, out, exposure, found.links.length ? links : null, predicted ? blackouts : null]) {
    await breathe();
    if (each) pictures.append(each);
  }
  const { bound } = await get(`/v1/plans/${planId}/exposure-bound`, signal);
  exposure.show(
    draw([planned, { curve: bound, tone: "limit", kind: "dash" }]),
    "Due hosts not yet patched. No plan can run below the dashed line, the bound on each host's return.",
  );
}

export function exposureKeys(measured) {
  return [
    { tone: "planned", meaning: "planned" },
    ...(measured ? [{ tone: "measured", mark: "line", meaning: "measured" }] : []),
    { tone: "limit", mark: "dash", meaning: "bound" },
  ];
}

export function outName({ kind, domain }) {
  if (!domain) return kind;
  return domain.startsWith(kind) ? domain : `${kind} ${domain}`;
}

export function outCurves(width, whole, each, series) {
  const title = `${outName(each)}, at most ${count(each.limit)} of ${counted(each.hosts, "host")}`;
  return curves(width, { ...whole, series, height: 112, limit: each.limit, title, label: `Hosts out: ${title}` });
}

function waveKeys(waves) {
  const gates = [...new Set(waves.map(({ gate }) => gate))].filter((gate) => gate !== "start" && gate !== "pipelined");
  return [
    { tone: "drain", meaning: "drain" },
    { tone: "patch", meaning: "patch" },
    ...gates.map((gate) => ({ tone: "limit", mark: gate, meaning: `gate: ${gate}` })),
  ];
}

function waveRows(spans, waves) {
  const gates = new Map(waves.map(({ wave, gate }) => [wave, gate]));
  return spans.map((span) => ({
    name: `wave ${span.wave}`,
    drain: [span.drain_from_s, span.drain_to_s],
    patch: [span.patch_from_s, span.patch_to_s],
    gate: ["canary", "baked", "approval"].includes(gates.get(span.wave)) ? gates.get(span.wave) : null,
  }));
}

function waveWords(waves) {
  const largest = Math.max(0, ...waves.map(({ hosts }) => hosts));
  const asked = waves.filter(({ gate }) => gate === "approval").length;
  return `${counted(waves.length, "wave")}, the largest of ${counted(largest, "host")}. ${asked ? `${counted(asked, "wave")} wait for a person's approval.` : "None waits for a person's approval."}`;
}

function linkCurves(width, whole, links) {
  const two = width >= 760;
  const each = two ? (width - 16) / 2 : width;
  const made = links.map((one) =>
    curves(each, {
      ...whole,
      series: [{ curve: one.planned, tone: "planned", kind: "area" }],
      height: 84,
      limit: 1,
      shown: (share) => `${Math.round(100 * share)} %`,
      title: `${one.name}, ${gbit(one.limit_mbit_s)}`,
      label: `Use of ${one.name}`,
    }),
  );
  return el("div", { class: two ? "two" : "" }, made);
}

function linkWords(links) {
  if (!links.length) return "Nothing is sent.";
  const [first] = links;
  return `The links that carry the most over the whole plan. 100 % is what migrations may take of a link. ${first.name} is planned at ${percent(first.mean_share)} on average and ${percent(first.peak_share)} at its peak.`;
}

async function deferred(planId, header, signal, failed) {
  const left = Object.values(header.summary.deferred).reduce((sum, each) => sum + each, 0);
  const columns = [
    { name: "host", cell: (row) => row.host_id },
    { name: "reason", cell: (row) => plain(row.reason) },
    { name: "what is so", cell: (row) => row.detail },
    { name: "what helps", cell: (row) => row.remedy },
  ];
  const table = remoteTable("Deferred hosts", `/v1/plans/${planId}/deferred`, columns, {
    size: 10,
    nothing: "Every due host is planned.",
    signal,
    failed,
  });
  await table.load();
  return section(`Deferred: ${counted(left, "host")}`, { class: "card" }, table);
}

async function campaignsOf(planId, fleetId, signal, failed) {
  const table = await listed("campaigns", { query: { fleet_id: fleetId }, signal, size: 10, nothing: "There is no campaign of this plan." });
  const rows = table.items.filter((run) => run.plan_id === planId);
  table.set(rows);
  lookedAt(table, rows, signal).catch(failed);
  return table;
}

/** Show the newest explanation that somebody has asked for, and a button that asks for one. */
function explanation(planId, place, signal, failed) {
  const content = el("div");
  const says = el("p", { class: "note", role: "status" });
  let timer = null;
  place.append(content, says);

  async function look() {
    const { items } = await all(`/v1/jobs?kind=explain&about=${planId}`, signal);
    items.sort((a, b) => (a.created_at < b.created_at ? 1 : -1));
    const under = items.find((job) => job.state === "queued" || job.state === "running");
    const done = items.find((job) => job.state === "done");
    put(says, under ? `It is being explained: ${under.words ?? under.state}.` : "");
    if (done) put(content, explainedWords(done.result));
    else if (items[0]?.error) put(content, trouble(Object.assign(new Error(), { findings: [], ...items[0].error })));
    if (under) timer = setTimeout(go, LOOK_MS);
    else if (!done) put(content, el("p", {}, "Nobody has asked what limits this plan."), actions("operator", [{ text: "Explain it", press: ask }]));
  }

  /** Look, and again later where that failed. */
  function go() {
    look().catch((error) => {
      failed(error);
      if (!signal.aborted) timer = setTimeout(go, AGAIN_MS);
    });
  }

  async function ask() {
    try {
      await post(`/v1/plans/${planId}/explain`);
      go();
    } catch (error) {
      put(says, trouble(error));
    }
  }

  go();
  return () => clearTimeout(timer);
}

export function explainedWords(found) {
  const [first, ...others] = found.bounds;
  const useful = found.relaxations.filter((each) => each.gain_s >= 1 || each.exposure_gain_s >= 60);
  const idle = found.relaxations.filter((each) => !useful.includes(each)).map((each) => each.limit);
  const columns = [
    { name: "limit", cell: (row) => row.limit },
    { name: "one step", cell: (row) => `${row.before} → ${row.after}` },
    { name: "bound on the makespan then", number: true, cell: (row) => duration(row.bound_s) },
    { name: "makespan's bound falls by", number: true, cell: (row) => duration(row.gain_s) },
    { name: "exposure's by", number: true, cell: (row) => hostHours(row.exposure_gain_s / 3600) },
    { name: "what binds then", cell: (row) => row.binding_resource },
  ];
  return [
    first ? el("p", {}, el("strong", {}, "What binds: "), `${first.words}.`) : null,
    found.obstacles.map((each) => el("p", {}, el("strong", {}, "In no plan: "), each)),
    useful.length ? el("h3", {}, "What one step of each limit buys") : null,
    useful.length ? plainTable("What each relaxation buys", columns, useful) : null,
    el("p", { class: "note" }, `These are bounds, which no plan can beat; no plan is promised. ${idle.length ? `One step of these buys nothing: ${idle.join(", ")}.` : ""}`),
    others.length
      ? el(
          "details",
          {},
          el("summary", {}, `${counted(others.length, "further bound")} on the makespan`),
          el("ul", {}, others.slice(0, 12).map((each) => el("li", {}, `${duration(each.bound_s)}: ${each.words}`))),
        )
      : null,
  ];
}

function terms({ policy, seed, objective, snapshot_digest: digest }) {
  const facts = [
    ["policy", policy.name],
    ["objective", objective.join(", then ")],
    ["hosts out at most", Object.entries(policy.max_out).map(([kind, most]) => `${kind} ${most}`).join(", ")],
    ["links", `${percent(policy.link_share, 0)} for migrations`],
    ["canary", policy.canary ? `${policy.canary.hosts} first, ${duration(policy.canary.bake_s)} to bake` : "none"],
    ["seed", String(seed)],
    ["snapshot digest", digest.slice(0, 16)],
  ];
  return section("Terms", { class: "card" }, el("dl", { class: "facts" }, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))));
}

export function planLink(planId) {
  return link(`/page/plans/${planId}`, short(planId), { class: "id" });
}
