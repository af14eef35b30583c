/**
 * Reads a campaign's event stream apart from the page, so that thousands of events a second do not hold it up.
 *
 * Told { url, token, after, about, silenceMs }; tells { state, detail } and, four times a second at most, { events,
 * count, last }.  States: `live`; `away`, the stream broke off or the server does not answer, whoever does in its place;
 * `no room`, it sends as many streams as it may; `refused now`, for another reason; `refused`, for good; `over`.  `detail`
 * says why.  EventSource sends no headers, so that the stream is read with fetch.
 */

import { isAway, isRefusal } from "./api.js";
import { isTrouble } from "./trouble.js";

const TELL_MS = 250;
const MOST_TOLD = 300;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;
const FOR_GOOD = [401, 403, 404];
const NO_ROOM = "urn:slacktide:problem:streams";

let last = 0;
let heard = [];
let counted = 0;
let over = false;
let begun = false;
/** The problem with which the server ends the stream, which it cannot read on. */
let problem = null;

self.onmessage = ({ data }) => {
  last = data.after;
  follow(data);
};

setInterval(tell, TELL_MS);

function tell() {
  if (!counted) return;
  self.postMessage({ events: heard, count: counted, last });
  heard = [];
  counted = 0;
}

async function follow(asked) {
  let wait = FIRST_WAIT_MS;
  while (!over) {
    let least = 0;
    begun = false;
    try {
      least = await read(asked);
    } catch (error) {
      if (!over) self.postMessage({ state: "away", detail: String(error) });
    }
    if (over) return;
    if (begun) wait = FIRST_WAIT_MS;
    await new Promise((done) => setTimeout(done, Math.max(wait, least)));
    wait = Math.min(2 * wait, LONGEST_WAIT_MS);
  }
}

/** Read the stream until it breaks off or is silent for too long; return how many milliseconds to wait at the least. */
async function read({ url, token, about, silenceMs }) {
  const control = new AbortController();
  let timer = null;
  const listen = () => {
    clearTimeout(timer);
    timer = setTimeout(() => control.abort(new Error("nothing was heard, not even that nothing is new")), silenceMs);
  };
  listen();
  try {
    const query = new URLSearchParams(about.map((each) => ["about", each]));
    const headers = { "Last-Event-ID": String(last), ...(token ? { Authorization: `Bearer ${token}` } : {}) };
    const answer = await fetch(`${url}?${query}`, { headers, cache: "no-store", credentials: "omit", signal: control.signal });
    if (!answer.ok) return await refused(answer);
    begun = true;
    problem = null;
    self.postMessage({ state: "live" });
    await take(answer.body.pipeThrough(new TextDecoderStream()).getReader(), listen);
    if (problem) told(problem.status, problem);
    else if (!over) self.postMessage({ state: "away", detail: "the stream broke off" });
    return 0;
  } finally {
    clearTimeout(timer);
    control.abort();
  }
}

/** Say that the server does not send the stream; return for how many milliseconds it asks to be left alone. */
async function refused(answer) {
  const { status, headers } = answer;
  const said = isRefusal(answer) ? await answer.json() : null;
  told(status, said);
  return 1000 * (Number(headers.get("Retry-After")) || 0);
}

function told(status, said) {
  const state = refusal(status, said);
  over = state === "refused";
  self.postMessage({ state, detail: said ? `${said.object} ${said.fact}` : `status ${status}` });
}

/** Return what kind of "no" an answer is; `said` is the server's problem, null: somebody else has answered. */
function refusal(status, said) {
  if (said?.type === NO_ROOM) return "no room";
  if (said === null || isAway(status)) return "away";
  return FOR_GOOD.includes(status) ? "refused" : "refused now";
}

async function take(reader, listen) {
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    listen();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    blocks.forEach(note);
  }
}

/** Leave out the oldest event about a migration, of which there are most; what went wrong only where all did. */
function leaveOut() {
  let place = heard.findIndex(({ event }) => "migration_id" in event && !isTrouble(event));
  if (place < 0) place = heard.findIndex(({ event }) => !isTrouble(event));
  heard.splice(Math.max(place, 0), 1);
}

function note(block) {
  let data = null;
  let kind = "";
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) kind = line.slice(7);
    else if (line.startsWith("id: ")) last = Number(line.slice(4));
    else if (line.startsWith("data: ")) data = line.slice(6);
  }
  if (data === null) return;
  const event = JSON.parse(data);
  if (kind === "problem") {
    problem = event;
    return;
  }
  counted += 1;
  heard.push({ number: last, event });
  if (heard.length > MOST_TOLD) leaveOut();
  if (event.type === "campaign-finished") {
    over = true;
    tell();
    self.postMessage({ state: "over" });
  }
}
