// Workers, Redis, load, errors and thresholds.

import { byId, make, reconcile, setState, setText, show, table } from "./dom.js";
import { bytes, clock, count, duration, rate, share, short } from "./format.js";

export const WORKER_ROWS = 40;
const ERROR_ROWS = 30;

const WORDS = {
  lost: "lost: dead or silent",
  gone: "stopped or silent",
  seen: "seen",
  alive: "alive",
  unknown: "unknown",
};

function facts(holder, rows) {
  reconcile(
    holder,
    rows,
    ([title]) => title,
    ([title]) => make("div", { children: [make("dt", { text: title }), make("dd")] }),
    (node, [, text, state]) => {
      setText(node.lastElementChild, text);
      setState(node, "state", state ?? null);
    },
  );
}

export class Workers {
  #filter = "";

  constructor() {
    this.rows = table(byId("workers"), "Workers", [
      { title: "worker", head: true, cell: (each) => short(each.name, 32), full: (each) => each.title },
      { title: "state", cell: (each) => WORDS[each.state] ?? each.state },
      { title: "last seen", cell: (each) => (each.lastSeen === null ? "–" : `${duration(each.lastSeen)} ago`), numeric: true },
      {
        title: "holds",
        cell: (each) => count(each.inFlight) + (each.inFlightAge > 5 ? ` (${duration(each.inFlightAge)} old)` : ""),
        numeric: true,
      },
      { title: "CPU", cell: (each) => share(each.cpu), numeric: true },
      { title: "memory", cell: (each) => bytes(each.memory), numeric: true },
    ]);
    byId("worker-filter").addEventListener("input", (event) => {
      this.#filter = event.target.value.toLowerCase();
      if (this.view) this.draw(this.view);
    });
  }

  draw(view) {
    this.view = view;
    const rank = (each) => (each.state === "lost" ? 0 : each.alive ? 1 : 2);
    const matching = view.workers
      .filter((each) => each.name.toLowerCase().includes(this.#filter))
      .sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name, "en", { numeric: true }));
    const shown = matching.slice(0, WORKER_ROWS);
    show(byId("worker-filter-label"), view.workers.length > WORKER_ROWS);
    setText(byId("workers-note"), this.#note(view, matching, shown));
    show(byId("workers"), view.workers.length > 0);
    setState(byId("section-workers"), "stale", view.workersAt < view.at ? "yes" : null);
    this.rows(shown, (each) => each.key, (row, each) => setState(row, "state", each.state));
  }

  #note(view, matching, shown) {
    const unseen = view.sources.find((each) => !each.ok && ["redis", "workers"].includes(each.name));
    if (view.workers.length === 0 && unseen) return `Not known: ${unseen.detail}.`;
    if (view.workers.length === 0 && !view.redis) return "None here.";
    if (view.workers.length === 0) {
      return "No worker has been seen. One shows here once it has asked Redis for work.";
    }
    const alive = view.workers.filter((each) => each.alive).length;
    const unsure = view.workers.filter((each) => each.state === "seen").length;
    const hidden = matching.slice(shown.length);
    const left = view.totals.workers_not_shown ?? 0;
    const parts = view.workersAt < view.at
      ? [`As of ${duration(view.at - view.workersAt)} ago: ${alive} of ${view.workers.length} alive.`]
      : [`${alive} of ${view.workers.length} alive.`];
    if (unsure > 0) parts.push(`${unsure} of them may only enqueue: no job has been seen with ${unsure === 1 ? "it" : "them"} yet.`);
    if (hidden.length > 0) {
      const all = hidden.every((each) => each.alive) ? ", all alive" : "";
      parts.push(`${hidden.length} not shown${all}: filter by name.`);
    }
    if (left > 0) parts.push(`${count(left)} more exist and are not read.`);
    return parts.join(" ");
  }
}

export function drawRedis(view) {
  const { redis } = view;
  const section = byId("section-redis");
  const old = view.redisAt < view.at;
  setState(section, "stale", old ? "yes" : null);
  const source = view.sources.find((each) => each.name === "redis");
  setText(
    byId("redis-note"),
    old
      ? `Figures as of ${duration(view.at - view.redisAt)} ago.`
      : source && !source.ok
        ? `${redis && redis.ops !== null ? "" : "Not known: "}${source.detail}.`
        : (source?.detail ?? "None here."),
  );
  if (!redis) {
    facts(byId("redis"), []);
    drawSlowlog([]);
    return;
  }
  const used = redis.memoryLimit ? redis.memory / redis.memoryLimit : null;
  facts(byId("redis"), [
    ["commands", rate(redis.ops)],
    ["memory", bytes(redis.memory) + (used === null ? "" : ` of ${bytes(redis.memoryLimit)} (${share(used)})`), used > 0.9 ? "bad" : null],
    ["clients", count(redis.clients)],
    ["CPU", share(redis.cpu)],
    ["round trip", duration(redis.roundTrip)],
    ["evicted keys", count(redis.evicted), redis.evicted > 0 ? "bad" : null],
    ["slow commands", count(redis.slowCommands)],
    ["fragmentation", typeof redis.fragmentation === "number" ? redis.fragmentation.toFixed(2) : "–"],
    ["up for", duration(redis.uptime)],
    ...view.moreRedis.map((each) => [
      `server of ${short(each.name, 24)}`,
      `${rate(each.ops)}, ${bytes(each.memory)}, ${duration(each.roundTrip)}`,
    ]),
  ]);
  drawSlowlog(redis.slowlog);
}

let slowRows = null;

function drawSlowlog(entries) {
  const holder = byId("slowlog");
  show(holder, entries.length > 0);
  if (entries.length === 0) return;
  slowRows ??= table(holder, "Slow log of Redis", [
    { title: "slow command", head: true, cell: (each) => short(each.command, 44), full: (each) => each.command },
    { title: "took", cell: (each) => duration(each.duration_s), numeric: true },
    { title: "at", cell: (each) => clock(each.at_s), numeric: true },
  ]);
  slowRows(entries.slice(0, 8), (each) => `${each.at_s} ${each.command} ${each.duration_s}`);
}

export function drawLoad(view) {
  const { load } = view;
  show(byId("section-load"), load !== null);
  if (!load) return;
  const behind = load.offered > 0 && load.achieved < load.offered * 0.95;
  const source = view.sources.find((each) => each.name === "load");
  setState(byId("section-load"), "stale", view.down.has("load") ? "yes" : null);
  setText(byId("load-note"), load.phase ? `Phase: ${load.phase}` : (source?.detail ?? ""));
  facts(byId("load"), [
    ["offered", rate(load.offered)],
    ["achieved", rate(load.achieved), behind ? "bad" : null],
    ["generator lag P99", duration(load.lag), load.lag > 0.01 ? "bad" : null],
    ["sent", count(load.sent)],
    ["dropped", count(load.dropped), load.dropped > 0 ? "bad" : null],
    ...(typeof load.errors === "number" ? [["errors", count(load.errors), load.errors > 0 ? "bad" : null]] : []),
    ...(load.left === null || load.left === undefined ? [] : [["time left", duration(load.left)]]),
  ]);
}

let errorRows = null;

export function drawErrors(view) {
  const errors = view.errors;
  setText(
    byId("errors-note"),
    !view.recorder && errors.length === 0
      ? "Needs the recorder: without it only dead letters are counted."
      : errors.length === 0
        ? "None seen."
        : errors.length > ERROR_ROWS
          ? `${errors.length - ERROR_ROWS} rarer types not shown.`
          : "",
  );
  show(byId("errors"), errors.length > 0);
  if (errors.length === 0) return;
  errorRows ??= table(byId("errors"), "Errors by type", [
    { title: "type", head: true, cell: (each) => short(each.type, 40), full: (each) => each.type },
    { title: "queue", cell: (each) => short(each.queue, 24), full: (each) => each.queue },
    { title: "actor", cell: (each) => short(each.actor, 24), full: (each) => each.actor },
    { title: "count", cell: (each) => count(each.count), numeric: true },
    { title: "last", cell: (each) => (each.last === null ? "–" : clock(each.last)), numeric: true },
  ]);
  errorRows(errors.slice(0, ERROR_ROWS), (each) => `${each.queue}\n${each.actor}\n${each.type}`);
}

const STATES = { pass: "holds", fail: "FAILS", unsure: "not yet known" };

export function drawThresholds(view) {
  show(byId("section-thresholds"), view.thresholds.length > 0);
  reconcile(
    byId("thresholds"),
    view.thresholds,
    (each) => each.key,
    (each) =>
      make("li", {
        attributes: { class: "chip" },
        children: [make("strong"), make("span", { text: each.name })],
      }),
    (node, each) => {
      setState(node, "state", each.state);
      setText(node.firstElementChild, each.note || (STATES[each.state] ?? each.state));
      setText(node.lastElementChild, each.observed === null ? each.name : `${each.name}: now ${each.observed}`);
    },
  );
}
