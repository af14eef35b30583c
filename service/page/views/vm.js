/** One VM's story in a campaign: its notices, the attempts to move it, each with its stages, and every event. */

import { get } from "../api.js";
import { figure, stageBars } from "../charts.js";
import { el, put, say } from "../dom.js";
import { follow, paced } from "../feed.js";
import { badge, section, short, trail } from "../parts.js";
import { pagedTable, plainTable } from "../tables.js";
import { clock, count, counted, duration, fineDuration, isKnown, mib, milliseconds, overBound, plain } from "../words.js";
import { eventWords } from "./campaign_log.js";
import { forwardedWords } from "./campaign_words.js";

const REFRESH_MS = 1500;
const STAGES = [
  ["reserve_s", "target reserved", "patch", 1],
  ["prepare_s", "target prepared", "patch", 1],
  ["connect_s", "source and target connected", "patch", 1],
  ["brownout_s", "pre-migration brownout", "drain", 1],
  ["blackout_ms", "blackout", "limit", 0.001],
  ["forwarding_s", "post-migration brownout", "measured", 1],
  ["delete_s", "source deleted, confirmed", "return", 1],
];
const KEYS = [
  { tone: "due", meaning: "notice" },
  { tone: "patch", meaning: "reserve, prepare, connect" },
  { tone: "drain", meaning: "pre-migration brownout" },
  { tone: "limit", meaning: "blackout" },
  { tone: "measured", meaning: "post-migration brownout" },
  { tone: "return", meaning: "source deleted" },
  { tone: "blocked", meaning: "failed attempt" },
];

export async function vmView({ main, signal, failed }, campaignId, vmId) {
  document.title = `VM ${vmId} · Slacktide`;
  const path = `/v1/campaigns/${campaignId}/vms/${encodeURIComponent(vmId)}`;
  const [campaign, first] = await Promise.all([get(`/v1/campaigns/${campaignId}`, signal), get(path, signal)]);
  const moves = el("div");
  const lead = el("p", { class: "lead" });
  const events = pagedTable("Events", eventColumns(campaign), { size: 25, nothing: "Nothing has happened to it." });
  let figures = [];
  let before = "";
  let mine = new Set();

  function show(story) {
    const text = JSON.stringify(story);
    if (text === before) return;
    before = text;
    mine = new Set(story.migrations.map((move) => move.migration_id));
    for (const each of figures) each.end();
    figures = [];
    say(lead, summary(story));
    put(
      moves,
      story.migrations.map((move, place) => movement(move, place, story, campaign, figures)),
      story.migrations.length ? null : el("p", { class: "card" }, "The campaign does not move this VM."),
    );
    events.set(story.events);
  }

  put(
    main,
    trail(["/page/campaigns", "Campaigns"], [`/page/campaigns/${campaignId}`, `Campaign ${short(campaignId)}`]),
    el("h1", { tabindex: "-1" }, "VM ", el("span", { class: "id" }, vmId)),
    lead,
    facts(first.vm),
    moves,
    section("Everything that happened to it", { class: "card" }, events),
  );
  show(first);
  const again = paced(() => get(path, signal).then(show).catch(failed), REFRESH_MS);
  let stop = () => {};
  if (!campaign.finished) {
    const { number } = await get(`/v1/campaigns/${campaignId}/map`, signal);
    const heard = ({ events: told, count: number_ }) => {
      if (number_ > told.length || told.some(({ event }) => mine.has(event.migration_id) || event.vm_id === vmId || event.type === "plan-revised")) again();
    };
    stop = follow(campaignId, number, ["campaign", "migrations", "vms"], { events: heard, state: again });
  }
  return () => {
    stop();
    again.end();
    for (const each of figures) each.end();
  };
}

function summary({ migrations }) {
  const done = migrations.filter((move) => move.state === "done");
  const black = done.reduce((sum, move) => sum + (move.counted_blackout_ms ?? 0), 0);
  const over = done.filter((move) => move.above_limit);
  const attempts = migrations.reduce((sum, move) => sum + move.attempts, 0);
  const after = migrations.findLast((move) => move.state === "done");
  const where = after ? `It runs on ${after.target}.` : migrations.length ? `It runs on ${migrations[0].source}.` : "";
  return `${counted(migrations.length, "migration")} planned, ${count(done.length)} done in ${counted(attempts, "attempt")}; ${milliseconds(black)} of blackout in all${over.length ? `, ${over.map(overLimit).join(", ")}` : ""}. ${where}`;
}

function facts(vm) {
  if (!vm) return el("p", { class: "note" }, "The snapshot does not have it: it came later.");
  const said = [
    ["host in the snapshot", vm.host_id],
    ["memory", mib(vm.memory_mib)],
    ["vCPUs", count(vm.vcpus)],
    ["service", vm.service_id ?? "none"],
    ["dirties", isKnown(vm.dirty_mib_s) ? `${vm.dirty_mib_s.toFixed(1)} MiB/s` : "not known"],
    ["hot memory", isKnown(vm.hot_mib) ? mib(vm.hot_mib) : "not known"],
    ["eviction", vm.eviction],
    ["notice asked for", duration(vm.notice_s)],
    ["blackout limit of its own", milliseconds(vm.blackout_limit_ms)],
  ];
  const list = el("dl", { class: "facts" }, said.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
  return section("The VM", { class: "card" }, list);
}

function movement(move, place, story, campaign, figures) {
  const origin = campaign.progress?.origin;
  const picture = figure("Stages over time", KEYS);
  const tries = attempts(move, story.events);
  const bars = { planned: plannedBars(move), measured: measuredBars(move, tries) };
  const label = `Stages of ${move.migration_id}, planned and measured, from when its last attempt began`;
  const { fromS, toS } = span([...bars.planned, ...bars.measured]);
  picture.show((width) => stageBars(width, { ...bars, label, fromS, toS }), `${begun(move, origin)} ${notice(move)}`);
  figures.push(picture);
  return section(
    `Migration ${place + 1}: ${move.source} → ${move.target}`,
    { class: "card move" },
    el("p", {}, badge(move.state), ` ${move.migration_id}, wave ${count(move.wave)}, ${plain(move.strategy)}, ${count(move.bandwidth_mbit_s)} Mbit/s reserved. `, move.error ? `The last failed attempt: ${move.error}` : ""),
    picture,
    stages(move),
    forwarding(move),
    tries.length > 1 || tries.some((each) => each.error) ? attemptTable(tries) : null,
  );
}

/** Return what the source counted until the fabric had caught up, and who had not heard in time; null: nobody was told. */
function forwarding(move) {
  const words = forwardedWords(move, move.fabric_finding);
  return words ? el("p", { class: move.fabric_finding ? "trouble" : "note" }, `Its source forwards no more: ${words}.`) : null;
}

/** Return what is drawn: all from the beginning on, and before it no more than is after it. */
function span(bars) {
  const toS = Math.max(1, ...bars.map((bar) => bar.to));
  return { fromS: Math.max(-toS, Math.min(0, ...bars.map((bar) => bar.from))), toS };
}

function begun(move, origin) {
  if (!isKnown(move.start_s)) return `It is to begin ${duration(move.planned_start_s)} into the campaign.`;
  const late = move.start_s - move.planned_start_s;
  const when = Math.abs(late) < 1 ? "as planned" : `${fineDuration(Math.abs(late))} ${late > 0 ? "later" : "earlier"} than planned`;
  return `It began at ${clock(origin, move.start_s, true)}, ${when}; both rows are drawn from there.`;
}

function shifted(bars, s) {
  return bars.map((bar) => ({ ...bar, from: bar.from - s, to: bar.to - s }));
}

function plannedBars(move) {
  const bars = [];
  const add = (from, to, tone, name) => to > from && bars.push({ from, to, tone, title: `${name}, planned: ${fineDuration(to - from)}` });
  add(move.planned_notified_s, move.planned_start_s, "due", "notice");
  const black = move.predicted_blackout_ms / 1000;
  const middle = Math.min(move.planned_end_s, move.planned_start_s + move.predicted_brownout_s);
  add(move.planned_start_s, middle, "drain", "pre-migration brownout");
  add(middle, Math.max(middle, Math.min(middle + black, move.planned_end_s)), "limit", "blackout");
  add(middle + black, move.planned_end_s, "measured", "post-migration brownout and end");
  return shifted(bars, move.planned_start_s);
}

function measuredBars(move, tries) {
  const failed = tries.filter((each) => each.error);
  const bars = failed.map(({ attempt, from, to, error }) => ({ from, to, tone: "blocked", title: `attempt ${attempt} failed after ${fineDuration(to - from)}: ${error}` }));
  const told = move.told_s ?? move.notified_s;
  const began = tries[0]?.from ?? move.start_s;
  if (isKnown(told) && isKnown(began) && began > told) bars.push({ from: told, to: began, tone: "due", title: `notice: ${fineDuration(began - told)}` });
  let at = failed.some((each) => each.from === move.start_s) ? null : move.start_s;
  for (const [name, words, tone, unit] of STAGES) {
    if (!isKnown(at) || !isKnown(move[name])) continue;
    const lasted = move[name] * unit;
    bars.push({ from: at, to: at + lasted, tone, title: `${words}: ${unit === 1 ? fineDuration(lasted) : milliseconds(move[name])}` });
    at += lasted;
  }
  return shifted(bars, move.start_s ?? move.planned_start_s);
}

function notice(move) {
  const promised = isKnown(move.promised_notice_s) ? `Its guest was promised ${duration(move.promised_notice_s)} of notice` : "Its guest wants no notice";
  const had = isKnown(move.notice_s) ? ` and had ${fineDuration(move.notice_s)}` : "";
  const ready = isKnown(move.acknowledged_s) ? `; it said that it was ready ${duration(move.acknowledged_s)} into the campaign` : "";
  const less = isKnown(move.notice_shortfall_s) ? `; that is ${fineDuration(move.notice_shortfall_s)} too little` : "";
  return `${promised}${had}${ready}${less}.`;
}

function stages(move) {
  let at = move.start_s;
  const predicted = { brownout_s: fineDuration(move.predicted_brownout_s), blackout_ms: milliseconds(move.predicted_blackout_ms) };
  const rows = STAGES.map(([name, words, , unit]) => {
    const lasted = isKnown(move[name]) ? move[name] * unit : null;
    const row = {
      words,
      begins: isKnown(at) && lasted !== null ? `${duration(at)}` : "–",
      lasted: name === "blackout_ms" ? blackout(move) : fineDuration(lasted),
      predicted: predicted[name] ?? "",
    };
    if (lasted !== null && isKnown(at)) at += lasted;
    return row;
  });
  return plainTable(
    `Stages of ${move.migration_id}`,
    [
      { name: "stage", cell: (row) => row.words },
      { name: "begins, into the campaign", number: true, cell: (row) => row.begins },
      { name: "measured", number: true, cell: (row) => row.lasted },
      { name: "predicted", number: true, cell: (row) => row.predicted },
    ],
    rows,
  );
}

function blackout(move) {
  const probe = isKnown(move.probe_blackout_ms) ? `, probe ${milliseconds(move.probe_blackout_ms)}` : "";
  const off = isKnown(move.blackout_ms) ? ` (${overBound(move.blackout_ms, move.predicted_blackout_ms)})` : "";
  const over = move.above_limit ? el("strong", {}, `; ${overLimit(move)}`) : null;
  return [`${milliseconds(move.blackout_ms)}${off}${probe}`, over];
}

/** By how much a blackout is above its VM's limit, by the count that is held against it. */
function overLimit({ counted_blackout_ms: counts, blackout_limit_ms: limit }) {
  return `above its limit: ${milliseconds(counts)} of ${milliseconds(limit)}`;
}

/** Return the attempts at a migration, from the events about it. */
function attempts(move, events) {
  const found = new Map();
  for (const { event } of events) {
    if (event.migration_id !== move.migration_id || !event.attempt) continue;
    const one = found.get(event.attempt) ?? { attempt: event.attempt, from: event.at_s, to: event.at_s, what: "", error: "" };
    one.to = event.at_s;
    one.what = plain(event.type.replace("migration-", ""));
    one.error = event.error ?? one.error;
    found.set(event.attempt, one);
  }
  return [...found.values()];
}

function attemptTable(tries) {
  return plainTable(
    "Attempts",
    [
      { name: "attempt", number: true, cell: (row) => count(row.attempt) },
      { name: "began", number: true, cell: (row) => duration(row.from) },
      { name: "lasted", number: true, cell: (row) => fineDuration(row.to - row.from) },
      { name: "came to", cell: (row) => row.what },
      { name: "why it failed", cell: (row) => row.error },
    ],
    tries,
  );
}

function eventColumns(campaign) {
  const origin = campaign.progress?.origin;
  return [
    { name: "into the campaign", number: true, cell: ({ event }) => duration(event.at_s) },
    { name: "at", minor: true, cell: ({ event }) => clock(origin, event.at_s, true) },
    { name: "what", cell: ({ event }) => eventWords(event) },
    { name: "attempt", number: true, minor: true, cell: ({ event }) => count(event.attempt) },
    { name: "event", number: true, minor: true, cell: ({ number }) => count(number) },
  ];
}
