// From the server's snapshot to what the page shows: the only place that knows the field names.
// Where a server of Redis is silent the last known figures of its queues stay, marked `stale` with
// their age; those of other servers go on.

import { bytes, count, duration, rate, share } from "./format.js";

const KINDS = { duration, share, rate, count, bytes };

const NAMES = {
  redis: "Redis",
  workers: "Workers",
  recorder: "The recorder",
  load: "The load generator",
  processes: "Process figures",
};

export class Model {
  #queues = new Map(); // name -> {queue, at}: the last that was known
  #workers = null; // {workers, at}
  #redis = null; // {redis, at}
  #subject = null;

  // True where the snapshot is of something else than the one before.
  changes(snapshot) {
    const changed = this.#subject !== null && snapshot.subject !== this.#subject;
    this.#subject = snapshot.subject;
    return changed;
  }

  forget() {
    this.#queues.clear();
    this.#workers = null;
    this.#redis = null;
  }

  view(snapshot) {
    const sources = Object.entries(snapshot.sources ?? {}).map(([name, source]) => ({
      name,
      title: NAMES[name] ?? name,
      ok: source.ok,
      detail: source.detail,
      since: source.since_s,
      age: source.age_s,
    }));
    const down = new Set(sources.filter((source) => !source.ok).map((source) => source.name));
    const at = snapshot.at_s;
    const redis = this.#server(snapshot, down, at);
    const workers = this.#crew(snapshot, down, at);
    const totals = snapshot.totals ?? {};
    // A run that measures somebody else's server: its load is all there is.
    const bare = !snapshot.redis && !sources.some((source) => source.name === "redis") && !snapshot.queues?.length;
    return {
      bare,
      mode: snapshot.mode,
      subject: snapshot.subject,
      sources,
      down,
      recorder: sources.some((source) => source.name === "recorder" && source.ok),
      totals,
      at,
      queues: this.#lines(snapshot, down, at),
      workers: workers.workers,
      workersAt: workers.at, // of what is shown: older than now where it can't be known
      redis: redis.redis,
      redisAt: redis.at,
      producers: (snapshot.workers ?? []).filter((each) => each.role === "producer").length,
      moreRedis: (snapshot.more_redis ?? []).map(redisOf),
      load: snapshot.load ? loadOf(snapshot.load) : null,
      errors: (snapshot.errors ?? []).map((each) => ({ ...each, last: each.last_s })),
      slowJobs: snapshot.slow_jobs ?? [],
      thresholds: (snapshot.thresholds ?? []).map(thresholdOf),
      scan: snapshot.scan ? { ...snapshot.scan, complete: snapshot.scan.rounds > 0 } : null,
      replay: snapshot.replay,
      queuesAbsent: down.has("redis")
        ? "Redis does not answer, and this page has seen no figures of it before."
        : bare
          ? "No Redis is watched here: this run measures a server that it did not start."
          : "No queue found yet. A queue shows here once a job was put into it.",
    };
  }

  #lines(snapshot, down, at) {
    const fresh = (snapshot.queues ?? []).map(queueOf);
    if (!down.has("redis")) {
      this.#queues = new Map(fresh.map((queue) => [queue.name, { queue, at }]));
      return fresh;
    }
    const over = snapshot.mode === "ended" || snapshot.mode === "waiting";
    const shown = new Map(fresh.map((queue) => [queue.name, queue]));
    for (const [name, known] of this.#queues) {
      const queue = shown.get(name);
      if (!queue || queue.waiting === null) {
        shown.set(name, { ...known.queue, stale: true, over, age: at - known.at });
      }
    }
    for (const queue of fresh.filter((each) => each.waiting !== null)) {
      this.#queues.set(queue.name, { queue, at });
    }
    return [...shown.values()];
  }

  #crew(snapshot, down, at) {
    const workers = (snapshot.workers ?? []).filter((each) => each.role !== "producer").map(workerOf);
    const unseen = down.has("redis") || down.has("workers");
    if (unseen && workers.length === 0 && this.#workers) {
      const old = this.#workers.workers.map((each) => ({ ...each, stale: true, state: "unknown" }));
      return { workers: old, at: this.#workers.at };
    }
    if (!unseen) this.#workers = { workers, at };
    return { workers, at };
  }

  #server(snapshot, down, at) {
    const redis = snapshot.redis ? redisOf(snapshot.redis) : null;
    if (down.has("redis") && !(redis && redis.ops !== null) && this.#redis) return this.#redis;
    if (redis && redis.ops !== null) this.#redis = { redis, at };
    return { redis, at };
  }
}

function queueOf(queue) {
  const made = {
    name: queue.name,
    waiting: queue.waiting,
    inFlight: queue.in_flight,
    delayed: queue.delayed,
    dead: queue.dead,
    stalled: queue.stalled,
    oldestAge: queue.oldest_age_s,
    rateIn: queue.rate_in,
    rateOut: queue.rate_out,
    rateFailed: queue.errors_rate,
    netRate: queue.net_rate,
    waitP95: queue.wait_p95_s,
    runP95: queue.run_p95_s,
    problem: queue.problem,
    stale: false,
    over: false,
    age: null,
  };
  // Jobs wait, nobody holds one, and the oldest has waited for seconds: nobody fetches.
  made.standing =
    queue.waiting > 0 && queue.in_flight === 0 && queue.oldest_age_s > 2 && !(queue.rate_out > 0);
  made.growing = queue.net_rate > Math.max(1, 0.05 * (queue.rate_in ?? 0));
  return made;
}

function workerOf(worker) {
  return {
    key: worker.broker_id || worker.name,
    name: worker.name,
    title: `${worker.name}\nbroker ${worker.broker_id}${worker.pid ? `\nprocess ${worker.pid}` : ""}`,
    alive: worker.alive,
    state: worker.alive ? (worker.role === "worker" ? "alive" : "seen") : worker.lost ? "lost" : "gone",
    lastSeen: worker.last_seen_s,
    inFlight: worker.in_flight,
    inFlightAge: worker.in_flight_age_s,
    cpu: worker.cpu,
    memory: worker.rss_bytes,
    stale: false,
  };
}

function redisOf(redis) {
  return {
    name: redis.name,
    ops: redis.ops,
    memory: redis.memory_used_bytes,
    memoryLimit: redis.memory_max_bytes,
    clients: redis.clients,
    cpu: redis.cpu,
    roundTrip: redis.round_trip_s,
    evicted: redis.evicted,
    rejected: redis.rejected_connections,
    fragmentation: redis.fragmentation,
    uptime: redis.uptime_s,
    slowCommands: redis.slow_commands,
    slowlog: redis.slowlog ?? [],
  };
}

function loadOf(load) {
  return {
    phase: load.phase,
    offered: load.offered,
    achieved: load.achieved,
    lag: load.lag_p99_s,
    sent: load.sent,
    dropped: load.dropped,
    errors: load.errors,
    elapsed: load.elapsed_s,
    left: load.left_s,
  };
}

function thresholdOf(each) {
  const format = KINDS[each.unit] ?? count;
  return {
    key: `${each.name}\n${each.queue ?? ""}`,
    name: each.name, // it says of which queue
    state: each.state,
    note: each.note,
    observed: each.observed === null ? null : format(each.observed),
  };
}
