/** What an operator may ask of a campaign, each with a confirmation and the reason for it. */

import { Problem, get, post } from "../api.js";
import { ask, field, why } from "../dialogs.js";
import { session } from "../session.js";
import { count } from "../words.js";
import { isGivenUp } from "./campaign_words.js";

/** Ask whether a plan is to be carried out, on which hosts, and when it begins. */
export function carryOut(plan, go) {
  const profiles = session.me?.profiles ?? [];
  const where = [["", "simulated hosts: nothing is moved"], ...profiles.map((name) => [name, `real hosts of profile ${name}`])];
  ask({
    title: "Have this plan carried out?",
    words: [
      `${count(plan.header.summary.hosts)} hosts are drained, patched and returned; ${count(plan.header.summary.migrations)} migrations are carried out.`,
    ],
    fields: [
      field("profile", "On", { kind: "select", value: "", options: where }),
      field("speed", "Simulated seconds for each second", {
        kind: "number",
        min: "0.001",
        step: "any",
        hint: "Empty: as fast as it goes. Counts for simulated hosts only.",
      }),
      field("approvals", "Wait for a person where a gate asks for one", { kind: "check", value: true }),
      field("start", "Begin", {
        kind: "select",
        value: "now",
        options: [
          ["now", "now"],
          ["on-approval", "when somebody starts it"],
        ],
      }),
    ],
    yes: "Have it carried out",
    act: ({ profile, speed, approvals, start }) => {
      const simulation = { ask_for_approval: approvals, ...(speed ? { speed: Number(speed) } : {}) };
      return post("/v1/campaigns", { plan_id: plan.plan_id, start, terms: profile ? { profile } : { simulation } });
    },
    say: (made) => {
      go(`/page/campaigns/${made.campaign_id}`);
      return "The campaign is created";
    },
  });
}

/**
 * Return the buttons for where a campaign stands; `done` is called once something has been asked.
 *
 * `gates` are those of its waves, `kinds` what its policy limits hosts out of.
 */
export function campaignButtons(campaign, { gates, kinds }, done) {
  const { campaign_id: id, standing, progress, waits_for_approval: waits } = campaign;
  const order = (title, words, body, { fields = [], further = [], yes, kind = "" } = {}) => ({
    text: title,
    kind,
    press: () =>
      ask({
        title: `${title.replace("…", "")}?`,
        words,
        fields: [...fields, why(), ...further],
        yes: yes ?? title.replace("…", ""),
        kind,
        act: async ({ why: reason, ...values }) => {
          const path = `/v1/campaigns/${id}/orders`;
          const answer = await post(path, { order: body(values), why: reason }, async (before) => (await get(path)).newest > before.order);
          if (answer.granted === false) {
            throw new Problem(409, { object: title, fact: `is refused: ${answer.answer.reason}`, remedy: "Look at where the campaign stands" });
          }
          done();
          return answer;
        },
        say: (answer) => (answer.granted ? "Granted" : "Asked; the campaign has not answered yet"),
      }),
  });
  const stop = () => field("cancel", "Stop migrations that are under way; else they end by themselves", { kind: "check" });
  const host = (label) => field("host_id", label, { required: true, maxlength: 200 });
  const start = {
    text: standing === "proposed" ? "Start it…" : "Start it again…",
    kind: "main",
    press: () =>
      ask({
        title: "Start this campaign?",
        words: [campaign.terms.profile ? `It works on real hosts, those of profile ${campaign.terms.profile}.` : "Its hosts are simulated: nothing is moved."],
        yes: "Start it",
        kind: "main",
        act: async () => {
          await post(`/v1/campaigns/${id}/start`);
          done();
        },
        say: () => "The campaign is started",
      }),
  };
  const again = isGivenUp(campaign) ? [start] : [];
  const hasBegun = Boolean(campaign.origin);
  const takeBack = order("Abort…", ["It has not begun, and does not: nothing of it is carried out until somebody starts it again."], () => ({ kind: "abort" }), { kind: "danger" });
  if (standing === "proposed") return [start, takeBack];
  if (standing === "aborted before it began" || (again.length && progress === null)) return [start];
  if (standing === "starting" && !hasBegun) return [takeBack];
  if (["finished", "aborted", "starting", "being read", "waits for its release"].includes(standing)) return [];
  const paused = Boolean(progress?.paused);
  const abort = order("Abort…", ["Nothing new begins any more, and the campaign ends. Patches that are under way end in any case. This cannot be taken back."], ({ cancel }) => ({ kind: "abort", cancel }), {
    further: [stop()],
    kind: "danger",
  });
  if (progress?.aborted) return again;
  const limits = order("Limits…", ["Other limits on hosts out hold from now on, in place of the policy's."], ({ kind, most }) => ({ kind: "limits", max_out: { [kind]: /^\d+$/.test(most) ? Number(most) : most } }), {
    fields: [
      field("kind", "Of", { kind: "select", value: "fleet", options: kinds.map((each) => [each, each]) }),
      field("most", "Hosts out at once, at most", { required: true, pattern: "\\d+|\\d+(\\.\\d+)?%", hint: "A number such as 40, or a share such as 20%." }),
    ],
    yes: "Let them hold",
  });
  return [
    ...again,
    paused
      ? order("Resume…", ["The campaign goes on where it was."], () => ({ kind: "resume" }), { kind: "main" })
      : order("Pause…", ["Nothing new begins until the campaign is resumed. Patches that are under way end."], ({ cancel }) => ({ kind: "pause", cancel }), { further: [stop()], kind: waits || again.length ? "" : "main" }),
    ...(waits || gates.includes("approval")
      ? [
          order("Approve…", ["A wave whose gate asks for a person may begin."], ({ wave }) => ({ kind: "approve", wave: wave === "" ? null : Number(wave) }), {
            kind: waits ? "main" : "",
            fields: [field("wave", "Wave", { kind: "number", min: "0", hint: "Empty: the next that asks for it." })],
          }),
        ]
      : []),
    ...(kinds.length ? [limits] : []),
    order("Skip a host…", ["The host is not drained, or no further, and stays unpatched."], ({ host_id: name }) => ({ kind: "skip", host_id: name }), { fields: [host("Host")], yes: "Skip it" }),
    order("Evacuate a host…", ["The host is emptied before all others, because it is about to fail. It is not patched and stays out."], ({ host_id: name }) => ({ kind: "evacuate", host_id: name }), {
      fields: [host("Host")],
      yes: "Evacuate it",
      kind: "danger",
    }),
    abort,
  ];
}
