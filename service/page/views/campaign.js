/** A campaign as it runs: how far it is and when it will end, what is stuck and why, every host, every event. */

import { Problem, bearer, get } from "../api.js";
import { curves, distribution, figure } from "../charts.js";
import { announce, breathe, el, link, newId, put, say } from "../dom.js";
import { follow, paced } from "../feed.js";
import { mapPanel } from "../map_panel.js";
import { actions, badge, bar, section, short, tile, trail } from "../parts.js";
import { plainTable } from "../tables.js";
import { clock, count, counted, duration, hostHours, isKnown, milliseconds, moment, overBound, people, person } from "../words.js";
import { campaignButtons } from "./campaign_actions.js";
import { eventLog } from "./campaign_log.js";
import { exposureKeys, outCurves, outName, planLink } from "./plan.js";

const STATE_MS = 1000;
const CURVES_MS = 3000;
const WAITS_MS = 2000;
const LOOK_MS = 5000;
const WAITS_SHOWN = 10;
const OUT = ["draining", "drained", "patch_intended", "patching", "lost"];
const LEFT = ["failed", "blocked", "lost"];

export async function campaignView(context, campaignId) {
  const { main, signal } = context;
  document.title = `Campaign ${short(campaignId)} · Slacktide`;
  const campaign = await listed(campaignId, signal);
  const [plan, map, columns, waves] = await Promise.all([
    get(`/v1/plans/${campaign.plan_id}`, signal),
    get(`/v1/fleets/${campaign.fleet_id}/map`, signal),
    get(`/v1/plans/${campaign.plan_id}/map`, signal),
    get(`/v1/plans/${campaign.plan_id}/waves`, signal),
  ]);
  const shown = new Campaign(context, campaign, { plan, map, columns, waves });
  put(main, shown.node);
  shown.again();
  return () => shown.end();
}

/** Return a campaign as it is listed, at once; where it stands takes some seconds the first time. */
async function listed(campaignId, signal) {
  const { items } = await get(`/v1/campaigns?campaign_id=${encodeURIComponent(campaignId)}`, signal);
  if (!items.length) throw new Problem(404, { object: `campaign ${campaignId}`, fact: "is not there", remedy: "Look at the list of campaigns" });
  return { ...items[0], standing: "being read", progress: null };
}

class Campaign {
  constructor({ signal, failed, connection, reload }, campaign, { plan, map, columns, waves }) {
    this.id = campaign.campaign_id;
    this.signal = signal;
    this.failed = failed;
    this.connection = connection;
    this.reload = reload;
    this.campaign = campaign;
    this.plan = plan;
    this.gates = waves.map(({ gate }) => gate);
    this.waves = waves.length;
    this.stop = () => {};
    this.parts(map, columns);
    this.again = paced(() => this.refresh().catch(failed), STATE_MS);
    this.drawAgain = paced(() => this.draw().catch(failed), CURVES_MS);
    this.waitsAgain = paced(() => this.waits().catch(failed), WAITS_MS);
    this.timer = setInterval(() => this.changed(), LOOK_MS);
    this.show(campaign);
  }

  parts(map, columns) {
    const { campaign } = this;
    this.state = el("span");
    this.sentence = el("p", { class: "lead", role: "status" });
    this.buttons = el("div");
    this.progress = bar("Hosts patched");
    this.tiles = Object.fromEntries(
      Object.entries({
        hosts: "Hosts patched, of planned",
        time: "Now, into the campaign",
        exposure: "Exposure so far",
        moves: "Migrations done",
        blackout: "Blackout, measured, p99",
      }).map(([key, name]) => [key, tile(name)]),
    );
    this.stuck = el("div");
    this.stuckTitle = section("What is late, and why", { class: "card" }, this.stuck);
    this.panel = mapPanel("Hosts by stage", map, { ways: ["stage", "wave", "fill"], plan: columns });
    this.exposure = figure("Exposure", exposureKeys(true));
    const both = [
      { tone: "planned", meaning: "planned" },
      { tone: "measured", mark: "line", meaning: "measured" },
      { tone: "limit", mark: "dash", meaning: "limit" },
    ];
    this.out = figure("Hosts out", both);
    this.blackouts = figure("Blackouts of live migrations", [both[0], { ...both[1], meaning: "measured by the hypervisor" }, { tone: "probe", mark: "dots", meaning: "measured by the probe" }, { ...both[2], meaning: "policy's limit" }], { wide: true });
    this.pictures = el("section", { class: "plots", "aria-label": "Pictures" }, this.exposure, this.out, this.blackouts);
    this.log = eventLog(this.id, () => this.follow().catch(this.failed), this.signal);
    this.orders = el("div");
    this.started = el("div", { class: "started" }, this.stuckTitle, this.panel, this.pictures, this.log.node, section("What was asked of it", { class: "card" }, this.orders));
    this.node = el(
      "div",
      {},
      trail(["/page/campaigns", "Campaigns"], [`/page/plans/${campaign.plan_id}`, `Plan ${short(campaign.plan_id)}`], [`/page/fleets/${campaign.fleet_id}`, `Fleet ${short(campaign.fleet_id)}`]),
      el("div", { class: "title" }, el("h1", { tabindex: "-1" }, "Campaign ", el("span", { class: "id" }, this.id)), this.state),
      campaign.terms.profile ? null : el("p", { class: "simulated" }, el("strong", {}, "Simulated"), " Nothing is moved: every measured value comes from the simulated driver."),
      this.sentence,
      this.progress,
      this.buttons,
      el("section", { class: "tiles", "aria-label": "Key figures" }, Object.values(this.tiles)),
      finder(this.id),
      this.started,
    );
  }

  async begin() {
    this.begun = true;
    try {
      await this.follow();
    } catch (error) {
      this.begun = false;
      throw error;
    }
    await Promise.all([this.draw(), this.waits(), this.asked()]);
    const { bound } = await get(`/v1/plans/${this.plan.plan_id}/exposure-bound`, this.signal);
    this.bound = bound;
    await this.draw();
  }

  /** Follow the campaign's events from now on; those shortly before are in the log. */
  async follow() {
    this.stop();
    const found = await get(`/v1/campaigns/${this.id}/map`, this.signal);
    this.panel.paint(found.stages);
    await this.log.begin(found.number);
    if (found.finished) return;
    this.stop = follow(this.id, found.number, this.log.about(), {
      events: (told) => this.heard(told),
      state: (state, detail) => {
        this.connection(state, detail);
        if (state !== "away") this.changed();
      },
    });
  }

  heard(told) {
    this.log.told(told);
    const named = told.events.filter(({ event }) => /^(wave|campaign)-/.test(event.type)).at(-1);
    if (named) announce(`${named.event.type.replace("-", " ")}${isKnown(named.event.wave) ? ` ${named.event.wave}` : ""}`);
    if (told.events.some(({ event }) => "order" in event)) this.asked().catch(this.failed);
    this.changed();
  }

  changed() {
    if (this.campaign.finished && this.shownFinished) return;
    this.again();
    if (this.begun) {
      this.drawAgain();
      this.waitsAgain();
    }
  }

  async refresh() {
    const campaign = await get(`/v1/campaigns/${this.id}`, this.signal);
    const was = this.campaign;
    this.campaign = campaign;
    this.show(campaign);
    this.connection("answers");
    if (campaign.progress === null) {
      if (campaign.standing !== "proposed" && campaign.standing !== "failed") this.again();
      return;
    }
    if (!this.begun) {
      await this.begin();
      return;
    }
    const found = await get(`/v1/campaigns/${this.id}/map`, this.signal);
    this.panel.paint(found.stages);
    if (campaign.finished && !was.finished) await Promise.all([this.draw(), this.waits(), this.asked()]);
    this.shownFinished = campaign.finished && found.finished;
  }

  show(campaign) {
    const { standing, progress } = campaign;
    put(this.state, badge(standing));
    say(this.sentence, sentence(campaign));
    this.started.hidden = progress === null;
    if (this.standing !== standing) {
      const buttons = campaignButtons(campaign, this.gates, () => this.changed());
      put(this.buttons, buttons.length ? actions("operator", buttons) : [], reportLink(campaign, this.failed));
      if (this.standing) announce(`The campaign is ${standing}`);
      this.standing = standing;
    }
    this.figures(campaign);
  }

  figures({ progress }) {
    const { summary, policy } = this.plan.header;
    const hosts = progress?.hosts ?? {};
    const sum = (names) => names.reduce((total, name) => total + (hosts[name] ?? 0), 0);
    const planned = progress ? Object.values(hosts).reduce((total, each) => total + each, 0) : summary.hosts;
    const patched = hosts.returned ?? 0;
    this.progress.set(planned ? patched / planned : 0);
    const left = sum(LEFT);
    this.tiles.hosts.set(`${count(patched)} of ${count(planned)}`, [["out now", count(sum(OUT))], ["to come", count(hosts.in_service ?? 0)], ["not patched", count(left)]], left ? "warning" : "");
    this.time(progress, summary);
    const moves = progress?.migrations ?? {};
    const all = Object.values(moves).reduce((total, each) => total + each, 0) || summary.migrations;
    const idle = ["planned", "notified", "waiting", "done", "failed", "given_up"];
    const under = Object.entries(moves).reduce((total, [name, each]) => total + (idle.includes(name) ? 0 : each), 0);
    this.tiles.moves.set(`${count(moves.done ?? 0)} of ${count(all)}`, [["under way", count(under)], ["to be tried again", count(moves.failed ?? 0)], ["given up", count(moves.given_up ?? 0)], ["waves opened", `${count(progress?.waves_opened ?? 0)} of ${count(this.waves)}`]]);
    if (!this.curves) {
      this.tiles.exposure.set("–", [["planned", hostHours(summary.exposure_host_h)], ["bound", hostHours(summary.exposure_bound_host_h)]]);
      this.tiles.blackout.set("–", [["planned, p99", milliseconds(summary.predicted_blackout_ms.p99)], ["policy's limit", milliseconds(policy.migration.blackout_limit_ms)]]);
    }
  }

  time(progress, summary) {
    const over = this.campaign.finished;
    const expected = progress?.expected_end_s ?? null;
    const lines = [
      over ? ["ended", clock(progress?.origin, progress?.now_s)] : ["expected end", isKnown(expected) ? `${duration(expected)}, ${clock(progress.origin, expected)}` : "not known"],
      ["planned", duration(progress?.planned_s ?? summary.makespan_s)],
      ["bound", duration(summary.makespan_bound_s)],
    ];
    const value = over ? progress?.now_s : expected;
    if (isKnown(value)) lines.push(["over the bound", overBound(value, summary.makespan_bound_s)]);
    this.tiles.time.set(progress ? duration(progress.now_s) : "not begun", lines);
  }

  async draw() {
    const found = await get(`/v1/campaigns/${this.id}/curves`, this.signal);
    this.curves = found;
    const { summary } = this.plan.header;
    const whole = { horizonS: found.horizon_s, markS: this.campaign.finished ? null : found.now_s };
    const series = [
      { curve: found.exposure, tone: "planned", kind: "area" },
      { curve: found.returned, tone: "measured", kind: "line" },
      ...(this.bound ? [{ curve: this.bound, tone: "limit", kind: "dash" }] : []),
    ];
    await breathe();
    this.exposure.show(
      (width) => curves(width, { ...whole, series, height: 250, most: found.due * 1.04, label: "Due hosts not yet patched, planned and measured" }),
      `Due hosts not yet patched: ${count(found.returned.value.at(-1) ?? found.due)} of ${count(found.due)} now. No plan can run below the dashed line, the bound on each host's return.`,
    );
    const both = (each) => [
      { curve: each.planned, tone: "planned", kind: "area" },
      { curve: each.measured, tone: "measured", kind: "line" },
    ];
    const now = (each) => `${outName(each)}: ${count(each.measured.value.at(-1) ?? 0)} of ${count(each.limit)}`;
    await breathe();
    this.out.show((width) => found.out.map((each) => outCurves(width, whole, each, both(each))), `Now: ${found.out.map(now).join("; ")}. Of each kind of failure domain the most loaded is shown.`);
    this.tiles.exposure.set(hostHours(found.exposed_host_h), [["planned in all", hostHours(summary.exposure_host_h)], ["bound", hostHours(summary.exposure_bound_host_h)]]);
    this.drawBlackouts(found.blackouts);
  }

  drawBlackouts({ series, edges_ms: edges, limit_ms: limit, restarts, above }) {
    const { planned, measured, probe } = series;
    this.blackouts.hidden = !planned;
    if (!planned) return;
    const shown = [
      { share: planned.share, tone: "planned", kind: "area" },
      ...(measured ? [{ share: measured.share, tone: "measured", kind: "line" }] : []),
      ...(probe ? [{ share: probe.share, tone: "probe", kind: "dots" }] : []),
    ];
    const words = measured
      ? `Share of live migrations by length of blackout, in ms: ${count(planned.count)} planned, ${count(measured.count)} measured so far. Half are at or below ${milliseconds(measured.p50_ms)} (planned ${milliseconds(planned.p50_ms)}), the longest had ${milliseconds(measured.max_ms)} (planned ${milliseconds(planned.max_ms)}). ${count(above)} above the VM's limit. Not drawn: ${counted(restarts, "restart")}.`
      : `Share of ${counted(planned.count, "live migration")} by length of blackout, in ms, as planned. None is measured yet.`;
    this.blackouts.show((width) => distribution(width, { edges, limit, series: shown, label: "Blackouts by length, planned and measured" }), words);
    this.tiles.blackout.set(
      milliseconds(measured?.p99_ms),
      [
        ["planned, p99", milliseconds(planned.p99_ms)],
        ["longest", milliseconds(measured?.max_ms)],
        ["policy's limit", milliseconds(limit)],
        ["above the VM's limit", count(above)],
      ],
      above ? "warning" : "",
    );
  }

  async waits() {
    const { items, next } = await get(`/v1/campaigns/${this.id}/waiting?limit=${WAITS_SHOWN}`, this.signal);
    const now = this.campaign.progress?.now_s ?? 0;
    if (!items.length) {
      put(this.stuck, el("p", { class: "note" }, this.campaign.finished ? "The campaign is over: nothing waits." : "Nothing is late."));
      return;
    }
    const columns = [
      { name: "host or VM", cell: (row) => (row.migration_id ? link(`/page/campaigns/${this.id}/vms/${encodeURIComponent(row.subject)}`, row.subject) : link(`?host=${encodeURIComponent(row.subject)}`, row.subject)) },
      { name: "since, into the campaign", number: true, cell: (row) => duration(row.since_s) },
      { name: "for", number: true, cell: (row) => duration(Math.max(0, now - row.since_s)) },
      { name: "why", cell: (row) => people(row.reason) },
    ];
    const more = next ? `The ${count(items.length)} that have waited longest are listed; there are more.` : `${counted(items.length, "host or VM", "hosts and VMs")} in all.`;
    put(this.stuck, plainTable("Hosts and VMs that are late", columns, items), el("p", { class: "note" }, more));
  }

  async asked() {
    const { answered } = await get(`/v1/campaigns/${this.id}/orders`, this.signal);
    const columns = [
      { name: "into the campaign", number: true, cell: (row) => duration(row.at_s) },
      { name: "by", cell: (row) => person(row.by ?? "") },
      { name: "what", cell: (row) => orderWords(row) },
      { name: "why", cell: (row) => row.why ?? "" },
    ];
    const rows = [...answered].reverse();
    put(this.orders, rows.length ? plainTable("Orders", columns, rows) : el("p", { class: "note" }, "Nothing was asked of it."), el("p", { class: "note" }, "It carries out plan ", planLink(this.plan.plan_id), ` since ${moment(this.campaign.created_at)}.`));
  }

  end() {
    this.stop();
    clearInterval(this.timer);
    for (const each of [this.again, this.drawAgain, this.waitsAgain, this.panel, this.exposure, this.out, this.blackouts]) each.end();
    for (const each of [this.again, this.drawAgain, this.waitsAgain]) each.end();
  }
}

function sentence({ standing, progress, said, holder, carried_out: carried, created_by: by }) {
  if (standing === "proposed") return `It waits until somebody starts it; ${person(by)} has asked for it.`;
  if (standing === "failed") return `Its process ended every time${said ? `, and last said: ${said}` : ""}.`;
  if (standing === "being read") return "Its journal is being read.";
  if (standing === "starting" || progress === null) return "Its process is starting.";
  const order = progress.aborted ?? progress.paused;
  const reason = order ? ` since ${duration(order.at_s)} into the campaign, by ${person(order.by)}${order.why ? `: ${order.why}` : ""}` : "";
  if (standing === "running") return progress.behind_s === null ? "It runs; no host is back yet." : `It runs, ${pace(progress.behind_s)}.`;
  if (standing === "waiting for approval") return "A wave waits for a person's approval, and for nothing else.";
  if (standing === "held up") return `It is held up: ${carried?.beside ?? ""}.`;
  if (standing === "waits for its release") return `It waits for its release: ${carried?.beside ?? ""}.`;
  if (standing === "stopped") return `Nobody carries it out now; the server starts it again${said ? `. It last said: ${said}` : ""}.`;
  if (standing === "finished") return `It has finished after ${duration(progress.now_s)}.`;
  return `It is ${standing}${reason}.${holder ? "" : " Nobody carries it out now."}`;
}

function pace(behind) {
  if (Math.abs(behind) < 30) return "as planned";
  return behind > 0 ? `${duration(behind)} behind its plan` : `${duration(-behind)} ahead of its plan`;
}

function orderWords(event) {
  const kind = event.type.replace(/^campaign-/, "").replace(/-/g, " ");
  const subject = event.host_id ?? (isKnown(event.wave) ? `wave ${event.wave}` : (event.max_out ?? event.plan_id ?? ""));
  return event.type === "order-refused" ? `refused ${event.kind}: ${event.reason}` : `${kind} ${subject}`.trim();
}

function finder(campaignId) {
  const id = newId("vm");
  const input = el("input", { id, type: "search", autocomplete: "off", spellcheck: "false", size: 18 });
  return el(
    "form",
    {
      class: "field inline",
      role: "search",
      "aria-label": "Find a VM",
      onsubmit: (event) => {
        event.preventDefault();
        const name = input.value.trim();
        if (!name) return;
        const to = el("a", { href: `/page/campaigns/${campaignId}/vms/${encodeURIComponent(name)}`, hidden: true });
        document.body.append(to);
        to.click();
        to.remove();
      },
    },
    el("label", { for: id }, "One VM's story"),
    input,
    el("button", { type: "submit", class: "quiet" }, "Look"),
  );
}

/** Return what saves the report of a campaign that has finished; a link alone would not send the token. */
function reportLink(campaign, failed) {
  if (!campaign.finished) return null;
  const path = `/v1/campaigns/${campaign.campaign_id}/report.html`;
  const save = async () => {
    try {
      const answer = await fetch(path, { headers: bearer() });
      if (!answer.ok) throw new Problem(answer.status, await answer.json());
      const url = URL.createObjectURL(await answer.blob());
      el("a", { href: url, download: `campaign-${campaign.campaign_id}.html` }).click();
      URL.revokeObjectURL(url);
    } catch (error) {
      failed(error);
    }
  };
  return el("button", { type: "button", class: "save", onclick: save }, "Save the report");
}

