// Server-sent events, and coming back by itself when they stop.

const SILENT_MS = 3500;
const DEAD_MS = 15_000; // an open connection that says nothing: opened anew
const FIRST_MS = 40_000; // the first answer may take longer: it brings the history
const RETRY_MS = [500, 1000, 2000, 4000];

export class Feed {
  // on: {history(document), snapshot(document), contact(up, silentSeconds)}
  constructor(on) {
    this.on = on;
    this.query = new URLSearchParams();
    this.tries = 0;
    this.heard = performance.now();
    this.paused = false;
    setInterval(() => this.#look(), 500);
  }

  // Opens, or opens anew with other parameters: the server keeps nothing between two openings.
  open(parameters = {}) {
    this.query = new URLSearchParams(parameters);
    this.paused = this.query.has("paused");
    clearTimeout(this.again);
    this.source?.close();
    const query = this.query.toString();
    const source = new EventSource(query ? `events?${query}` : "events");
    this.source = source;
    this.fresh = true;
    this.heard = performance.now();
    source.addEventListener("history", (event) => this.#take(source, event, "history"));
    source.addEventListener("snapshot", (event) => this.#take(source, event, "snapshot"));
    source.addEventListener("error", () => this.#lost(source));
  }

  #take(source, event, kind) {
    if (source !== this.source) return;
    let document;
    try {
      document = JSON.parse(event.data);
    } catch {
      return; // half a line of a server that died: the next opening sends it whole
    }
    this.heard = performance.now();
    this.tries = 0;
    this.fresh = false;
    this.broken = false;
    this.on[kind](document);
  }

  // The browser's own retry gives up for good on some answers, and a hidden tab's may sleep.
  #lost(source) {
    if (source !== this.source) return;
    this.broken = true;
    source.close();
    clearTimeout(this.again);
    const wait = RETRY_MS[Math.min(this.tries, RETRY_MS.length - 1)];
    this.tries += 1;
    this.again = setTimeout(() => this.#reopen(), wait);
  }

  #reopen() {
    const heard = this.heard;
    this.open(this.on.resume(Object.fromEntries(this.query)));
    this.heard = heard;
    this.broken = true;
  }

  #look() {
    const silent = performance.now() - this.heard;
    const up = !this.broken && (this.paused || silent < SILENT_MS);
    this.on.contact(up, silent / 1000);
    // Open but dead, as behind a proxy that lost its other side.
    const patience = this.fresh ? FIRST_MS : DEAD_MS;
    if (!this.paused && !this.broken && silent > patience) this.#lost(this.source);
  }
}
