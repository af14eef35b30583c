/** A campaign's events as they come: the newest first, of the kinds that are asked for. */

import { get } from "../api.js";
import { el, newId, put, say } from "../dom.js";
import { address } from "../map_panel.js";
import { section } from "../parts.js";
import { isTrouble } from "../trouble.js";
import { count, duration, milliseconds, people, person, plain } from "../words.js";
import { forwardedWords, limitsWords } from "./campaign_words.js";

const MOST_SHOWN = 150;
/** How many events before are looked through first, and how many at the most, where few of them are asked for. */
const BEFORE = 400;
const FURTHEST = 10_000;
const READ_AT_ONCE = 1000;
const KINDS = {
  main: ["hosts, waves, orders", ["campaign", "hosts", "agents", "vms"]],
  campaign: ["waves and orders", ["campaign", "agents"]],
  hosts: ["hosts", ["hosts"]],
  migrations: ["migrations", ["migrations"]],
  trouble: ["only what went wrong", []],
  all: ["everything", []],
};
const SAID = {
  "wave-opened": ({ wave }) => `Wave ${wave} has opened`,
  "wave-approved": ({ wave, by }) => `Wave ${wave} is approved by ${person(by)}`,
  "wave-closed": ({ wave, reason }) => `Wave ${wave} will never open: ${reason}`,
  "campaign-created": () => "The campaign is created",
  "campaign-resumed": () => "A coordinator has taken the campaign up again",
  "campaign-finished": () => "The campaign has finished",
  "campaign-paused": ({ by, why }) => `Paused by ${person(by)}${why ? `: ${why}` : ""}`,
  "campaign-continued": ({ by, why }) => `Resumed by ${person(by)}${why ? `: ${why}` : ""}`,
  "campaign-aborted": ({ by, why }) => `Aborted by ${person(by)}${why ? `: ${why}` : ""}`,
  "limits-changed": ({ by, max_out: most }) => `Other limits, by ${person(by)}: ${limitsWords(most)}`,
  "order-refused": ({ kind, reason }) => `Refused ${kind}: ${reason}`,
  "decision-awaited": ({ why }) => `A person has to decide: ${why}`,
  "decision-over": () => "Nothing waits for a decision any more",
  "signal-changed": ({ name, healthy, detail }) => `Signal ${name} is ${healthy ? "well" : "not well"}${detail ? `: ${detail}` : ""}`,
  "host-skipped": ({ host_id: host, by, why }) => `${host} is skipped by ${person(by)}${why ? `: ${why}` : ""}`,
  "plan-revised": ({ number, plan_id: plan, why }) => `Revision ${number}, plan ${plan}${why ? `: ${why}` : ""}`,
  "host-drain-started": ({ host_id: host }) => `${host} drains`,
  "host-drained": ({ host_id: host }) => `${host} is drained`,
  "patch-intended": ({ host_id: host }) => `${host} is to be patched`,
  "patch-started": ({ host_id: host }) => `${host} is being patched`,
  "host-returned": ({ host_id: host }) => `${host} is patched and back`,
  "forwarding-ended": ({ migration_id: id, unconfirmed: why, ...counted }) => [`${id}: its source forwards no more`, forwardedWords(counted, why)].filter(Boolean).join(": "),
  "forwarding-started": ({ migration_id: id, blackout_ms: ms }) => `${id}: the guest runs on its target, blackout ${milliseconds(ms)}`,
  "migration-done": ({ migration_id: id }) => `${id} is done`,
  "migration-failed": ({ migration_id: id, stage, error }) => `${id} failed while ${plain(stage)}: ${error}`,
};

/** Return an event in words. */
export function eventWords(event) {
  const known = SAID[event.type];
  if (known) return known(event);
  const subject = event.host_id ?? event.migration_id ?? event.vm_id ?? event.agent ?? "";
  const what = subject ? event.type.replace(/^(host|migration|agent|vm)-/, "") : event.type;
  const detail = event.detail ?? event.reason ?? event.error ?? "";
  return `${subject ? `${subject}: ` : ""}${plain(what)}${detail ? `: ${detail}` : ""}`;
}

/** Return what belongs to a log: its section, the kinds that it wants to be told, and how it is told of events. */
export function eventLog(campaignId, restart, signal) {
  const asked = new URLSearchParams(location.search).get("events");
  let kind = Object.hasOwn(KINDS, asked) ? asked : "main";
  const id = newId("kind");
  const search = newId("with");
  const list = el("ol", { class: "log", tabindex: "0", "aria-label": "Events, the newest first" });
  const note = el("p", { class: "note" });
  const input = el("input", { id: search, type: "search", size: 14, autocomplete: "off", oninput: again });
  let heard = [];
  let left = 0;
  let since = 0;
  let stream = "";
  let turn = 0;

  function ofKind({ event }) {
    return kind !== "trouble" || isTrouble(event);
  }

  function wanted({ event }) {
    const text = input.value.trim().toLowerCase();
    return !text || eventWords(event).toLowerCase().includes(text);
  }

  function row({ number, event }) {
    const bad = isTrouble(event);
    return el(
      "li",
      { class: bad ? "bad" : null },
      el("span", { class: "at", title: `event ${count(number)}` }, duration(event.at_s)),
      el("span", {}, bad ? el("strong", {}, "! ") : null, eventWords(event)),
    );
  }

  function again() {
    put(list, heard.filter(wanted).slice(0, MOST_SHOWN).map(row));
    tell();
  }

  function tell() {
    const begin = since ? `, of those after event ${count(since)}` : "";
    const fast = left ? `${count(left)} came too fast to be shown. ` : "";
    say(note, `The newest ${count(list.children.length)} are shown${begin}. ${fast}The API has all.${stream}`);
  }

  function told({ events, count: number }) {
    if (kind !== "trouble" || events.every(ofKind)) left += number - events.length;
    const newest = events.filter(ofKind).reverse();
    heard = [...newest, ...heard].slice(0, 10 * MOST_SHOWN);
    list.prepend(...newest.filter(wanted).slice(0, MOST_SHOWN).map(row));
    while (list.children.length > MOST_SHOWN) list.lastChild.remove();
    tell();
  }

  /** Say how the stream of events is. */
  function state(now, detail) {
    const away = now === "away" ? " New ones do not come at the moment; the page goes on by itself." : "";
    const full = now === "no room" ? ` There is no room for this stream: ${people(detail)}. New ones come once there is.` : "";
    const later = now === "refused now" ? ` New ones do not come at the moment: ${people(detail)}. The page asks again by itself.` : "";
    const never = now === "refused" ? ` New ones do not come: ${people(detail)}.` : "";
    stream = away || full || later || never;
    tell();
  }

  const select = el(
    "select",
    {
      id,
      onchange: (event) => {
        kind = event.target.value;
        address("events", kind === "main" ? null : kind);
        restart();
      },
    },
    Object.entries(KINDS).map(([key, [text]]) => el("option", { value: key, selected: key === kind }, text)),
  );
  const node = section(
    "Events",
    { class: "card" },
    el(
      "div",
      { class: "controls" },
      el("div", { class: "field inline" }, el("label", { for: id }, "About"), select),
      el("div", { class: "field inline" }, el("label", { for: search }, "With"), input),
    ),
    list,
    note,
  );

  /** Return the events of the kind that is shown after one and up to another, the oldest first. */
  async function between(after, number) {
    const about = KINDS[kind][1].map((each) => `&about=${each}`).join("");
    const found = [];
    for (let last = after; last < number; ) {
      const path = `/v1/campaigns/${campaignId}/events?after=${last}&limit=${Math.min(READ_AT_ONCE, number - last)}${about}`;
      const page = await get(path, signal);
      found.push(...page.items.filter((each) => each.number <= number && ofKind(each)));
      if (page.last <= last) break;
      last = page.last;
    }
    return found;
  }

  /**
   * Show what came before an event, and begin anew; return whether nobody else has done so meanwhile.
   *
   * One looks further and further back until the log is full.
   */
  async function begin(number) {
    turn += 1;
    const mine = turn;
    let found = [];
    let before = number;
    for (let many = BEFORE; before > 0 && found.length < MOST_SHOWN && number - before < FURTHEST; many *= 4) {
      const after = Math.max(0, number - FURTHEST, before - many);
      found = [...(await between(after, before)), ...found];
      if (mine !== turn) return false;
      before = after;
    }
    heard = found.reverse();
    left = 0;
    since = before;
    again();
    return true;
  }

  return { node, told, begin, state, about: () => KINDS[kind][1] };
}
