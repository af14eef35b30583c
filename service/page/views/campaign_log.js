/** A campaign's events as they come: the newest first, of the kinds that are asked for. */

import { get } from "../api.js";
import { el, newId, put } from "../dom.js";
import { address } from "../map_panel.js";
import { section } from "../parts.js";
import { count, duration, milliseconds, person, plain } from "../words.js";

const MOST_SHOWN = 150;
const BEFORE = 400;
const KINDS = {
  main: ["hosts, waves, orders", ["campaign", "hosts", "agents", "vms"]],
  campaign: ["waves and orders", ["campaign", "agents"]],
  hosts: ["hosts", ["hosts"]],
  migrations: ["migrations", ["migrations"]],
  trouble: ["only what went wrong", []],
  all: ["everything", []],
};
const TROUBLE = /failed|given-up|lost|blocked|refused|away|closed|aborted|paused|cancelled|forced/;
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
  "limits-changed": ({ by, max_out: most }) => `Other limits, by ${person(by)}: ${most}`,
  "order-refused": ({ kind, reason }) => `Refused ${kind}: ${reason}`,
  "host-skipped": ({ host_id: host, by, why }) => `${host} is skipped by ${person(by)}${why ? `: ${why}` : ""}`,
  "plan-revised": ({ number, plan_id: plan, why }) => `Revision ${number}, plan ${plan}${why ? `: ${why}` : ""}`,
  "host-drain-started": ({ host_id: host }) => `${host} drains`,
  "host-drained": ({ host_id: host }) => `${host} is drained`,
  "patch-intended": ({ host_id: host }) => `${host} is to be patched`,
  "patch-started": ({ host_id: host }) => `${host} is being patched`,
  "host-returned": ({ host_id: host }) => `${host} is patched and back`,
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
  let kind = KINDS[asked] ? asked : "main";
  const id = newId("kind");
  const search = newId("with");
  const list = el("ol", { class: "log", tabindex: "0", "aria-label": "Events, the newest first" });
  const note = el("p", { class: "note" });
  const input = el("input", { id: search, type: "search", size: 14, autocomplete: "off", oninput: again });
  let heard = [];
  let left = 0;

  function wanted({ event }) {
    if (kind === "trouble" && !TROUBLE.test(event.type)) return false;
    const text = input.value.trim().toLowerCase();
    return !text || eventWords(event).toLowerCase().includes(text);
  }

  function row({ number, event }) {
    const bad = TROUBLE.test(event.type);
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
    put(note, `The newest ${count(list.children.length)} are shown. ${left ? `${count(left)} came too fast to be shown. ` : ""}`, "The API has all.");
  }

  function told({ events, count: number }) {
    left += number - events.length;
    const newest = [...events].reverse();
    heard = [...newest, ...heard].slice(0, 10 * MOST_SHOWN);
    list.prepend(...newest.filter(wanted).slice(0, MOST_SHOWN).map(row));
    while (list.children.length > MOST_SHOWN) list.lastChild.remove();
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

  /** Show what came shortly before an event, and begin anew. */
  async function begin(number) {
    const about = KINDS[kind][1].map((each) => `&about=${each}`).join("");
    const found = await get(`/v1/campaigns/${campaignId}/events?after=${Math.max(0, number - BEFORE)}&limit=${BEFORE}${about}`, signal);
    heard = found.items.filter((each) => each.number <= number).reverse();
    left = 0;
    again();
  }

  return { node, told, begin, about: () => KINDS[kind][1] };
}
