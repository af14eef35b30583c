/** The page as a whole: which view an address shows, who reads it, and whether the server is there. */

import { Problem, get, whenAsked } from "./api.js";
import { ask, field } from "./dialogs.js";
import { announce, el, link, put, say } from "./dom.js";
import { trouble } from "./parts.js";
import { person } from "./words.js";
import { keepToken, known, session, token } from "./session.js";
import { campaignView } from "./views/campaign.js";
import { fleetView } from "./views/fleet.js";
import { jobView } from "./views/job.js";
import { listView, overview } from "./views/lists.js";
import { planView } from "./views/plan.js";
import { vmView } from "./views/vm.js";

const AGAIN_MS = 3000;
const ROUTES = [
  [/^\/page\/$/, overview],
  [/^\/page\/(fleets|plans|campaigns|jobs)$/, (context, kind) => listView(kind)(context)],
  [/^\/page\/fleets\/([0-9a-f]{16})$/, fleetView],
  [/^\/page\/plans\/([0-9a-f]{16})$/, planView],
  [/^\/page\/campaigns\/([0-9a-f]{16})$/, campaignView],
  [/^\/page\/campaigns\/([0-9a-f]{16})\/vms\/(.+)$/, vmView],
  [/^\/page\/jobs\/([0-9a-f]{16})$/, jobView],
];

const main = document.getElementById("main");
const who = document.getElementById("who");
const banner = el("p", { class: "banner", role: "status", hidden: true });
document.querySelector(".bar").after(banner);
let leave = () => {};
let shown = null;
let asking = null;

/** Say whether the server answers; where it does not, it is asked again until it does. */
function presence(answers) {
  if (!answers) {
    say(banner, "The server does not answer. What is shown is as it was; the page goes on by itself once it is back.");
    banner.hidden = false;
    asking ??= setTimeout(askAgain, AGAIN_MS);
  } else if (!banner.hidden) {
    banner.hidden = true;
    announce("The server is back");
    if (session.problem?.isAway) identify().then(() => show({ focus: false })); // It was away when it was first asked.
  }
}

async function askAgain() {
  await get("/v1/me").catch(() => {});
  asking = null;
  if (!banner.hidden) presence(false);
}

/** Show what went wrong while a view is shown; where the server is away, that is said already. */
function failed(error) {
  if (error.name === "AbortError" || error.isAway) return;
  main.querySelector(".trouble.fleeting")?.remove();
  const node = trouble(error);
  node.classList.add("fleeting");
  main.prepend(node);
}

/** Return the view that an address shows, and what of. */
function addressed(path) {
  const found = ROUTES.find(([pattern]) => pattern.test(path));
  try {
    if (found) return [found[1], found[0].exec(path).slice(1).map(decodeURIComponent)];
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
  }
  throw new Problem(404, { object: path, fact: "is no view of the page", remedy: "Begin at the lists above" });
}

async function show({ focus }) {
  leave();
  const control = new AbortController();
  const { signal } = control;
  let stop = () => {};
  leave = () => {
    control.abort();
    stop();
  };
  shown = location.pathname;
  current();
  main.setAttribute("aria-busy", "true");
  try {
    const [view, given] = addressed(location.pathname);
    const ended = await view({ main, signal, failed, go }, ...given);
    if (signal.aborted) ended?.();
    else stop = ended ?? stop;
  } catch (error) {
    if (signal.aborted || error.name === "AbortError") return;
    refused(error, signal);
  } finally {
    main.removeAttribute("aria-busy");
  }
  if (signal.aborted) return;
  if (focus) {
    scrollTo(0, 0);
    main.querySelector("h1")?.focus({ preventScroll: true });
  }
}

function refused(error, signal) {
  document.title = "Slacktide";
  const title = error.status === 401 ? "Who are you?" : error.isAway ? "The server does not answer" : "This cannot be shown";
  const way = error.status === 401 ? el("button", { type: "button", class: "main", onclick: signIn }, "Give a token…") : null;
  put(main, el("h1", { tabindex: "-1" }, title), trouble(error), way, el("p", {}, link("/page/", "Everything at a glance")));
  if (!error.isAway) return;
  const timer = setTimeout(() => identify().then(() => show({ focus: false })), AGAIN_MS);
  signal.addEventListener("abort", () => clearTimeout(timer));
}

/** Mark in the navigation where one is. */
function current() {
  for (const each of document.querySelectorAll(".bar a")) {
    const here = each.pathname === location.pathname || (each.pathname !== "/page/" && location.pathname.startsWith(`${each.pathname}/`));
    if (here) each.setAttribute("aria-current", each.pathname === location.pathname ? "page" : "true");
    else each.removeAttribute("aria-current");
  }
}

function go(path) {
  history.pushState(null, "", path);
  return show({ focus: true });
}

document.addEventListener("click", (event) => {
  const to = event.target.closest?.("a[href]");
  const plainly = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  if (!to || !plainly || to.origin !== location.origin || !to.pathname.startsWith("/page/") || to.download) return;
  event.preventDefault();
  if (to.hash) document.querySelector(to.hash)?.focus(); // Within the page: nothing is shown anew.
  else go(to.pathname + to.search);
});
addEventListener("popstate", () => show({ focus: shown !== location.pathname }));

/** Ask the server who reads. */
async function identify() {
  try {
    known(await get("/v1/me"));
  } catch (error) {
    known(null, error);
  }
  const { me } = session;
  const named = person(me?.who ?? "");
  say(who, me ? `${named === "anonymous" ? "Without a token" : named}: ${me.role}` : "Give a token");
}

function signIn() {
  ask({
    title: "Who are you?",
    words: [
      session.me ? `The server knows you as ${session.me.who}, ${session.me.role}.` : "The server does not know you.",
      "A token comes from whoever runs the server: slacktide token create NAME --role operator. It is kept in this tab until it is closed, and sent to this server alone.",
    ],
    fields: [field("token", "Token", { kind: "password", hint: "Empty: go on without one.", spellcheck: "false" })],
    yes: "Use it",
    act: async ({ token: text }) => {
      const before = token();
      keepToken(text);
      try {
        known(await get("/v1/me"));
      } catch (error) {
        keepToken(before);
        throw error;
      }
      await identify();
      show({ focus: false });
    },
    say: () => (session.me ? `You are ${session.me.role}` : "Done"),
  });
}

whenAsked(presence);
who.addEventListener("click", signIn);
await identify();
await show({ focus: false });
