// Elements: made, changed, kept in step with data. Text always goes in as text; nothing on this page parses data as markup.

const SVG = 'http://www.w3.org/2000/svg';

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === 'on') {
      for (const [event, handler] of Object.entries(value)) element.addEventListener(event, handler);
    } else {
      setAttribute(element, name, value);
    }
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

// h('button', {class: 'x', on: {click: f}}, 'text', child): attributes that are null or false are left out, true ones are empty.
export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

export const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

export function setAttribute(element, name, value) {
  if (value == null || value === false) {
    element.removeAttribute(name);
  } else {
    const text = value === true ? '' : String(value);
    if (element.getAttribute(name) !== text) element.setAttribute(name, text);
  }
}

// Untouched where nothing changed, so that a selection in it stays.
export function setText(element, text) {
  const value = text == null ? '' : String(text);
  if (element.textContent !== value) element.textContent = value;
}

export function setClass(element, ...names) {
  setAttribute(element, 'class', names.filter(Boolean).join(' '));
}

// keep(parent, items, key, make, update): one child for each item, in order. A child whose key is known stays the same element, and with it its focus,
// its scroll position and whether it is open. make(item) returns an element; update(element, item) is called each time, also after make.
export function keep(parent, items, key, make, update) {
  const known = parent.keptChildren || new Map();
  const now = new Map();
  let place = parent.firstChild;
  for (const item of items) {
    const id = key(item);
    if (now.has(id)) continue;
    const child = known.get(id) || make(item);
    now.set(id, child);
    update(child, item);
    if (child === place) place = place.nextSibling;
    else parent.insertBefore(child, place);
  }
  for (const [id, child] of known) if (!now.has(id)) child.remove();
  parent.keptChildren = now;
}

// A button that says so for a moment after it copied text().
export function copyButton(label, text) {
  const button = h('button', {
    type: 'button', class: 'quiet', on: {
      click: async () => {
        try {
          await navigator.clipboard.writeText(text());
          setText(button, 'Copied');
        } catch {
          setText(button, 'Not allowed by the browser');
        }
        setTimeout(() => setText(button, label), 1500);
      },
    },
  }, label);
  return button;
}

// Asks before something that cannot be undone. Resolves to whether the answer was yes.
export function confirm(title, text, yes) {
  return new Promise((resolve) => {
    const dialog = h('dialog', {'aria-label': title},
      h('form', {method: 'dialog'},
        h('h2', null, title),
        h('p', null, text),
        h('div', {class: 'buttons'},
          h('button', {value: 'no', autofocus: true}, 'Leave it'),
          h('button', {value: 'yes', class: 'danger'}, yes))));
    dialog.addEventListener('close', () => {
      resolve(dialog.returnValue === 'yes');
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
