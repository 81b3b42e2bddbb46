// Elements. Every text from outside enters by textContent; nothing here parses markup.

import { clean } from "./format.js";

export const byId = (id) => document.getElementById(id);

export function make(tag, { text, attributes, children, on } = {}) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = clean(text);
  for (const [name, value] of Object.entries(attributes ?? {})) node.setAttribute(name, value);
  for (const child of children ?? []) node.append(child);
  for (const [event, handler] of Object.entries(on ?? {})) node.addEventListener(event, handler);
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(tag, attributes = {}, children = []) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  for (const child of children) node.append(child);
  return node;
}

// Touches the document only where something changed: 200 rows a second stay cheap.
export function setText(node, text) {
  const plain = clean(text);
  if (node.textContent !== plain) node.textContent = plain;
}

export function setState(node, name, value) {
  if (value === null || value === undefined) {
    if (node.dataset[name] !== undefined) delete node.dataset[name];
  } else if (node.dataset[name] !== value) node.dataset[name] = value;
}

export function show(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}

// Keeps one child per key, in the order of `items`; `create` once, `update` each time.
export function reconcile(parent, items, keyOf, create, update) {
  const kept = (parent.kept ??= new Map());
  const wanted = new Set();
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    if (wanted.has(key)) continue;
    wanted.add(key);
    let node = kept.get(key);
    if (!node) {
      node = create(item);
      kept.set(key, node);
    }
    update(node, item);
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
  }
  for (const [key, node] of kept) {
    if (!wanted.has(key)) {
      node.remove();
      kept.delete(key);
    }
  }
}

// A table whose rows are kept by key. columns: [{title, cell(item), numeric, head}]
export function table(holder, caption, columns) {
  const head = make("tr", {
    children: columns.map((column) =>
      make("th", {
        text: column.title,
        attributes: { scope: "col", ...(column.numeric ? { class: "number" } : {}) },
      }),
    ),
  });
  const body = make("tbody");
  holder.replaceChildren(
    make("table", {
      children: [
        make("caption", { text: caption, attributes: { class: "hidden" } }),
        make("thead", { children: [head] }),
        body,
      ],
    }),
  );
  const create = () =>
    make("tr", {
      children: columns.map((column) =>
        make(column.head ? "th" : "td", {
          attributes: {
            ...(column.numeric ? { class: "number" } : {}),
            ...(column.head ? { scope: "row" } : {}),
          },
        }),
      ),
    });
  return (items, keyOf, adorn = () => {}) =>
    reconcile(body, items, keyOf, create, (row, item) => {
      columns.forEach((column, place) => {
        const cell = row.children[place];
        if (column.node) {
          if (!cell.firstElementChild) cell.append(column.node());
          column.update(cell.firstElementChild, item);
        } else {
          setText(cell, column.cell(item));
        }
        if (column.full) {
          const full = column.full(item);
          if (cell.title !== full) cell.title = full;
        }
      });
      adorn(row, item);
    });
}
