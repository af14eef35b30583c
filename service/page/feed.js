/** A campaign's events as they come, on the page's side: what is told to whom, and how the stream is. */

import { token } from "./session.js";

const WORKER = "/page/static/stream.js";
/** How long a stream may be silent: the server sends a line every 15 s, and two may be late. */
const SILENCE_MS = 45_000;
/** Before a worker is begun anew that has ended by itself: mostly its script could not be had, the server was away. */
const AGAIN_MS = 2000;
const policy = self.trustedTypes?.createPolicy("slacktide", {
  createScriptURL(text) {
    if (text !== WORKER) throw new TypeError(`${text} is no script of this page`);
    return text;
  },
});

/** Follow a campaign after an event; return what ends that.  `state` is told how the stream is, as stream.js says it. */
export function follow(campaignId, after, about, { events, state, silenceMs = SILENCE_MS }) {
  let last = after;
  let worker = null;
  let timer = null;
  let ended = false;
  function end() {
    worker.onmessage = null;
    worker.onerror = null;
    worker.terminate();
  }
  function begin() {
    if (ended) return;
    worker = new Worker(policy ? policy.createScriptURL(WORKER) : WORKER, { type: "module" });
    worker.onmessage = ({ data }) => {
      if (!data.events) return state(data.state, data.detail);
      last = data.last;
      events(data);
    };
    worker.onerror = () => {
      end();
      timer = setTimeout(begin, AGAIN_MS);
      state("away", "what reads the stream has ended");
    };
    worker.postMessage({ url: `/v1/campaigns/${campaignId}/events/stream`, token: token(), after: last, about, silenceMs });
  }
  begin();
  return () => {
    ended = true;
    clearTimeout(timer);
    end();
  };
}

/** Return a function that calls `act` soon, and no more often than every so many milliseconds; never twice at once. */
export function paced(act, everyMs) {
  let timer = null;
  let begunMs = -Infinity;
  let busy = false;
  let again = false;
  let ended = false;
  async function run() {
    timer = null;
    busy = true;
    begunMs = performance.now();
    try {
      await act();
    } finally {
      busy = false;
      if (again) {
        again = false;
        soon();
      }
    }
  }
  function soon() {
    if (ended) return;
    if (busy) again = true;
    else if (timer === null) timer = setTimeout(run, Math.max(0, begunMs + everyMs - performance.now()));
  }
  soon.end = () => {
    ended = true;
    clearTimeout(timer);
  };
  return soon;
}
