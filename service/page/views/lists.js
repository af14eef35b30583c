/** Lists of fleets, plans, campaigns and jobs, of the first 1,000 by id the newest first; and all four at a glance. */

import { all, get } from "../api.js";
import { el, link, put, say } from "../dom.js";
import { badge, section, short } from "../parts.js";
import { pagedTable } from "../tables.js";
import { clock, count, counted, duration, hostHours, isKnown, moment, overBound, percent, person, plain } from "../words.js";
import { trying } from "./campaign_words.js";
import { jobWords } from "./job.js";

const OVERVIEW_ROWS = 5;
const NARROW = matchMedia("(max-width: 560px)");
const NARROW_ROWS = 2;
const UNDER_WAY_MS = 3000;
const NOT_UNDER_WAY = ["proposed", "aborted before it began", "starting", "failed", "finished", "aborted"];
/** Campaigns under way of which it is asked how far they are: the server keeps few of them read. */
const MOST_LOOKED_AT = 4;

/** Whether a row is a campaign under way; what is no campaign stands nowhere. */
function isUnderWay({ standing }) {
  return Boolean(standing) && !NOT_UNDER_WAY.includes(standing);
}

function id(kind, name) {
  return link(`/page/${kind}/${name}`, short(name), { class: "id", "aria-label": `${kind.slice(0, -1)} ${name}` });
}

/** Whether a plan ends by its policy's deadline: one that does not has to be seen among others. */
function deadline({ header: { policy, summary } }) {
  const by = policy?.deadline_s ?? null;
  if (by === null) return "none";
  const late = summary.makespan_s - by;
  return late > 0 ? el("span", { class: "badge bad" }, `missed by ${duration(late)}`) : `kept, ${duration(by)}`;
}

/** How far a campaign is; of one that is not looked at, nothing. */
function patched({ progress, isBeingRead, ended }) {
  const by = progress?.hosts ?? ended;
  if (!by) return isBeingRead ? "being read" : "–";
  const hosts = Object.values(by).reduce((sum, each) => sum + each, 0);
  const back = by.returned ?? 0;
  return `${percent(hosts ? back / hosts : 0, 0)}, ${count(back)} of ${counted(hosts, "host")}`;
}

function expectedEnd({ progress }) {
  if (!progress) return "–";
  const { expected_end_s: end, origin, behind_s: behind } = progress;
  if (!isKnown(end)) return "not known";
  const late = behind >= 30 ? `, ${duration(behind)} late` : "";
  return `${clock(origin, end)}${late}`;
}

const FLEETS = {
  title: "Fleets",
  path: "/v1/fleets",
  nothing: "No fleet has been uploaded: POST /v1/fleets, or `slacktide serve` says how.",
  columns: [
    { name: "fleet", cell: (row) => id("fleets", row.fleet_id) },
    { name: "uploaded", further: true, cell: (row) => moment(row.created_at) },
    { name: "by", further: true, cell: (row) => person(row.created_by) },
    { name: "hosts", number: true, cell: (row) => count(row.summary?.hosts) },
    { name: "VMs", number: true, cell: (row) => count(row.summary?.vms) },
    { name: "memory sold", number: true, cell: (row) => percent(row.summary?.memory_fill) },
    { name: "warnings", number: true, further: true, cell: (row) => count(row.findings.length) },
  ],
};
const PLANS = {
  title: "Plans",
  path: "/v1/plans",
  nothing: "No plan has been made: look at a fleet, and have one made there.",
  columns: [
    { name: "plan", cell: (row) => id("plans", row.plan_id) },
    { name: "made", further: true, cell: (row) => moment(row.created_at) },
    { name: "policy", further: true, cell: (row) => row.header.policy?.name ?? "–" },
    { name: "fleet", further: true, cell: (row) => id("fleets", row.fleet_id) },
    { name: "hosts", number: true, cell: (row) => count(row.header.summary.hosts) },
    { name: "makespan", number: true, cell: (row) => duration(row.header.summary.makespan_s) },
    { name: "deadline", cell: deadline },
    {
      name: "over its bound",
      number: true,
      further: true,
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
    { name: "is", cell: (row) => [badge(row.standing), row.standing === "starting" ? trying(row.tries, row.most_tries) : ""] },
    { name: "hosts patched", number: true, cell: patched },
    { name: "expected end", cell: expectedEnd },
    { name: "asked for", further: true, cell: (row) => moment(row.created_at) },
    { name: "by", further: true, cell: (row) => person(row.created_by) },
    { name: "hosts are", further: true, cell: (row) => row.terms.profile ?? "simulated" },
    { name: "plan", further: true, cell: (row) => id("plans", row.plan_id) },
    { name: "fleet", further: true, cell: (row) => id("fleets", row.fleet_id) },
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
    { name: "asked for", further: true, cell: (row) => moment(row.created_at) },
    { name: "by", further: true, cell: (row) => person(row.created_by) },
    { name: "in words", cell: (row) => jobWords(row) || (row.error ? `${row.error.object}: ${row.error.fact}` : "") },
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

/** Have a table say how far the newest campaigns under way are, once that is known; each is looked at by itself. */
export async function lookedAt(table, rows, signal) {
  const going = rows.filter(isUnderWay).slice(0, MOST_LOOKED_AT);
  for (const row of going) row.isBeingRead = true;
  table.set(rows);
  for (const row of going) {
    const { progress, standing } = await get(`/v1/campaigns/${row.campaign_id}`, signal);
    Object.assign(row, { progress, standing });
    table.set(rows);
  }
  for (const row of rows.filter(({ finished, ended }) => finished && !ended).slice(0, MOST_LOOKED_AT)) {
    row.ended = await endedWith(row.campaign_id, signal);
    table.set(rows);
  }
}

/** Return how many hosts a campaign that is over has patched, by its report; none of one that is not there yet. */
async function endedWith(campaignId, signal) {
  try {
    return (await get(`/v1/campaigns/${campaignId}/report`, signal)).hosts;
  } catch (error) {
    if (error.status !== 409) throw error;
    return null;
  }
}

/** Return those of a kind of which that is asked, as a table; at most so many. */
export async function listed(kind, { query = {}, most = Infinity, signal, size = 25, columns = KINDS[kind].columns, nothing = KINDS[kind].nothing } = {}) {
  const { title } = KINDS[kind];
  const found = await newest(kind, query, signal);
  const table = pagedTable(title, columns, { nothing, size });
  table.set(found.items.slice(0, most));
  table.items = found.items;
  table.more = found.more;
  return table;
}

/** Call `load` again and again while a view is shown, each time a while after the time before; return what ends that. */
function repeated(load, signal, failed) {
  let timer = null;
  const later = () => {
    if (!signal.aborted) timer = setTimeout(() => load().catch(failed).finally(later), UNDER_WAY_MS);
  };
  later();
  return () => clearTimeout(timer);
}

/** Return the rows of a list anew, with what was known before of how far campaigns are. */
function renewed(rows, before) {
  const known = new Map(before.map((row) => [row.campaign_id, row]));
  return rows.map((row) => {
    const { progress, ended } = known.get(row.campaign_id) ?? {};
    return isUnderWay(row) ? { ...row, progress } : { ...row, ended };
  });
}

/** Show one list. */
export function listView(kind) {
  return async ({ main, signal, failed }) => {
    const { columns, title, nothing } = KINDS[kind];
    document.title = `${title} · Slacktide`;
    const table = pagedTable(title, columns, { nothing });
    const note = el("p", { class: "note" });
    let rows = [];
    const load = async () => {
      const found = await newest(kind, {}, signal);
      rows = renewed(found.items, rows);
      table.set(rows);
      say(note, found.more ? "Only the first 1,000 by id are listed; the API has all." : "");
    };
    const look = () => lookedAt(table, rows, signal);
    await load();
    put(main, el("h1", { tabindex: "-1" }, title), el("section", { class: "card", "aria-label": title }, table, note));
    look().catch(failed);
    return repeated(() => load().then(look), signal, failed);
  };
}

/** Show the newest of everything, as far as it is listed, and how far campaigns under way are. */
export async function overview({ main, signal, failed }) {
  document.title = "Slacktide";
  const order = ["campaigns", "fleets", "plans", "jobs"];
  const most = NARROW.matches ? NARROW_ROWS : OVERVIEW_ROWS;
  const brief = (kind) => KINDS[kind].columns.map((column) => ({ ...column, minor: column.further }));
  const tables = await Promise.all(order.map((kind) => listed(kind, { most, signal, columns: brief(kind) })));
  const sections = order.map((kind, place) =>
    section(
      KINDS[kind].title,
      { class: "card" },
      tables[place],
      tables[place].items.length > most ? el("p", {}, further(kind, tables[place])) : null,
    ),
  );
  put(main, el("h1", { tabindex: "-1" }, "Everything at a glance"), sections);
  const [campaigns] = tables;
  let rows = campaigns.items.slice(0, most);
  const look = () => lookedAt(campaigns, rows, signal);
  look().catch(failed);
  return repeated(
    async () => {
      rows = renewed((await newest("campaigns", {}, signal)).items.slice(0, most), rows);
      campaigns.set(rows);
      await look();
    },
    signal,
    failed,
  );
}

function further(kind, { items, more }) {
  const shown = link(`/page/${kind}`, more ? `The first ${count(items.length)} ${kind} by id` : `All ${count(items.length)} ${kind}`);
  return more ? [shown, "; the newest of these are above."] : shown;
}
