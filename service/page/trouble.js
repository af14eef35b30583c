/** Which events say that something went wrong: the same in the log and for what is kept of a stream too fast to show. */

const TROUBLE = /failed|given-up|lost|blocked|refused|away|closed|aborted|paused|cancelled|forced|awaited/;

export function isTrouble(event) {
  return TROUBLE.test(event.type) || (event.type === "signal-changed" && !event.healthy);
}
