/** A fleet: its figures, all its hosts on a map, and what is planned and under way for it. */

import { all, get, post } from "../api.js";
import { ask, field } from "../dialogs.js";
import { el, link, newId, put } from "../dom.js";
import { follow, paced } from "../feed.js";
import { mapPanel } from "../map_panel.js";
import { actions, section, short, tile, trail } from "../parts.js";
import { listed, lookedAt } from "./lists.js";
import { count, counted, moment, percent, person, plain } from "../words.js";

const REFRESH_MS = 1000;
const BEGUN_MS = 3000;

export async function fleetView({ main, signal, failed, go }, fleetId) {
  document.title = `Fleet ${short(fleetId)} · Slacktide`;
  const [fleet, map, runs] = await Promise.all([
    get(`/v1/fleets/${fleetId}`, signal),
    get(`/v1/fleets/${fleetId}/map`, signal),
    all(`/v1/campaigns?fleet_id=${fleetId}`, signal),
  ]);
  const campaigns = runs.items.filter((run) => run.state !== "proposed");
  campaigns.sort((a, b) => Number(a.finished) - Number(b.finished) || (a.created_at < b.created_at ? 1 : -1));
  const asked = new URLSearchParams(location.search).get("as");
  const shown = asked === "uploaded" ? null : (campaigns.find((run) => run.campaign_id === asked) ?? campaigns[0] ?? null);
  const plan = shown ? await get(`/v1/plans/${shown.plan_id}/map`, signal) : null;
  const ways = shown ? ["stage", "fill", "state", "type", "level"] : ["state", "fill", "type", "level"];
  const panel = mapPanel("Hosts by row, rack and host", map, { ways, plan });
  put(
    main,
    trail(["/page/fleets", "Fleets"]),
    el("h1", { tabindex: "-1" }, "Fleet ", el("span", { class: "id" }, fleetId)),
    el("p", { class: "lead" }, `Uploaded ${moment(fleet.created_at)} by ${person(fleet.created_by)}.`),
    el("section", { class: "tiles", "aria-label": "Key figures" }, tiles(fleet.summary, map)),
    choice(campaigns, shown),
    panel,
    warnings(fleet.findings),
    actions("operator", [{ text: "Have a plan made…", kind: "main", press: () => plans(fleetId, go) }]),
    await lists(fleetId, signal, failed),
  );
  let stop = () => {};
  if (shown) {
    stop = live(shown, panel, signal, failed);
  }
  return () => {
    stop();
    panel.end();
  };
}

function tiles(summary, map) {
  const states = map.states.map((name, place) => [name, count(map.state.filter((each) => each === place).length)]);
  const full = map.memory_fill.filter((fill) => fill >= 900).length;
  const hosts = tile("Hosts");
  hosts.set(count(map.host_id.length), states.filter(([name]) => name !== "active"));
  const where = tile("Where they are");
  where.set(counted(map.racks.length, "rack"), [[map.laid_out_by ?? "row", count(map.rows.length)]]);
  const vms = tile("VMs");
  const number = map.vms.reduce((sum, each) => sum + each, 0);
  vms.set(count(number), [["per host", (number / Math.max(1, map.host_id.length)).toFixed(1)]]);
  const memory = tile("Memory sold");
  memory.set(percent(summary.memory_fill), [["hosts above 90 %", count(full)]]);
  const types = tile("Machine types");
  types.set(count(map.types.length), map.types.slice(0, 4).map((name, place) => [name, count(map.type.filter((each) => each === place).length)]));
  return [hosts, where, vms, memory, types];
}

/** Return a choice of what the map shows: the snapshot, or how far a campaign is. */
function choice(campaigns, shown) {
  if (!campaigns.length) return null;
  const id = newId("as");
  const select = el(
    "select",
    {
      id,
      onchange: (event) => {
        const url = new URL(location.href);
        url.searchParams.set("as", event.target.value);
        history.pushState(null, "", url);
        dispatchEvent(new PopStateEvent("popstate"));
      },
    },
    el("option", { value: "uploaded", selected: shown === null }, "as it was uploaded"),
    campaigns.map((run) =>
      el(
        "option",
        { value: run.campaign_id, selected: run === shown },
        `as campaign ${short(run.campaign_id)} ${run.finished ? "left it" : "has it now"}`,
      ),
    ),
  );
  const to = shown ? link(`/page/campaigns/${shown.campaign_id}`, "Look at the campaign") : null;
  return el("div", { class: "field inline" }, el("label", { for: id }, "The fleet"), select, to);
}

/** Show a campaign on the map, once it has begun and as long as it goes on; return what ends that. */
function live(run, panel, signal, failed) {
  const path = `/v1/campaigns/${run.campaign_id}`;
  let stop = () => {};
  const again = paced(() => look().catch(later), REFRESH_MS);

  async function look() {
    if ((await get(path, signal)).progress === null) return wait();
    const found = await get(`${path}/map`, signal);
    panel.paint(found.stages);
    if (found.finished) return end();
    stop();
    if (signal.aborted) return undefined;
    stop = follow(run.campaign_id, found.number, ["campaign", "hosts"], { events: painted, state: painted });
  }

  const painted = paced(() => get(`${path}/map`, signal).then((found) => panel.paint(found.stages)).catch(failed), REFRESH_MS);

  function later(error) {
    failed(error);
    wait();
  }

  function wait() {
    const timer = setTimeout(again, BEGUN_MS);
    stop = () => clearTimeout(timer);
  }

  function end() {
    stop();
    again.end();
    painted.end();
  }

  again();
  return end;
}

function warnings(findings) {
  if (!findings.length) return null;
  const items = findings.map((each) => el("li", {}, `${plain(each.rule)}: ${each.message} ${each.remedy ?? ""}`));
  return section("Warnings about the snapshot", { class: "card" }, el("ul", {}, items));
}

async function lists(fleetId, signal, failed) {
  const of = (kind, title) =>
    listed(kind, { query: { fleet_id: fleetId }, signal, size: 10 }).then((table) => {
      if (kind === "campaigns") lookedAt(table, table.items, signal).catch(failed);
      return section(title, { class: "card" }, table);
    });
  return Promise.all([of("campaigns", "Campaigns on it"), of("plans", "Plans for it")]);
}

function plans(fleetId, go) {
  ask({
    title: "Have a plan made",
    words: ["A job plans and audits. Nothing is moved until somebody has the plan carried out."],
    fields: [
      field("preset", "Policy", {
        kind: "select",
        value: "urgent",
        options: [
          ["urgent", "urgent: everything patched as soon as it can safely be"],
          ["routine", "routine: few hosts out, every VM moved once"],
        ],
      }),
      field("time_limit_s", "Search for", { kind: "number", value: "10", min: "0", max: "3600", hint: "Seconds beyond the first plan." }),
    ],
    yes: "Plan",
    act: ({ preset, time_limit_s: limit }) => post("/v1/plans", { fleet_id: fleetId, preset, time_limit_s: Number(limit) }),
    say: (job) => {
      go(`/page/jobs/${job.job_id}`);
      return "Planning has begun";
    },
  });
}
