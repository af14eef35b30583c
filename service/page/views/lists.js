/** Lists of fleets, plans, campaigns and jobs, of the first 1,000 by id the newest first; and all four at a glance. */

import { all } from "../api.js";
import { el, link, put, say } from "../dom.js";
import { badge, section, short } from "../parts.js";
import { pagedTable } from "../tables.js";
import { count, duration, hostHours, moment, overBound, percent, person, plain } from "../words.js";

const OVERVIEW_ROWS = 5;
const UNDER_WAY_MS = 3000;

function id(kind, name) {
  return link(`/page/${kind}/${name}`, short(name), { class: "id", "aria-label": `${kind.slice(0, -1)} ${name}` });
}

const FLEETS = {
  title: "Fleets",
  path: "/v1/fleets",
  nothing: "No fleet has been uploaded: POST /v1/fleets, or `slacktide serve` says how.",
  columns: [
    { name: "fleet", cell: (row) => id("fleets", row.fleet_id) },
    { name: "uploaded", cell: (row) => moment(row.created_at) },
    { name: "by", cell: (row) => person(row.created_by) },
    { name: "hosts", number: true, cell: (row) => count(row.summary?.hosts) },
    { name: "VMs", number: true, cell: (row) => count(row.summary?.vms) },
    { name: "memory sold", number: true, cell: (row) => percent(row.summary?.memory_fill) },
    { name: "warnings", number: true, cell: (row) => count(row.findings.length) },
  ],
};
const PLANS = {
  title: "Plans",
  path: "/v1/plans",
  nothing: "No plan has been made: look at a fleet, and have one made there.",
  columns: [
    { name: "plan", cell: (row) => id("plans", row.plan_id) },
    { name: "made", cell: (row) => moment(row.created_at) },
    { name: "policy", cell: (row) => row.header.policy?.name ?? "–" },
    { name: "fleet", cell: (row) => id("fleets", row.fleet_id) },
    { name: "hosts", number: true, cell: (row) => count(row.header.summary.hosts) },
    { name: "makespan", number: true, cell: (row) => duration(row.header.summary.makespan_s) },
    {
      name: "over its bound",
      number: true,
      cell: ({ header: { summary } }) => overBound(summary.makespan_s, summary.makespan_bound_s),
    },
    { name: "exposure", number: true, cell: (row) => hostHours(row.header.summary.exposure_host_h) },
  ],
};
const CAMPAIGNS = {
  title: "Campaigns",
  path: "/v1/campaigns",
  query: { standing: "true" },
  nothing: "There is no campaign: look at a plan, and have it carried out.",
  columns: [
    { name: "campaign", cell: (row) => id("campaigns", row.campaign_id) },
    { name: "is", cell: (row) => badge(row.standing) },
    { name: "asked for", cell: (row) => moment(row.created_at) },
    { name: "by", cell: (row) => person(row.created_by) },
    { name: "hosts are", cell: (row) => row.terms.profile ?? "simulated" },
    { name: "plan", cell: (row) => id("plans", row.plan_id) },
    { name: "fleet", cell: (row) => id("fleets", row.fleet_id) },
  ],
};
const JOBS = {
  title: "Jobs",
  path: "/v1/jobs",
  nothing: "No job has been asked for.",
  columns: [
    { name: "job", cell: (row) => id("jobs", row.job_id) },
    { name: "what", cell: (row) => plain(row.kind) },
    { name: "is", cell: (row) => badge(row.state) },
    { name: "done", number: true, cell: (row) => percent(row.fraction, 0) },
    { name: "asked for", cell: (row) => moment(row.created_at) },
    { name: "by", cell: (row) => person(row.created_by) },
    { name: "in words", cell: (row) => row.words ?? row.error?.fact ?? "" },
  ],
};
export const KINDS = { fleets: FLEETS, plans: PLANS, campaigns: CAMPAIGNS, jobs: JOBS };

/** Return what there is of a kind, the newest first; `more`: there are others, of which some may be newer. */
async function newest(kind, asked, signal) {
  const { path, query = {} } = KINDS[kind];
  const found = await all(`${path}?${new URLSearchParams({ ...query, ...asked })}`, signal);
  found.items.sort((a, b) => (a.created_at < b.created_at ? 1 : -1));
  return found;
}

/** Return those of a kind of which that is asked, as a table; at most so many. */
export async function listed(kind, { query = {}, most = Infinity, signal, size = 25 } = {}) {
  const { columns, title, nothing } = KINDS[kind];
  const found = await newest(kind, query, signal);
  const table = pagedTable(title, columns, { nothing, size });
  table.set(found.items.slice(0, most));
  table.items = found.items;
  table.more = found.more;
  return table;
}

/** Show one list. */
export function listView(kind) {
  return async ({ main, signal, failed }) => {
    const { columns, title, nothing } = KINDS[kind];
    document.title = `${title} · Slacktide`;
    const table = pagedTable(title, columns, { nothing });
    const note = el("p", { class: "note" });
    let timer = null;
    const load = async () => {
      const found = await newest(kind, {}, signal);
      table.set(found.items);
      say(note, found.more ? "Only the first 1,000 by id are listed; the API has all." : "");
    };
    const later = () => {
      if (!signal.aborted) timer = setTimeout(() => load().catch(failed).finally(later), UNDER_WAY_MS);
    };
    await load();
    put(main, el("h1", { tabindex: "-1" }, title), el("section", { class: "card", "aria-label": title }, table, note));
    later();
    return () => clearTimeout(timer);
  };
}

/** Show the newest of everything, as far as it is listed. */
export async function overview({ main, signal }) {
  document.title = "Slacktide";
  const order = ["campaigns", "fleets", "plans", "jobs"];
  const tables = await Promise.all(order.map((kind) => listed(kind, { most: OVERVIEW_ROWS, signal })));
  const sections = order.map((kind, place) =>
    section(
      KINDS[kind].title,
      { class: "card" },
      tables[place],
      tables[place].items.length > OVERVIEW_ROWS ? el("p", {}, further(kind, tables[place])) : null,
    ),
  );
  put(main, el("h1", { tabindex: "-1" }, "Everything at a glance"), sections);
}

function further(kind, { items, more }) {
  const shown = link(`/page/${kind}`, more ? `The first ${count(items.length)} ${kind} by id` : `All ${count(items.length)} ${kind}`);
  return more ? [shown, "; the newest of these are above."] : shown;
}
