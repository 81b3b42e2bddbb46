// Server-sent events, and coming back by itself when they stop.

const SILENT_MS = 3500;
const DEAD_MS = 15_000; // an open connection that says nothing: opened anew
const FIRST_MS = 40_000; // the first answer may take longer: it brings the history
const RETRY_MS = [500, 1000, 2000, 4000];
const REFUSED = {
  401: "The monitor does not know this browser (any more): open the newest link that it has printed.",
  421: "The monitor is not known under this address: start it with --allow-host.",
  503: "Too many pages are open: close some.",
};

export class Feed {
  // on: {history(document), snapshot(document), contact(up, silentSeconds)}
  constructor(on) {
    this.on = on;
    this.query = new URLSearchParams();
    this.tries = 0;
    this.heard = performance.now();
    this.quiet = false; // nothing more is to come: a replay that stands, or a run that is over
    this.last = "";
    setInterval(() => this.#look(), 500);
  }

  // Opens, or opens anew with other parameters: the server keeps nothing between two openings. It
  // is told the last that came, and goes on from there.
  open(parameters = {}) {
    this.query = new URLSearchParams(parameters);
    clearTimeout(this.again);
    this.source?.close();
    const asked = new URLSearchParams(this.query);
    if (this.last) asked.set("last", this.last);
    const query = asked.toString();
    const source = new EventSource(query ? `events?${query}` : "events");
    this.source = source;
    this.fresh = true;
    this.heard = performance.now();
    source.addEventListener("open", () => this.#opened(source));
    source.addEventListener("history", (event) => this.#take(source, event, "history"));
    source.addEventListener("snapshot", (event) => this.#take(source, event, "snapshot"));
    source.addEventListener("error", () => this.#lost(source));
  }

  #opened(source) {
    if (source !== this.source) return;
    this.heard = performance.now();
    this.broken = false;
    this.reason = "";
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
    if (kind === "snapshot") {
      this.last = event.lastEventId;
      this.quiet = document.mode === "ended" || (document.replay ? !document.replay.playing : false);
    }
    this.on[kind](document);
  }

  // The stream itself does not say why it is refused.
  async #ask(source) {
    try {
      const answer = await fetch("events", { method: "HEAD" });
      if (source === this.source && this.broken) this.reason = REFUSED[answer.status] ?? "";
    } catch {
      if (source === this.source) this.reason = ""; // nobody answers
    }
  }

  // The browser's own retry gives up for good on some answers, and a hidden tab's may sleep.
  #lost(source) {
    if (source !== this.source) return;
    this.broken = true;
    source.close();
    this.#ask(source);
    clearTimeout(this.again);
    const wait = RETRY_MS[Math.min(this.tries, RETRY_MS.length - 1)];
    this.tries += 1;
    this.again = setTimeout(() => this.#reopen(), wait);
  }

  #reopen() {
    const heard = this.heard;
    const { reason } = this;
    this.open(this.on.resume(Object.fromEntries(this.query)));
    this.heard = heard;
    this.broken = true;
    this.reason = reason;
  }

  #look() {
    const silent = performance.now() - this.heard;
    const up = !this.broken && (this.quiet || silent < SILENT_MS);
    this.on.contact(up, silent / 1000, this.reason ?? "");
    // Open but dead, as behind a proxy that lost its other side.
    const patience = this.fresh ? FIRST_MS : DEAD_MS;
    if (!this.quiet && !this.broken && silent > patience) this.#lost(this.source);
  }
}
