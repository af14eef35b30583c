/** What hosts are coloured by: for each way, the kinds there are, their tones, and the kind of every host. */

import { count, duration, percent } from "./words.js";

const FILL_STEPS = 5;
const MOST_WAVES = 7;
/** Codes of hosts are bytes. */
const MOST_NAMES = 256;

const STAGES = [
  ["waiting", "in service, to be drained", "due"],
  ["draining", "draining", "drain"],
  ["patching", "drained, being patched", "patch"],
  ["patched", "patched and back", "return"],
  ["failed", "not patched: failed or lost", "bad"],
  ["blocked", "not patched: held up by another", "blocked"],
  ["evacuated", "evacuated, stays out", "measured"],
  ["deferred", "due, deferred by the plan", "deferred"],
  ["down", "down or quarantined", "ink"],
  ["alone", "left alone: not due", "alone"],
];
const PLACE = new Map(STAGES.map(([key], place) => [key, place]));
const OF_DIGIT = ["waiting", "draining", "patching", "patching", "patching", "patched", "failed", "blocked", "failed", "evacuated"];

function kinds(rows) {
  return rows.map(([, name, tone]) => ({ name, tone }));
}

/** By the stage that a campaign has each host in; without a campaign, by what the plan does with it. */
export function byStage(map, plan, stages) {
  const down = new Set(["down", "quarantined"].map((each) => map.states.indexOf(each)));
  const codes = new Uint8Array(map.host_id.length);
  for (let host = 0; host < codes.length; host += 1) {
    const digit = stages ? stages.charCodeAt(host) - 48 : plan && plan.wave[host] !== null ? 0 : -1;
    let key;
    if (digit >= 0) key = OF_DIGIT[digit];
    else if (plan && plan.deferred[host] !== null) key = "deferred";
    else key = down.has(map.state[host]) ? "down" : "alone";
    codes[host] = PLACE.get(key);
  }
  return { codes, kinds: kinds(STAGES) };
}

/** By the state in the snapshot. */
export function byState(map) {
  const tones = { active: "return", empty: "due", down: "bad", quarantined: "deferred" };
  return { codes: Uint8Array.from(map.state), kinds: map.states.map((name) => ({ name, tone: tones[name] ?? "patch" })) };
}

/** By the memory that VMs take. */
export function byFill(map) {
  const codes = Uint8Array.from(map.memory_fill, (fill) => Math.min(FILL_STEPS - 1, Math.floor((fill * FILL_STEPS) / 1000)));
  const step = 100 / FILL_STEPS;
  const names = Array.from({ length: FILL_STEPS }, (_, place) => ({
    name: `memory ${place * step} to ${(place + 1) * step} % full`,
    tone: `step-${place + 1}`,
  }));
  return { codes, kinds: names };
}

/** By a column of names, such as machine types; where there are more than a code can tell apart, the last ones are one. */
export function byName(names, numbers) {
  const tones = ["planned", "measured", "return", "drain", "deferred", "patch", "due", "blocked"];
  const last = names.length > MOST_NAMES ? MOST_NAMES - 1 : names.length;
  const named = names.slice(0, last).map((name, place) => ({ name: name || "none", tone: tones[place % tones.length] }));
  const others = { name: `${count(names.length - last)} others`, tone: "alone" };
  return {
    codes: Uint8Array.from(numbers, (number) => Math.min(number, last)),
    kinds: last < names.length ? [...named, others] : named,
  };
}

/** By wave; where there are many, some in a row share a tone. */
export function byWave(map, plan) {
  const waves = 1 + Math.max(-1, ...new Set(plan.wave.map((wave) => wave ?? -1)));
  const share = Math.max(1, Math.ceil(waves / MOST_WAVES));
  const shown = Math.ceil(waves / share);
  const names = Array.from({ length: shown }, (_, place) => {
    const first = place * share;
    const last = Math.min(waves, first + share) - 1;
    return {
      name: first === last ? `wave ${count(first)}` : `waves ${count(first)} to ${count(last)}`,
      tone: `wave-${1 + Math.round((place * (MOST_WAVES - 1)) / Math.max(1, shown - 1))}`,
    };
  });
  names.push({ name: "due, deferred", tone: "deferred" }, { name: "left alone: not due", tone: "alone" });
  const codes = new Uint8Array(map.host_id.length);
  for (let host = 0; host < codes.length; host += 1) {
    const wave = plan.wave[host];
    codes[host] = wave !== null ? Math.floor(wave / share) : plan.deferred[host] !== null ? shown : shown + 1;
  }
  return { codes, kinds: names };
}

/** Return what is known of a host, as pairs of name and value. */
export function facts(map, plan, host, stage) {
  const found = [
    ["rack", map.racks[map.rack[host]]],
    [map.laid_out_by ?? "row", map.rows[map.row[host]] || "–"],
    ["machine type", map.types[map.type[host]]],
    ["patch level in the snapshot", map.levels[map.level[host]]],
    ["state in the snapshot", map.states[map.state[host]]],
    ["VMs in the snapshot", count(map.vms[host])],
    ["memory sold", percent(map.memory_fill[host] / 1000)],
    ["vCPUs sold", percent(map.vcpu_fill[host] / 1000)],
  ];
  if (stage) found.unshift(["now", stage]);
  if (plan && plan.wave[host] !== null) {
    found.push(
      ["wave", count(plan.wave[host])],
      ["planned drain", `${duration(plan.drain_start_s[host])} to ${duration(plan.drained_s[host])}`],
      ["planned return", duration(plan.return_s[host])],
    );
  } else if (plan && plan.deferred[host] !== null) {
    found.push(["deferred", plan.reasons[plan.deferred[host]]]);
  }
  return found;
}
