// Charts of the history: a picture, a sentence that says the same, and a table on demand.
/* global uPlot */

import { make, setText, show } from "./dom.js";
import { clock, short } from "./format.js";

const TOKENS = ["blue", "orange", "green", "vermilion", "sky", "pink", "olive", "grey"];
const KNOWN = { payments: "blue", notifications: "orange", webhooks: "green" };
const HEIGHT = 190;
const ROWS = 12;
const SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3]];

const css = (token) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--pk-${token}`).trim();

// A queue keeps its colour in every chart, and for as long as the page is open. The colour used
// least goes to the next one; where colours repeat the dash differs.
export class Colours {
  #given = new Map();
  #uses = new Map(TOKENS.map((token) => [token, 0]));

  of(name) {
    if (!this.#given.has(name)) {
      // Those of the sample's queues go last to others.
      const order = [...this.#uses].sort((a, b) => a[1] - b[1] || reserved(a[0]) - reserved(b[0]));
      const token = KNOWN[name] ?? order[0][0];
      const uses = this.#uses.get(token);
      this.#uses.set(token, uses + 1);
      this.#given.set(name, { token, dash: DASHES[uses % DASHES.length] });
    }
    return this.#given.get(name);
  }
}

const reserved = (token) => Number(Object.values(KNOWN).includes(token));

export class Chart {
  // spec: {title, reading, format, lines(view) -> [{key, label, token, dash}], note(view)}
  constructor(spec, holder, sync) {
    this.spec = spec;
    this.sync = sync;
    this.shape = "";
    this.words = make("p", { attributes: { class: "sentence hidden" } });
    this.plot = make("div", { attributes: { class: "plot", "aria-hidden": "true" } });
    this.rows = make("div", { attributes: { class: "scroll", tabindex: "0", role: "region", "aria-label": `${spec.title}, as a table` } });
    this.rows.hidden = true;
    this.button = make("button", {
      text: "Table",
      attributes: { type: "button", class: "quiet", "aria-expanded": "false", "aria-label": `${spec.title} as a table` },
      on: { click: () => this.#toggle() },
    });
    this.empty = make("p", { text: "Nothing to draw yet.", attributes: { class: "muted empty" } });
    this.element = make("figure", {
      attributes: { class: "chart", "data-chart": spec.name },
      children: [
        make("div", {
          attributes: { class: "bar" },
          children: [make("h3", { text: spec.title }), this.button],
        }),
        this.plot,
        this.empty,
        make("figcaption", {
          children: [this.words, make("p", { text: spec.reading, attributes: { class: "muted" } })],
        }),
        this.rows,
      ],
    });
    holder.append(this.element);
  }

  #toggle() {
    show(this.rows, this.rows.hidden);
    this.button.setAttribute("aria-expanded", String(!this.rows.hidden));
    this.#fillRows();
  }

  draw(view, history, range) {
    const lines = this.spec.lines(view);
    const columns = history.columns(
      lines.map((line) => line.key),
      range,
    );
    this.lines = lines;
    this.columns = columns;
    const drawable = columns.slice(1).some((column) => column.some((value) => value !== null));
    show(this.empty, !drawable);
    setText(this.empty, this.spec.absent?.(view) ?? "Nothing to draw yet.");
    show(this.plot, drawable);
    setText(this.words, drawable ? this.#sentence() : "");
    if (!drawable) return;
    const shape = JSON.stringify([lines, view.dark]);
    const width = Math.max(200, this.element.clientWidth - 2);
    if (shape !== this.shape) {
      this.shape = shape;
      this.uplot?.destroy();
      this.plot.replaceChildren();
      this.uplot = new uPlot(this.#options(lines, width), columns, this.plot);
    } else {
      if (this.uplot.width !== width) this.uplot.setSize({ width, height: HEIGHT });
      this.uplot.setData(columns);
    }
    // Where no pointer asks for another moment, the legend tells the newest.
    if (!(this.uplot.cursor.left >= 0)) this.uplot.setLegend({ idx: columns[0].length - 1 });
    if (!this.rows.hidden) this.#fillRows();
  }

  // Measured anew when the window changes.
  resize() {
    if (this.uplot && !this.plot.hidden) {
      this.uplot.setSize({ width: Math.max(200, this.element.clientWidth - 2), height: HEIGHT });
    }
  }

  #options(lines, width) {
    const { format } = this.spec;
    const axis = { stroke: css("muted"), grid: { stroke: css("grid"), width: 1 }, ticks: { stroke: css("grid"), width: 1 }, font: "11px system-ui, sans-serif" };
    return {
      width,
      height: HEIGHT,
      cursor: { sync: { key: this.sync }, points: { size: 6 }, drag: { x: false, y: false } },
      legend: { live: true },
      scales: {
        y: { range: (_, low, high) => [Math.min(0, low ?? 0), high > 0 ? high * 1.08 : 1] },
      },
      axes: [
        { ...axis, size: 30, incrs: SECONDS, values: (_, times, __, ___, step) => times.map((time) => clock(time).slice(0, step < 60 ? 8 : 5)), space: 70 },
        { ...axis, size: 64, ...(this.spec.steps ? { incrs: this.spec.steps } : {}), values: (_, values) => values.map((value) => (this.spec.tick ?? format)(value)) },
      ],
      series: [
        { value: (_, time) => (time === null ? "–" : clock(time)), label: "at" },
        ...lines.map((line) => ({
          label: short(line.label, 28),
          stroke: css(line.token),
          width: 1.75,
          dash: line.dash ?? [],
          points: { show: false },
          spanGaps: false,
          value: (_, value) => (value === null ? "–" : format(value)),
        })),
      ],
    };
  }

  #sentence() {
    const { format } = this.spec;
    const parts = this.lines.slice(0, 4).map((line, place) => {
      const column = this.columns[place + 1];
      const known = column.filter((value) => value !== null);
      if (known.length === 0) return `${short(line.label, 28)} unknown`;
      const now = column[column.length - 1];
      return `${short(line.label, 28)} ${now === null ? "unknown now" : format(now)} (most ${format(Math.max(...known))})`;
    });
    const rest = this.lines.length - parts.length;
    return parts.join(", ") + (rest > 0 ? `, and ${rest} more lines` : "");
  }

  #fillRows() {
    if (this.rows.hidden || !this.columns) return;
    const times = this.columns[0];
    const step = Math.max(1, Math.floor(times.length / ROWS));
    const places = [];
    for (let place = times.length - 1; place >= 0 && places.length < ROWS; place -= step) {
      places.push(place);
    }
    const head = make("tr", {
      children: ["at", ...this.lines.map((line) => line.label)].map((text) =>
        make("th", { text, attributes: { scope: "col" } }),
      ),
    });
    const body = places.map((place) =>
      make("tr", {
        children: [
          make("th", { text: clock(times[place]), attributes: { scope: "row" } }),
          ...this.lines.map((_, line) => {
            const value = this.columns[line + 1][place];
            return make("td", { text: this.spec.format(value), attributes: { class: "number" } });
          }),
        ],
      }),
    );
    this.rows.replaceChildren(
      make("table", {
        children: [
          make("caption", { text: this.spec.title, attributes: { class: "hidden" } }),
          make("thead", { children: [head] }),
          make("tbody", { children: body }),
        ],
      }),
    );
  }
}
