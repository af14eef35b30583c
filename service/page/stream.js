/**
 * Reads a campaign's event stream apart from the page, so that thousands of events a second do not hold it up.
 *
 * Told { url, token, after, about }; tells { state, detail } and, four times a second at most, { events, count, last }.
 * EventSource sends no headers, so that the stream is read with fetch.
 */

const TELL_MS = 250;
const MOST_TOLD = 300;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;

let last = 0;
let heard = [];
let counted = 0;
let over = false;

self.onmessage = ({ data }) => {
  last = data.after;
  follow(data);
};

setInterval(() => {
  if (!counted) return;
  self.postMessage({ events: heard, count: counted, last });
  heard = [];
  counted = 0;
}, TELL_MS);

async function follow(asked) {
  let wait = FIRST_WAIT_MS;
  while (!over) {
    try {
      if (await read(asked)) wait = FIRST_WAIT_MS;
    } catch (error) {
      self.postMessage({ state: "away", detail: String(error) });
    }
    if (over) return;
    await new Promise((done) => setTimeout(done, wait));
    wait = Math.min(2 * wait, LONGEST_WAIT_MS);
  }
}

/** Read the stream until it breaks off; return whether it began. */
async function read({ url, token, about }) {
  const query = new URLSearchParams(about.map((each) => ["about", each]));
  const headers = { "Last-Event-ID": String(last), ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const answer = await fetch(`${url}?${query}`, { headers, cache: "no-store", credentials: "omit" });
  if (answer.status === 401 || answer.status === 403 || answer.status === 404) {
    over = true;
    self.postMessage({ state: "refused", detail: String(answer.status) });
    return false;
  }
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  self.postMessage({ state: "live" });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    blocks.forEach(take);
  }
  if (!over) self.postMessage({ state: "away", detail: "the stream broke off" });
  return true;
}

/** Leave out the oldest event about a migration, of which there are most; else the oldest. */
function leaveOut() {
  const place = heard.findIndex(({ event }) => "migration_id" in event);
  heard.splice(Math.max(place, 0), 1);
}

function take(block) {
  let data = null;
  for (const line of block.split("\n")) {
    if (line.startsWith("id: ")) last = Number(line.slice(4));
    else if (line.startsWith("data: ")) data = line.slice(6);
  }
  if (data === null) return;
  const event = JSON.parse(data);
  counted += 1;
  heard.push({ number: last, event });
  if (heard.length > MOST_TOLD) leaveOut();
  if (event.type === "campaign-finished") {
    over = true;
    self.postMessage({ events: heard, count: counted, last });
    self.postMessage({ state: "over" });
    heard = [];
    counted = 0;
  }
}
