/** Who reads: the token, kept for this tab alone, and what the server says that its holder may. */

const KEY = "slacktide-token";
const ROLES = ["viewer", "operator", "admin"];

export const session = { me: null, problem: null };

export function token() {
  return sessionStorage.getItem(KEY);
}

export function keepToken(text) {
  if (text) sessionStorage.setItem(KEY, text);
  else sessionStorage.removeItem(KEY);
}

/** Note what the server says of who asks. */
export function known(me, problem = null) {
  session.me = me;
  session.problem = problem;
}

/** Return whether who reads may do what is for a role. */
export function may(role) {
  return session.me !== null && ROLES.indexOf(session.me.role) >= ROLES.indexOf(role);
}

/** Return why who reads may not do what is for a role. */
export function whyNot(role) {
  const is = session.me === null ? "The server does not know you" : `You are ${session.me.role}`;
  return `${is}; this is for ${role}s. Give a token of an ${role} at the top right.`;
}
