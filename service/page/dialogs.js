/** Questions before something is done: what it does, why it is wanted, and a way out. */

import { Problem } from "./api.js";
import { announce, el, newId, put } from "./dom.js";
import { trouble } from "./parts.js";

/** Return a field with its label, for a dialog; `kind` is `text`, `number`, `password`, `select`, `check` or `area`. */
export function field(name, label, { kind = "text", value = kind === "check" ? false : "", options = [], hint = "", ...rest } = {}) {
  const id = newId("field");
  const hintId = hint ? `${id}-hint` : null;
  const common = { id, name, "aria-describedby": hintId, ...rest };
  let input;
  if (kind === "select") {
    input = el("select", common, options.map(([key, text]) => el("option", { value: key, selected: key === value }, text)));
  } else if (kind === "area") {
    input = el("textarea", { rows: 3, ...common }, value);
  } else if (kind === "check") {
    input = el("input", { type: "checkbox", ...common, checked: Boolean(value) });
  } else {
    input = el("input", { type: kind, value, autocomplete: "off", ...common });
  }
  const words = el("label", { for: id }, label);
  const said = hint ? el("p", { class: "note", id: hintId }, hint) : null;
  return el("div", { class: `field ${kind}` }, kind === "check" ? [input, words] : [words, input], said);
}

/** A reason, which is asked for and kept in the journal. */
export function why() {
  return field("why", "Why", {
    kind: "area",
    required: true,
    maxlength: 500,
    hint: "It is kept in the campaign's journal, as one line, with your name.",
  });
}

/** Return what a field holds; of an area, as one line. */
function given(input) {
  if (input.type === "checkbox") return input.checked;
  return input.type === "textarea" ? input.value.trim().replace(/\s+/g, " ") : input.value.trim();
}

/**
 * Ask, and do what is asked for; `act(values)` may fail, and what it says is shown.
 * `say(answer)` is what is said once it is done.
 */
export function ask({ title, words = [], fields = [], yes, kind = "", act, say = () => "Done" }) {
  const id = newId("dialog");
  const problem = el("div");
  const submit = el("button", { type: "submit", class: kind || "main" }, yes);
  const cancel = el("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Leave it");
  const form = el(
    "form",
    { method: "dialog", onsubmit: send },
    el("h2", { id }, title),
    words.map((each) => el("p", {}, each)),
    fields,
    problem,
    el("div", { class: "buttons" }, submit, cancel),
  );
  const dialog = el("dialog", { "aria-labelledby": id, onclose: () => dialog.remove() }, form);

  async function send(event) {
    event.preventDefault();
    const values = Object.fromEntries(
      [...form.elements]
        .filter((each) => each.name)
        .map((each) => [each.name, given(each)]),
    );
    submit.disabled = true;
    put(problem);
    try {
      const answer = await act(values);
      dialog.close();
      announce(say(answer));
    } catch (error) {
      put(problem, trouble(error instanceof Problem ? error : new Problem(400, { object: "Page", fact: String(error) })));
    } finally {
      submit.disabled = false;
    }
  }

  document.body.append(dialog);
  form.reset(); // What was left in it before is not what is wanted now.
  dialog.showModal();
}
