/** Calls of the API: with the reader's token, errors as what they are about, what is so and what mends it. */

import { token } from "./session.js";

export class Problem extends Error {
  constructor(status, said) {
    super(said.detail ?? `${said.object}: ${said.fact}. ${said.remedy}`);
    this.status = status;
    this.object = said.object ?? "server";
    this.fact = said.fact ?? "answers in a way that the page does not know";
    this.remedy = said.remedy ?? "Try again";
    this.findings = said.findings ?? [];
  }

  get isAway() {
    return isAway(this.status);
  }
}

const AWAY = { object: "server", fact: "does not answer", remedy: "The page tries again by itself" };
/** What is asked again has the key that it had: a reader knows of none. */
const AWAY_SOON = "Try again in some seconds: it is done once";
let told = () => {};
/** Ends what was read from a server before it was found to be away: whoever stands before it may never answer that. */
let reading = new AbortController();

/** Have it told after every call whether the server answers: here alone that is found out. */
export function whenAsked(listener) {
  told = listener;
}

/** Return whether that is said by nobody, or by a server that has to be asked again. */
export function isAway(status) {
  return status === 0 || (status >= 502 && status <= 504);
}

/** Return whether the server itself says no: who stands before one that is away does so in words of its own. */
export function isRefusal(answer) {
  return (answer.headers.get("Content-Type") ?? "").startsWith("application/problem+json");
}

/** Note that the server is away; return the problem that this is. */
function away() {
  const problem = new Problem(0, AWAY);
  told(false);
  reading.abort(problem);
  reading = new AbortController();
  return problem;
}

function bearer() {
  const text = token();
  return text ? { Authorization: `Bearer ${text}` } : {};
}

/** Return what is made of the server's answer. */
async function call(method, path, made, { body, headers = {}, signal } = {}) {
  const sent = { method, signal, headers: { ...bearer(), ...headers }, cache: "no-store", credentials: "omit" };
  if (method === "GET") sent.signal = signal ? AbortSignal.any([signal, reading.signal]) : reading.signal;
  if (body !== undefined) {
    sent.body = JSON.stringify(body);
    sent.headers["Content-Type"] = "application/json";
  }
  let answer;
  let found;
  try {
    answer = await fetch(path, sent);
    if (answer.ok || isRefusal(answer)) found = answer.ok ? await made(answer) : await json(answer);
  } catch (error) {
    if (error.name === "AbortError" || error instanceof Problem) throw error;
    throw away();
  }
  if (found === undefined) throw away();
  told(!isAway(answer.status));
  if (answer.ok) return found;
  const isGoing = String(found.type).endsWith(":away");
  throw new Problem(answer.status, isGoing ? { ...found, detail: undefined, remedy: AWAY_SOON } : found);
}

/** Return what is said in JSON. */
async function json(answer) {
  const text = await answer.text();
  return text ? JSON.parse(text) : {};
}

export function get(path, signal) {
  return call("GET", path, json, { signal });
}

/** Return a file. */
export function file(path, signal) {
  return call("GET", path, (answer) => answer.blob(), { signal });
}

/** For how long what got no answer is the same when it is asked again; the server answers as before for a day. */
const SAME_MS = 5 * 60_000;
/** Changes that have got no answer: each with its key, what it is of, and when it was last asked for. */
const unanswered = new Map();

/** Return what a change is of, such as a campaign; null: something new. */
function subject(path) {
  return /^\/v1\/[^/]+\/[^/]+/.exec(path)?.[0] ?? null;
}

/** Return the key of a change; what was asked before is not the same any more once its subject was asked another thing. */
function keyOf(asked, path) {
  const of = subject(path);
  const nowMs = Date.now();
  for (const [other, { subject: its, askedMs }] of unanswered) {
    if (nowMs - askedMs > SAME_MS || (of !== null && its === of && other !== asked)) unanswered.delete(other);
  }
  const key = unanswered.get(asked)?.key ?? random();
  unanswered.set(asked, { key, subject: of, askedMs: nowMs });
  return key;
}

/**
 * Ask for a change; repeated by the network, or by who got no answer and asks the same again, it is done once.
 *
 * `isOver` says of an answer of before, which the server repeats, whether it holds no more: then it is asked anew.
 */
export async function post(path, body, isOver = () => false) {
  const asked = JSON.stringify([token(), path, body]);
  const key = keyOf(asked, path);
  let isRepeated = false;
  const made = (answer) => {
    isRepeated = answer.headers.has("Idempotency-Replayed");
    return json(answer);
  };
  try {
    const found = await call("POST", path, made, { body, headers: { "Idempotency-Key": key } });
    const anew = isRepeated && (await isOver(found));
    unanswered.delete(asked);
    return anew ? post(path, body) : found;
  } catch (error) {
    if (!error.isAway) unanswered.delete(asked);
    throw error;
  }
}

/** Return the items of a list in pages, at most so many, and whether there are more. */
export async function all(path, signal, most = 1000) {
  const items = [];
  let cursor = null;
  do {
    const joint = path.includes("?") ? "&" : "?";
    const page = await get(`${path}${joint}limit=200${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`, signal);
    items.push(...page.items);
    cursor = page.next;
  } while (cursor && items.length < most);
  return { items, more: cursor !== null };
}

function random() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((each) => each.toString(16).padStart(2, "0")).join("");
}
