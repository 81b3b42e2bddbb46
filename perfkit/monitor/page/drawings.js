// The charts of this page, and which figures of a snapshot they keep. Series are named as the
// server's history names them: `queues/<queue>/<field>`, `totals/<field>`, `redis/<field>`, ...

import { bytes, count, duration, rate } from "./format.js";

export const LINES = 8;

const PER_QUEUE = [
  "waiting",
  "oldest_age_s",
  "rate_in",
  "rate_out",
  "errors_rate",
  "wait_p95_s",
  "run_p95_s",
];
const TOTALS = ["waiting", "in_flight", "stalled", "rate_in", "rate_out"];
const REDIS = ["ops", "memory_used_bytes", "memory_max_bytes", "cpu", "round_trip_s"];
const LOAD = ["offered", "achieved", "lag_p99_s"];

// Figures that flow keep their mean when history thins; all others keep their worst.
const FLOWS = new Set(["rate_in", "rate_out", "errors_rate", "ops", "cpu", "offered", "achieved"]);
export const flows = (name) => FLOWS.has(name.slice(name.lastIndexOf("/") + 1));

// name -> number or null, for History.push; nothing of a source that is silent.
export function figures(snapshot) {
  const values = new Map();
  const put = (group, source, fields) => {
    if (source) for (const field of fields) values.set(`${group}/${field}`, source[field] ?? null);
  };
  for (const queue of snapshot.queues ?? []) put(`queues/${queue.name}`, queue, PER_QUEUE);
  put("totals", snapshot.totals, TOTALS);
  put("redis", snapshot.redis, REDIS);
  put("load", snapshot.load, LOAD);
  const cores = (snapshot.workers ?? []).map((each) => each.cpu).filter((cpu) => cpu !== null);
  values.set("totals/cpu", cores.length ? cores.reduce((a, b) => a + b, 0) : null);
  return values;
}

// The queues that have cards are drawn, at most LINES: else the picture is unreadable.
function perQueue(view, field) {
  return view.charted.map((name) => ({
    key: `queues/${name}/${field}`,
    label: name,
    ...view.colours.of(name),
  }));
}

const needsRecorder = (view) =>
  view.recorder
    ? "Nothing in this range."
    : "Needs the recorder: start the workers with it, and this fills.";

const cores = (value) => (typeof value === "number" ? `${value.toFixed(2)} cores` : "–");

// Distances between the marks of an axis: jobs are whole, and bytes are told in powers of two.
const WHOLE = Array.from({ length: 10 }, (_, power) => [1, 2, 5].map((digit) => digit * 10 ** power)).flat();
const POWERS = Array.from({ length: 45 }, (_, power) => 2 ** power);

export const SPECS = [
  {
    name: "flow",
    title: "Jobs in and out",
    reading: "Out below in for long: the backlog grows.",
    format: rate,
    lines: () => [
      { key: "totals/rate_in", label: "in", token: "blue", dash: [6, 3] },
      { key: "totals/rate_out", label: "out", token: "green" },
    ],
  },
  {
    name: "waiting",
    title: "Waiting jobs",
    reading: "Jobs in each queue that no worker has fetched.",
    format: count,
    steps: WHOLE,
    lines: (view) => perQueue(view, "waiting"),
  },
  {
    name: "age",
    title: "Age of the oldest waiting job",
    reading: "Rises by a second each second where a queue stands still.",
    format: duration,
    lines: (view) => perQueue(view, "oldest_age_s"),
  },
  {
    name: "flight",
    title: "In flight and stalled",
    reading: "Stalled: held by a worker that is dead or silent, delayed jobs included.",
    format: count,
    steps: WHOLE,
    lines: () => [
      { key: "totals/in_flight", label: "in flight", token: "blue" },
      { key: "totals/stalled", label: "stalled", token: "bad" },
    ],
  },
  {
    name: "wait",
    title: "Wait, P95",
    reading: "From enqueued to started, of jobs that ended in the last minute.",
    format: duration,
    lines: (view) => perQueue(view, "wait_p95_s"),
    absent: needsRecorder,
  },
  {
    name: "run",
    title: "Run, P95",
    reading: "From started to finished, of jobs that ended in the last minute.",
    format: duration,
    lines: (view) => perQueue(view, "run_p95_s"),
    absent: needsRecorder,
  },
  {
    name: "errors",
    title: "Failed attempts",
    reading: "Attempts that raised, per second; retries count each time.",
    format: rate,
    lines: (view) => perQueue(view, "errors_rate"),
    absent: needsRecorder,
  },
  {
    name: "cpu",
    title: "CPU of the workers",
    reading: "Cores used by all workers together.",
    format: cores,
    tick: (value) => value.toFixed(2),
    lines: () => [{ key: "totals/cpu", label: "all workers", token: "green" }],
    absent: () => "Known for workers on this machine that the recorder or a run names.",
  },
  {
    name: "ops",
    title: "Redis commands",
    reading: "Commands served per second, the monitor's own included.",
    format: rate,
    lines: () => [{ key: "redis/ops", label: "commands", token: "vermilion" }],
  },
  {
    name: "memory",
    title: "Redis memory",
    reading: "Used, and the limit where one is set: there Redis refuses or evicts.",
    format: bytes,
    steps: POWERS,
    lines: (view) => [
      { key: "redis/memory_used_bytes", label: "used", token: "vermilion" },
      ...(view.redis?.memoryLimit
        ? [{ key: "redis/memory_max_bytes", label: "limit", token: "grey", dash: [6, 3] }]
        : []),
    ],
  },
  {
    name: "trip",
    title: "Redis round trip",
    reading: "One command from the monitor, there and back.",
    format: duration,
    lines: () => [{ key: "redis/round_trip_s", label: "round trip", token: "pink" }],
  },
  {
    name: "load",
    title: "Offered and achieved load",
    reading: "Apart for long: the generator or the target does not keep up.",
    format: rate,
    only: (view) => view.load !== null,
    lines: () => [
      { key: "load/offered", label: "offered", token: "grey", dash: [6, 3] },
      { key: "load/achieved", label: "achieved", token: "blue" },
    ],
  },
];
