/** A job: how far it is, and what came of it. */

import { Problem, get, post } from "../api.js";
import { ask } from "../dialogs.js";
import { announce, el, link, put, renew, say } from "../dom.js";
import { actions, badge, bar, trail, trouble } from "../parts.js";
import { duration, moment, person, plain } from "../words.js";
import { jobResult } from "./job_result.js";

const LOOK_MS = 1000;
const ENDED = ["done", "failed", "cancelled"];
const SAID = { done: "", failed: "", cancelled: "It was told to end." };
const LINKS = { fleet_id: "fleets", plan_id: "plans", campaign_id: "campaigns" };

/** Return how far a job is; of one that has ended, what it said on the way is over. */
export function jobWords(job) {
  if (ENDED.includes(job.state)) return SAID[job.state];
  return [job.words ?? "", job.eta_s ? `about ${duration(job.eta_s)} to go` : ""].filter(Boolean).join("; ");
}

export async function jobView({ main, signal, failed }, jobId) {
  document.title = `Job ${jobId} · Slacktide`;
  const head = el("h1", { tabindex: "-1" });
  const state = el("span");
  const progress = bar("Progress");
  const words = el("p", { role: "status" });
  const facts = el("dl", { class: "facts" });
  const outcome = el("div");
  const orders = el("div");
  let was = null;
  let timer = null;

  async function look() {
    const job = await get(`/v1/jobs/${jobId}`, signal);
    show(job);
    if (ENDED.includes(job.state)) return;
    timer = setTimeout(() => look().catch(again), LOOK_MS);
  }

  function again(error) {
    if (signal.aborted) return;
    failed(error);
    timer = setTimeout(() => look().catch(again), LOOK_MS);
  }

  function show(job) {
    say(head, `Job: ${plain(job.kind)}`);
    renew(state, badge(job.state));
    progress.set(job.state === "running" ? job.fraction : job.state === "done" ? 1 : job.fraction ?? 0);
    say(words, jobWords(job));
    const asked = Object.entries({ ...job.asked, ...(job.result ?? {}), ...(job.error ?? {}) }).filter(([name, value]) => LINKS[name] && value);
    renew(
      facts,
      [
        ["id", job.job_id],
        ["asked for", `${moment(job.created_at)}, by ${person(job.created_by)}`],
        ["ended", job.ended_at ? moment(job.ended_at) : "–"],
        ...asked.map(([name, value]) => [plain(name.replace("_id", "")), link(`/page/${LINKS[name]}/${value}`, value, { class: "id" })]),
      ].map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))),
    );
    if (job.state === was) return;
    if (was !== null) announce(`The job is ${job.state}`);
    was = job.state;
    const found = job.state === "failed" ? [] : jobResult(job);
    put(outcome, job.error ? trouble(new Problem(400, job.error)) : [], found.length ? el("section", { class: "card", "aria-label": "What it has found" }, found) : []);
    put(orders, ENDED.includes(job.state) ? [] : actions("operator", [{ text: "Have it end", press: cancel }]));
  }

  function cancel() {
    ask({
      title: "Have this job end?",
      words: ["Planning ends with the best plan so far; a campaign that was to begin with it then waits to be started."],
      yes: "Have it end",
      act: () => post(`/v1/jobs/${jobId}/cancel`),
      say: () => "The job is told to end",
    });
  }

  await look();
  put(
    main,
    trail(["/page/jobs", "Jobs"]),
    el("div", { class: "title" }, head, state),
    el("section", { class: "card", "aria-label": "State" }, progress, words, facts),
    outcome,
    orders,
  );
  return () => clearTimeout(timer);
}
