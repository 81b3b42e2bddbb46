// A card per queue; those that do not fit become rows of a table.

import { byId, make, reconcile, setState, setText, show, svg, table } from "./dom.js";
import { count, duration, rate, short } from "./format.js";

export const CARDS = 12;
export const ROWS = 200;
const TREND = 60;

const trouble = (queue) =>
  (queue.stalled > 0 || queue.standing || queue.problem ? 1e12 : 0) + (queue.oldestAge ?? 0) * 1e3 + (queue.waiting ?? 0) / 1e6;

// Which queues get a card. Choosing anew each second would make them jump: chosen again when a
// queue appears or goes, or starts or stops to be stalled, and else every ten seconds.
export class Chosen {
  #names = [];
  #shape = "";
  #at = -Infinity;

  of(view) {
    const shape = view.queues.map((queue) => `${queue.name} ${queue.stalled > 0 || queue.standing}`).join("\n");
    if (shape !== this.#shape || view.at - this.#at > 10 || view.at < this.#at) {
      this.#shape = shape;
      this.#at = view.at;
      this.#names = [...view.queues]
        .sort((a, b) => trouble(b) - trouble(a) || a.name.localeCompare(b.name))
        .slice(0, CARDS)
        .map((queue) => queue.name)
        .sort((a, b) => a.localeCompare(b));
    }
    return this.#names;
  }
}

const FACTS = [
  ["waiting", "waiting", (queue) => count(queue.waiting)],
  ["oldest", "age", (queue) => duration(queue.oldestAge)],
  ["in flight", "flight", (queue) => count(queue.inFlight)],
  ["stalled", "stalled", (queue) => count(queue.stalled)],
  ["dead", "dead", (queue) => count(queue.dead)],
  ["delayed", "delayed", (queue) => count(queue.delayed)],
  ["in", "in", (queue) => rate(queue.rateIn)],
  ["out", "out", (queue) => rate(queue.rateOut)],
  ["wait P95", "wait", (queue) => duration(queue.waitP95)],
  ["run P95", "run", (queue) => duration(queue.runP95)],
];

// What a queue is doing, in one word and a reason.
export function standing(queue) {
  if (queue.stale) return [queue.over ? "old" : "broken", `as of ${duration(queue.age)} ago`];
  if (queue.stalled > 0) {
    return ["stalled", `Stalled: ${count(queue.stalled)} ${queue.stalled === 1 ? "job is" : "jobs are"} held by a dead or silent worker`];
  }
  if (queue.problem) return ["broken", queue.problem];
  if (queue.standing) return ["stalled", `Stalled: ${count(queue.waiting)} wait and none is fetched`];
  if (queue.waiting === null) return ["unknown", "Unknown"];
  if (queue.waiting === 0 && !queue.inFlight && !(queue.rateOut > 0)) return ["idle", "Idle"];
  if (queue.growing) return ["growing", "Backlog grows"];
  return ["busy", "Working"];
}

function create(queue) {
  const facts = FACTS.map(([title, key]) =>
    make("div", {
      attributes: { "data-fact": key },
      children: [make("dt", { text: title }), make("dd", { text: "–" })],
    }),
  );
  const line = svg("polyline", { fill: "none", "stroke-width": "1.5", "vector-effect": "non-scaling-stroke" });
  const card = make("li", {
    attributes: { class: "card", "data-queue": queue.name },
    children: [
      make("h3", { text: short(queue.name, 40), attributes: { title: queue.name } }),
      make("p", { attributes: { class: "standing" } }),
      make("dl", { children: facts }),
      make("div", {
        attributes: { class: "trend" },
        children: [
          svg("svg", { viewBox: `0 0 ${TREND} 20`, preserveAspectRatio: "none", "aria-hidden": "true" }, [line]),
          make("span", { attributes: { class: "muted" } }),
        ],
      }),
    ],
  });
  card.line = line;
  return card;
}

function drawTrend(card, values) {
  const most = Math.max(1, ...values.filter((value) => value !== null));
  const points = values
    .map((value, place) => (value === null ? null : `${place + TREND - values.length},${(19 - (value / most) * 18).toFixed(1)}`))
    .filter((point) => point !== null);
  card.line.setAttribute("points", points.join(" "));
}

function trendWords(values) {
  const known = values.filter((value) => value !== null);
  if (known.length < 10) return "backlog, last minute";
  const third = Math.ceil(known.length / 3);
  const mean = (some) => some.reduce((a, b) => a + b, 0) / some.length;
  const change = mean(known.slice(-third)) - mean(known.slice(0, third));
  if (Math.abs(change) < Math.max(2, mean(known) * 0.1)) return "backlog steady over a minute";
  return change > 0 ? "backlog rising over a minute" : "backlog falling over a minute";
}

export class Queues {
  #chosen = new Chosen();
  #filter = "";
  #rows = null;

  constructor() {
    byId("queue-filter").addEventListener("input", (event) => {
      this.#filter = event.target.value.toLowerCase();
      if (this.view) this.draw(this.view, this.history);
    });
  }

  // Also says which queues the charts draw.
  names(view) {
    return this.#chosen.of(view);
  }

  draw(view, history) {
    this.view = view;
    this.history = history;
    const matching = view.queues.filter((queue) => queue.name.toLowerCase().includes(this.#filter));
    const names = this.#filter
      ? new Set(matching.slice(0, CARDS).map((queue) => queue.name))
      : new Set(this.#chosen.of(view));
    const cards = matching
      .filter((queue) => names.has(queue.name))
      .sort((a, b) => a.name.localeCompare(b.name));
    const rest = matching.filter((queue) => !names.has(queue.name));
    show(byId("queue-filter-label"), view.queues.length > CARDS);
    setText(byId("queues-note"), this.#note(view, cards, rest));
    reconcile(byId("queues"), cards, (queue) => queue.name, create, (card, queue) => {
      const [state, words] = standing(queue);
      setState(card, "state", state);
      setState(card, "stale", queue.stale ? "yes" : null);
      setText(card.children[1], words);
      FACTS.forEach(([, , format], place) =>
        setText(card.children[2].children[place].lastElementChild, format(queue)),
      );
      const values = history.tail(`queues/${queue.name}/waiting`, TREND);
      drawTrend(card, values);
      setText(card.lastElementChild.lastElementChild, trendWords(values));
    });
    this.#drawRest(rest);
  }

  #note(view, cards, rest) {
    const scan = view.scan && !view.scan.complete
      ? `Looking for queues: ${count(view.scan.done)}${view.scan.total ? ` of ${count(view.scan.total)}` : ""} keys read. `
      : "";
    return scan + this.#known(view, cards, rest);
  }

  #known(view, cards, rest) {
    if (view.queues.length === 0) return view.queuesAbsent;
    if (rest.length === 0) return cards.length === view.queues.length ? "" : `${cards.length} of ${view.queues.length} match.`;
    const left = view.totals.queues_not_shown ?? 0;
    const hidden = rest.length > ROWS ? `, ${rest.length - ROWS} not shown: filter by name` : "";
    return `${cards.length} queues with most trouble as cards, ${rest.length} more in the table below${hidden}.${left > 0 ? ` ${count(left)} more are not read at all: name those you want with --queue.` : ""}`;
  }

  #drawRest(rest) {
    show(byId("queues-rest"), rest.length > 0);
    if (rest.length === 0 && !this.#rows) return;
    this.#rows ??= table(byId("queues-rest"), "The other queues", [
      { title: "queue", head: true, cell: (queue) => short(queue.name, 40), full: (queue) => queue.name },
      { title: "state", cell: (queue) => standing(queue)[0] },
      ...FACTS.map(([title, , format]) => ({ title, cell: format, numeric: true })),
    ]);
    this.#rows(rest.slice(0, ROWS), (queue) => queue.name, (row, queue) =>
      setState(row, "state", standing(queue)[0]),
    );
  }
}
