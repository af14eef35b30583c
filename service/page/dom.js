/** Elements made from plain values: text stays text, whatever it holds. */

const SVG = "http://www.w3.org/2000/svg";

/** Return an element; `properties` are attributes, `on…` listeners, `class`, and `style` as an object. */
export function el(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** Return an SVG element. */
export function svg(tag, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), properties, children);
}

function filled(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, each] of Object.entries(value)) node.style.setProperty(key, each);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...flat(children));
  return node;
}

/** Put other children into a node. */
export function put(node, ...children) {
  node.replaceChildren(...flat(children));
  return node;
}

/** Put other elements into a node; what is equal to what is there stays, with the focus and the marked text in it. */
export function renew(node, ...elements) {
  const others = flat(elements);
  others.forEach((other, place) => {
    const now = node.children[place];
    if (!now) node.append(other);
    else if (!now.isEqualNode(other)) now.replaceWith(other);
  });
  while (node.children.length > others.length) node.lastElementChild.remove();
  return node;
}

function flat(children) {
  return children.flat(Infinity).filter((each) => each !== null && each !== undefined && each !== false);
}

/** Set a node's text, if it is another. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
  return node;
}

/** Have a screen reader say something, once. */
export function announce(text) {
  say(document.getElementById("said"), text);
}

/** Return a link within the page, or elsewhere. */
export function link(href, text, properties = {}) {
  return el("a", { href, ...properties }, text);
}

/** Let the browser paint, and the reader press keys, before more is done. */
export function breathe() {
  return new Promise((done) => setTimeout(done));
}

let numbers = 0;

/** Return an id that no other element has. */
export function newId(name) {
  numbers += 1;
  return `${name}-${numbers}`;
}
