/** Where a campaign stands, and what was asked of it, in sentences. */

import { counted, duration, isKnown, person } from "../words.js";

/** Standings in which nobody has to start a campaign again, or may. */
const NOT_TO_START = ["finished", "aborted", "being read", "waits for its release"];

/** How the server begins to say that a campaign came back from a backup. */
const CAME_BACK = "it came back from a backup";

/** Return whether the server has given a campaign up, its process having ended every time, and starts it if asked to. */
export function isGivenUp({ standing, state }) {
  return state === "failed" && !NOT_TO_START.includes(standing);
}

/** Return where a campaign stands; `state` is what the server wants of it, `failed`: it has given it up. */
export function sentence({ standing, state, progress, said, tries, most_tries: most, holder, carried_out: carried, created_by: by }) {
  const last = said ? `, and last said: ${said}` : "";
  if (isGivenUp({ standing, state }) && !holder && said?.startsWith(CAME_BACK)) return `Nobody carries it out: ${said}. The server does not start it again by itself.`;
  if (isGivenUp({ standing, state }) && !holder) return `Its process ended every time${last}. The server does not start it again by itself.`;
  if (standing === "proposed") return `It waits until somebody starts it; ${person(by)} has asked for it.`;
  if (standing === "being read") return "Its journal is being read.";
  if (standing === "aborted before it began") return `Nothing of it is carried out: it was ${said}.`;
  if (standing === "starting" || progress === null) return `Its process is starting${trying(tries, most)}${said ? `. ${tries > 1 ? "The one before said" : "It is said"}: ${said}` : ""}.`;
  const order = progress.aborted ?? progress.paused;
  const reason = order ? ` since ${duration(order.at_s)} into the campaign, by ${person(order.by)}${order.why ? `: ${order.why}` : ""}` : "";
  if (standing === "running") return progress.behind_s === null ? "It runs; no host is back yet." : `It runs, ${pace(progress.behind_s)}.`;
  if (standing === "waiting for a decision") return `It waits for a person's decision since ${duration(progress.decision.since_s)} into the campaign: ${progress.decision.why}. What to do: ${progress.decision.remedy}.${alone(holder)}`;
  if (standing === "waiting for approval") return `A wave waits for a person's approval, and for nothing else.${alone(holder)}`;
  if (standing === "held up") return `It is held up by ${carried.who}, ${carried.beside}.`;
  if (standing === "waits for its release") return `It waits for its release: ${carried.beside}.`;
  if (standing === "stopped") return `${carried.who === "nobody" ? "Nobody carries it out now; the server starts it again" : `Nobody who can be seen carries it out: ${carried.beside}`}${said ? `. It last said: ${said}` : ""}.`;
  if (standing === "finished") return `It has finished after ${duration(progress.now_s)}.`;
  return `It is ${standing}${reason}.${standing === "aborted" ? "" : alone(holder)}`;
}

/** Return which try of how many it is, after the first. */
export function trying(tries, most) {
  return tries > 1 ? `, try ${tries} of ${most}` : "";
}

function alone(holder) {
  return holder ? "" : " Nobody carries it out now.";
}

function pace(behind) {
  if (Math.abs(behind) < 30) return "as planned";
  return behind > 0 ? `${duration(behind)} behind its plan` : `${duration(-behind)} ahead of its plan`;
}

/** Return limits on hosts out, an object or its JSON, in words: `fleet 10%, rack 2`. */
export function limitsWords(limits) {
  const most = typeof limits === "string" ? JSON.parse(limits) : limits;
  return Object.entries(most).map(([kind, each]) => `${kind} ${each}`).join(", ");
}

/** Return what was asked of a campaign, and whether it was refused; without a type: nobody has answered it yet. */
export function orderWords(event) {
  if (!event.type) return event.kind;
  const kind = event.type.replace(/^campaign-/, "").replace(/-/g, " ");
  const subject = event.host_id ?? (isKnown(event.wave) ? `wave ${event.wave}` : (event.max_out ? limitsWords(event.max_out) : event.plan_id ?? ""));
  return event.type === "order-refused" ? `refused ${event.kind}: ${event.reason}` : `${kind} ${subject}`.trim();
}

/** Return what came of the packets that a source forwarded, as far as it is known, and why the fabric had not caught up. */
export function forwardedWords({ forwarded_packets: sent, lost_packets: lost }, why) {
  const counts = [
    isKnown(sent) ? `${counted(sent, "packet")} forwarded` : "",
    isKnown(lost) ? `${counted(lost, "packet")} lost` : isKnown(sent) ? "how many were lost is not known" : "",
  ];
  return [counts.filter(Boolean).join(", "), why ?? ""].filter(Boolean).join("; ");
}

/** Return since when some figures are of a plan that is followed no more; nothing where they are of the only one. */
export function revisedWords(revisions) {
  if (!revisions.length) return "";
  const { at_s: at, plan_id: plan } = revisions.at(-1);
  return `The campaign follows revision ${revisions.length}, plan ${plan}, since ${duration(at)} into the campaign. Bounds, the planned exposure in all, and the map's waves and planned times are the first plan's.`;
}
