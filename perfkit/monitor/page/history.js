// Hours of figures in bounded memory.
//
//   newest  [ one second apart, FINE slots ]  ->  older  [ ten seconds apart, COARSE slots ]
//
// A coarse slot keeps the worst (largest) of its ten seconds, so that a spike does not vanish with
// age; for what flows (rates) it keeps the mean. At most SERIES names are kept: beyond it
// the one not seen for longest goes. Worst case: 600 x (1800 + 2160) x 4 bytes = 9.5 MB.

import { flows } from "./drawings.js";

export const FINE = 1800;
export const COARSE = 2160;
export const STEP = 10;
export const SERIES = 600;
const GAP = 5;

class Ring {
  constructor(size) {
    this.size = size;
    this.times = new Float64Array(size).fill(NaN);
    this.next = 0;
    this.length = 0;
  }

  add(time) {
    const slot = this.next;
    this.times[slot] = time;
    this.next = (slot + 1) % this.size;
    this.length = Math.min(this.size, this.length + 1);
    return slot;
  }

  // Slots from the oldest to the newest.
  *slots() {
    const first = (this.next - this.length + this.size) % this.size;
    for (let i = 0; i < this.length; i += 1) yield (first + i) % this.size;
  }
}

export class History {
  constructor() {
    this.clear();
  }

  clear() {
    this.fine = new Ring(FINE);
    this.coarse = new Ring(COARSE);
    this.series = new Map();
    this.bucket = null;
    this.last = -Infinity;
  }

  // values: name -> number or null. Time in seconds; going backwards starts anew.
  push(time, values) {
    if (time < this.last - STEP) this.clear();
    if (time <= this.last) return;
    // Where nothing was seen the line breaks; it does not bridge the silence.
    if (time - this.last > GAP && this.fine.length) this.#blank(this.last + 1);
    this.#add(time, values);
  }

  // What the server remembers: columns, oldest first. Only what is newer than our own.
  load(times, series) {
    const names = Object.keys(series);
    times.forEach((time, place) => {
      if (time <= this.last) return;
      this.#add(time, new Map(names.map((name) => [name, series[name][place]])));
    });
  }

  #add(time, values) {
    this.last = time;
    const slot = this.fine.add(time);
    for (const kept of this.series.values()) kept.fine[slot] = NaN;
    for (const [name, value] of values) {
      const kept = this.series.get(name) ?? this.#start(name);
      kept.seen = time;
      kept.fine[slot] = value ?? NaN;
    }
    this.#coarsen(time);
  }

  #blank(time) {
    this.#add(time, new Map());
  }

  #start(name) {
    if (this.series.size >= SERIES) {
      let oldest = null;
      for (const [other, kept] of this.series) {
        if (oldest === null || kept.seen < this.series.get(oldest).seen) oldest = other;
      }
      this.series.delete(oldest);
    }
    const kept = {
      fine: new Float32Array(FINE).fill(NaN),
      coarse: new Float32Array(COARSE).fill(NaN),
      mean: flows(name),
      seen: 0,
    };
    this.series.set(name, kept);
    return kept;
  }

  #coarsen(time) {
    const bucket = Math.floor(time / STEP);
    if (this.bucket === null) this.bucket = bucket;
    if (bucket === this.bucket) return;
    const slot = this.coarse.add(this.bucket * STEP);
    const within = [];
    for (const each of this.fine.slots()) {
      if (Math.floor(this.fine.times[each] / STEP) === this.bucket) within.push(each);
    }
    for (const kept of this.series.values()) {
      const known = within.map((each) => kept.fine[each]).filter((value) => !Number.isNaN(value));
      if (known.length === 0) kept.coarse[slot] = NaN;
      else if (kept.mean) kept.coarse[slot] = known.reduce((a, b) => a + b, 0) / known.length;
      else kept.coarse[slot] = Math.max(...known);
    }
    this.bucket = bucket;
  }

  // Columns for a chart: [times, values of names[0], ...] of the last `range` seconds, null = gap.
  columns(names, range) {
    const from = this.last - range;
    const kept = names.map((name) => this.series.get(name));
    const columns = [[], ...names.map(() => [])];
    const take = (ring, tier, before) => {
      for (const slot of ring.slots()) {
        const time = ring.times[slot];
        if (time < from || time >= before) continue;
        columns[0].push(time);
        kept.forEach((each, place) => {
          const value = each ? each[tier][slot] : NaN;
          columns[place + 1].push(Number.isNaN(value) ? null : value);
        });
      }
    };
    const first = this.fine.length ? this.fine.times[this.fine.slots().next().value] : Infinity;
    // The coarse slot that overlaps the oldest fine second would be drawn twice.
    if (from < first) take(this.coarse, "coarse", first - STEP);
    take(this.fine, "fine", Infinity);
    return columns;
  }

  // Queues it has lines of, for when the snapshot names none.
  queues() {
    const names = [...this.series.keys()].filter((name) => name.startsWith("queues/"));
    return [...new Set(names.map((name) => name.slice(7, name.lastIndexOf("/"))))].sort();
  }

  // Thinner still, for a small picture: the last `points` known values of one series.
  tail(name, points) {
    const kept = this.series.get(name);
    if (!kept) return [];
    const values = [];
    const have = Math.min(points, this.fine.length);
    for (let i = have; i >= 1; i -= 1) {
      const value = kept.fine[(this.fine.next - i + FINE) % FINE];
      values.push(Number.isNaN(value) ? null : value);
    }
    return values;
  }
}
