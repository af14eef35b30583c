/** A campaign as it runs: how far it is and when it will end, what is stuck and why, every host, every event. */

import { Problem, file, get } from "../api.js";
import { announce, el, link, newId, put, renew, say } from "../dom.js";
import { follow, paced } from "../feed.js";
import { mapPanel } from "../map_panel.js";
import { actions, badge, bar, section, short, tile, trail } from "../parts.js";
import { pagedTable } from "../tables.js";
import { clock, count, counted, duration, hostHours, isKnown, milliseconds, moment, overBound, people, person } from "../words.js";
import { campaignButtons } from "./campaign_actions.js";
import { eventLog } from "./campaign_log.js";
import { campaignPictures } from "./campaign_pictures.js";
import { orderWords, revisedWords, sentence } from "./campaign_words.js";
import { planLink } from "./plan.js";

const STATE_MS = 1000;
const CURVES_MS = 3000;
const WAITS_MS = 2000;
const LOOK_MS = 5000;
const FOLLOW_MS = 3000;
const BOUND_MS = 10_000;
const WAITS_SHOWN = 200;
const OUT = ["draining", "drained", "patch_intended", "patching", "lost"];
const LEFT = ["failed", "blocked", "lost"];
const BEING_READ = [["so far", "being read"]];

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
  constructor({ signal, failed }, campaign, { plan, map, columns, waves }) {
    this.id = campaign.campaign_id;
    this.signal = signal;
    this.failed = failed;
    this.campaign = campaign;
    this.plan = plan;
    this.gates = waves.map(({ gate }) => gate);
    this.asOf = {};
    this.waves = waves.length;
    this.stop = () => {};
    this.turn = 0;
    this.parts(map, columns);
    this.again = paced(() => this.refresh().catch(failed), STATE_MS);
    this.drawAgain = paced(() => this.draw().catch(failed), CURVES_MS);
    this.waitsAgain = paced(() => this.waits().catch(failed), WAITS_MS);
    this.boundAgain = paced(() => this.bounded().catch(failed), BOUND_MS);
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
    this.late = pagedTable("Hosts and VMs that are late", this.lateColumns(), { size: 10, nothing: "" });
    this.lateWords = el("p", { class: "note" }, "It is being worked out.");
    this.moments = el("p", { class: "note" });
    this.stuckTitle = section("What is late, and why", { class: "card" }, this.late, this.lateWords);
    this.panel = mapPanel("Hosts by stage", map, { ways: ["stage", "wave", "fill"], plan: columns });
    this.pictures = campaignPictures();
    this.log = eventLog(this.id, () => this.follow(), this.signal);
    this.orders = pagedTable("Orders", ORDERS, { nothing: "Nothing was asked of it." });
    this.revised = el("p", { class: "note" });
    const carries = el("p", { class: "note" }, "It was begun with plan ", planLink(this.plan.plan_id), `; it was asked for at ${moment(campaign.created_at)}.`);
    this.started = el("div", { class: "started" }, this.stuckTitle, this.panel, this.pictures.node, this.log.node, section("What was asked of it", { class: "card" }, this.orders, carries));
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
      this.moments,
      this.revised,
      finder(this.id),
      this.started,
    );
  }

  async begin() {
    this.begun = true;
    await this.follow();
    this.boundAgain();
    await Promise.all([this.draw(), this.waits(), this.asked()]);
  }

  /** Whether the campaign has gone over to another plan than it began with. */
  get isRevised() {
    return Boolean(this.campaign.progress?.revisions.length);
  }

  /** What the campaign limits hosts out of, and may be given another limit for. */
  get kinds() {
    return [...new Set([...Object.keys(this.plan.header.policy.max_out), ...Object.keys(this.campaign.progress?.max_out ?? {})])];
  }

  /**
   * Follow the campaign's events from now on; those shortly before are in the log.
   *
   * Whoever calls it again before it follows is the one who does.
   */
  async follow() {
    this.stop();
    this.stop = () => {};
    this.turn += 1;
    const mine = this.turn;
    try {
      const found = await get(`/v1/campaigns/${this.id}/map`, this.signal);
      if (mine === this.turn) this.paint(found);
      if (mine !== this.turn || !(await this.log.begin(found.number)) || mine !== this.turn || found.finished) return;
      this.stop = follow(this.id, found.number, this.log.about(), {
        events: (told) => this.heard(told),
        state: (state, detail) => {
          this.log.state(state, detail);
          this.changed();
        },
      });
    } catch (error) {
      this.failed(error);
      if (mine === this.turn && !this.signal.aborted) {
        const timer = setTimeout(() => this.follow(), FOLLOW_MS);
        this.stop = () => clearTimeout(timer);
      }
    }
  }

  async bounded() {
    if (this.bound) return;
    try {
      const { bound } = await get(`/v1/plans/${this.plan.plan_id}/exposure-bound`, this.signal);
      this.bound = bound;
      this.drawAgain();
    } finally {
      if (!this.bound && !this.signal.aborted) this.boundAgain();
    }
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
    if (campaign.progress === null) {
      if (campaign.state === "wanted") this.again();
      return;
    }
    if (!this.begun) {
      await this.begin();
      return;
    }
    const found = await get(`/v1/campaigns/${this.id}/map`, this.signal);
    this.paint(found);
    if (!this.ordersAreKnown) await this.asked();
    if (campaign.finished && !was.finished) await Promise.all([this.draw(), this.waits(), this.asked()]);
    this.shownFinished = campaign.finished && found.finished;
  }

  paint({ stages, now_s: now }) {
    this.panel.paint(stages);
    this.are("map", now);
  }

  /** Say as of when some figures are: they are worked out one after the other while the campaign goes on. */
  are(what, now) {
    this.asOf[what] = now;
    const each = Object.entries(this.asOf).map(([name, s]) => `${name} ${duration(s)}`);
    say(this.moments, `As of, into the campaign: ${each.join(", ")}.`);
  }

  show(campaign) {
    const { standing, state, progress, waits_for_approval: waits } = campaign;
    renew(this.state, badge(standing));
    say(this.sentence, sentence(campaign));
    say(this.revised, revisedWords(progress?.revisions ?? []));
    this.started.hidden = progress === null;
    if (progress) this.are("figures", progress.now_s);
    const asks = `${standing} ${state} ${waits} ${Object.keys(progress?.max_out ?? {})}`;
    if (this.asks !== asks) {
      const buttons = campaignButtons(campaign, { gates: this.gates, kinds: this.kinds }, () => {
        this.ordersAreKnown = false;
        this.changed();
      });
      const focused = this.buttons.contains(document.activeElement);
      put(this.buttons, buttons.length ? actions("operator", buttons) : [], reportLink(campaign, this.failed));
      if (focused) this.buttons.querySelector("button:enabled")?.focus();
      this.asks = asks;
    }
    if (this.standing && this.standing !== standing) announce(`The campaign is ${standing}`);
    this.standing = standing;
    this.figures(campaign);
  }

  figures({ progress }) {
    const { summary, policy } = this.plan.header;
    const hosts = progress?.hosts ?? {};
    const sum = (names) => names.reduce((total, name) => total + (hosts[name] ?? 0), 0);
    const planned = progress ? Object.values(hosts).reduce((total, each) => total + each, 0) : summary.hosts;
    const isRead = progress !== null || this.campaign.standing !== "being read";
    const patched = isRead ? hosts.returned ?? 0 : null;
    this.progress.set(planned ? patched / planned : 0);
    const left = sum(LEFT);
    this.tiles.hosts.set(`${count(patched)} of ${count(planned)}`, isRead ? [["out now", count(sum(OUT))], ["to come", count(hosts.in_service ?? 0)], ["not patched", count(left)]] : BEING_READ, left ? "warning" : "");
    this.time(progress, summary, left);
    const moves = progress?.migrations ?? {};
    const all = Object.values(moves).reduce((total, each) => total + each, 0) || summary.migrations;
    const idle = ["planned", "notified", "waiting", "done", "failed", "given_up"];
    const under = Object.entries(moves).reduce((total, [name, each]) => total + (idle.includes(name) ? 0 : each), 0);
    this.tiles.moves.set(`${count(isRead ? moves.done ?? 0 : null)} of ${count(all)}`, !isRead ? BEING_READ : [["under way", count(under)], ["to be tried again", count(moves.failed ?? 0)], ["given up", count(moves.given_up ?? 0)], ["waves opened", `${count(progress?.waves_opened ?? 0)} of ${count(this.waves)}`]]);
    if (!this.curves) {
      this.tiles.exposure.set("–", [["planned", hostHours(summary.exposure_host_h)], ["bound", hostHours(summary.exposure_bound_host_h)]]);
      this.tiles.blackout.set("–", [["planned, p99", milliseconds(summary.predicted_blackout_ms.p99)], ["policy's limit", milliseconds(policy.migration.blackout_limit_ms)]]);
    }
  }

  /** Once it is over, its bound is compared with as in its report: with the last return, where every host was patched. */
  time(progress, summary, left) {
    const over = this.campaign.finished;
    const expected = progress?.expected_end_s ?? null;
    const lines = [
      over ? ["ended", clock(progress?.origin, progress?.now_s)] : ["expected end", isKnown(expected) ? `${duration(expected)}, ${clock(progress.origin, expected)}` : "not known"],
      ["planned", duration(progress?.planned_s ?? summary.makespan_s)],
      ["bound", duration(summary.makespan_bound_s)],
    ];
    const value = over ? (left ? null : this.curves?.makespan_s) : expected;
    if (isKnown(value)) lines.push(["over the bound", overBound(value, summary.makespan_bound_s)]);
    this.tiles.time.set(progress ? duration(progress.now_s) : this.campaign.standing === "being read" ? "–" : "not begun", lines);
  }

  async draw() {
    const found = await get(`/v1/campaigns/${this.id}/curves`, this.signal);
    this.curves = found;
    this.are("pictures", found.now_s);
    await this.pictures.show(found, { bound: this.bound, isRevised: this.isRevised, isOver: this.campaign.finished });
    const { exposure_host_h: planned, exposure_bound_host_h: bound } = this.plan.header.summary;
    this.tiles.exposure.set(hostHours(found.exposed_host_h), [["planned in all", hostHours(planned)], ["bound", hostHours(bound)]]);
    this.blackout(found.blackouts);
    this.figures(this.campaign);
  }

  blackout({ series: { planned, measured }, limit_ms: limit, above, longest_above_ms: most, longest_above_limit_ms: its }) {
    if (!planned) return;
    const longest = above ? `, longest ${milliseconds(most)} of ${milliseconds(its)}` : "";
    this.tiles.blackout.set(
      milliseconds(measured?.p99_ms),
      [
        ["planned, p99", milliseconds(planned.p99_ms)],
        ["longest", milliseconds(measured?.max_ms)],
        ["policy's limit", milliseconds(limit)],
        ["above the VM's limit", `${count(above)}${longest}`],
      ],
      above ? "warning" : "",
    );
  }

  async waits() {
    const { items, next } = await get(`/v1/campaigns/${this.id}/waiting?limit=${WAITS_SHOWN}`, this.signal);
    this.late.set(items);
    const none = this.campaign.finished ? "The campaign is over: nothing waits." : "Nothing is late.";
    const more = next ? `The ${count(items.length)} that have waited longest are listed; there are more.` : `${counted(items.length, "host or VM", "hosts and VMs")} in all.`;
    say(this.lateWords, items.length ? more : none);
  }

  lateColumns() {
    const vm = (row) => link(`/page/campaigns/${this.id}/vms/${encodeURIComponent(row.subject)}`, row.subject);
    return [
      { name: "host or VM", cell: (row) => (row.migration_id ? vm(row) : this.hostLink(row.subject)) },
      { name: "since, into the campaign", number: true, cell: (row) => duration(row.since_s) },
      { name: "for", number: true, cell: (row) => duration(Math.max(0, (this.campaign.progress?.now_s ?? 0) - row.since_s)) },
      { name: "why", cell: (row) => people(row.reason) },
    ];
  }

  /** Return a link that leads to a host on the map, and keeps what else the address says. */
  hostLink(host) {
    const query = new URLSearchParams(location.search);
    query.set("host", host);
    return link(`?${query}`, host, { onclick: (event) => isPlain(event) && this.panel.look(host) });
  }

  async asked() {
    this.ordersAreKnown = false;
    const { answered, waiting } = await get(`/v1/campaigns/${this.id}/orders`, this.signal);
    this.orders.set([...answered, ...waiting].reverse());
    this.ordersAreKnown = waiting.length === 0;
  }

  end() {
    this.turn += 1;
    this.stop();
    clearInterval(this.timer);
    const parts = [this.again, this.drawAgain, this.waitsAgain, this.boundAgain, this.panel, this.pictures];
    for (const each of parts) each.end();
  }
}

const ORDERS = [
  { name: "into the campaign", number: true, cell: (row) => (row.type ? duration(row.at_s) : "not answered yet") },
  { name: "by", cell: (row) => person(row.by ?? "") },
  { name: "what", cell: (row) => orderWords(row) },
  { name: "why", cell: (row) => row.why ?? "" },
];

/** Return whether a press is one that leads on here, and keep it from doing more. */
function isPlain(event) {
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return false;
  event.preventDefault();
  event.stopPropagation();
  return true;
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
      const url = URL.createObjectURL(await file(path));
      el("a", { href: url, download: `campaign-${campaign.campaign_id}.html` }).click();
      URL.revokeObjectURL(url);
    } catch (error) {
      failed(error);
    }
  };
  return el("button", { type: "button", class: "save", onclick: save }, "Save the report");
}

