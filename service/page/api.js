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
    return this.status === 0 || this.status === 502 || this.status === 503;
  }
}

export function bearer() {
  const text = token();
  return text ? { Authorization: `Bearer ${text}` } : {};
}

async function call(method, path, { body, headers = {}, signal } = {}) {
  const sent = { method, signal, headers: { ...bearer(), ...headers }, cache: "no-store", credentials: "omit" };
  if (body !== undefined) {
    sent.body = JSON.stringify(body);
    sent.headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(path, sent);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { object: "server", fact: "does not answer", remedy: "The page tries again by itself" });
  }
  const text = await answer.text();
  let told = {};
  try {
    told = text ? JSON.parse(text) : {};
  } catch {
    told = {};
  }
  if (!answer.ok) throw new Problem(answer.status, told);
  return told;
}

export function get(path, signal) {
  return call("GET", path, { signal });
}

/** Ask for a change; repeated by the network, it is done once. */
export function post(path, body) {
  return call("POST", path, { body, headers: { "Idempotency-Key": random() } });
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
