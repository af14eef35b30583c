/** Which events say that something went wrong: the same in the log and for what is kept of a stream too fast to show. */

const TROUBLE = /failed|given-up|lost|blocked|refused|away|closed|aborted|paused|cancelled|forced|awaited/;

export function isTrouble(event) {
  if (event.type === "forwarding-ended") return Boolean(event.unconfirmed);
  return TROUBLE.test(event.type) || (event.type === "signal-changed" && !event.healthy);
}
