// Slow jobs, and one job's timeline in a dialog.

import { byId, make, reconcile, setText, show, svg, table } from "./dom.js";
import { clock, duration, short } from "./format.js";

const ROWS = 20;
const STEPS = [
  ["enqueued_ns", "fetched_ns", "waits in Redis", "blue"],
  ["fetched_ns", "started_ns", "waits in the worker", "orange"],
  ["started_ns", "finished_ns", "runs", "green"],
  ["finished_ns", "acked_ns", "until acknowledged", "grey"],
];

export class SlowJobs {
  #rows = null;

  constructor() {
    this.dialog = byId("job");
    byId("job-close").addEventListener("click", () => this.dialog.close());
  }

  draw(view) {
    const jobs = view.slowJobs.slice(0, ROWS);
    setText(
      byId("slow-note"),
      jobs.length > 0
        ? "The slowest of the last minutes. Choose one to see where its time went."
        : view.recorder
          ? "None yet."
          : "Needs the recorder: start the workers with it, and single jobs show here.",
    );
    show(byId("slow"), jobs.length > 0);
    if (jobs.length === 0 && !this.#rows) return;
    this.#rows ??= table(byId("slow"), "Slow jobs", [
      {
        title: "job",
        head: true,
        node: () => {
          const button = make("button", { attributes: { type: "button", class: "link" } });
          button.addEventListener("click", () => this.open(button.job));
          return button;
        },
        update: (button, job) => {
          button.job = job;
          setText(button, short(job.id, 18));
        },
        full: (job) => job.id,
      },
      { title: "queue", cell: (job) => short(job.queue, 24), full: (job) => job.queue },
      { title: "actor", cell: (job) => short(job.actor, 24), full: (job) => job.actor },
      { title: "latency", cell: (job) => duration(job.latency_s), numeric: true },
      { title: "wait", cell: (job) => duration(job.wait_s), numeric: true },
      { title: "run", cell: (job) => duration(job.run_s), numeric: true },
      { title: "outcome", cell: (job) => job.outcome },
    ]);
    this.#rows(jobs, (job) => `${job.id} ${job.at_s}`);
  }

  async open(job) {
    const body = byId("job-body");
    this.asked = job; // an answer that comes after another job was chosen is dropped
    setText(byId("job-title"), `Job ${job.id}`);
    body.replaceChildren(make("p", { text: "Reading its records" }));
    this.dialog.showModal();
    try {
      const answer = await fetch(`jobs/${encodeURIComponent(job.id)}`);
      const found = await answer.json();
      if (!answer.ok) throw new Error([found.error, found.mend].filter(Boolean).join("; "));
      if (this.asked === job) body.replaceChildren(...timeline(found));
    } catch (error) {
      if (this.asked !== job) return;
      body.replaceChildren(
        make("p", { text: `No timeline: ${error.message || "the monitor does not answer"}`, attributes: { class: "trouble" } }),
      );
    }
  }
}

function timeline(job) {
  const stamps = job.attempts
    .flatMap((attempt) => STEPS.flatMap(([from, to]) => [attempt[from], attempt[to]]))
    .filter((stamp) => typeof stamp === "number");
  const first = Math.min(...stamps);
  const length = stamps.length > 0 ? Math.max(1, Math.max(...stamps) - first) : 1;
  const rows = job.attempts.map((attempt, place) => bars(attempt, place, first, length));
  const picture = svg(
    "svg",
    { viewBox: `0 0 600 ${job.attempts.length * 26 + 4}`, role: "img", "aria-label": `Where the time of job ${job.id} went; the table below says the same.` },
    rows.flat(),
  );
  // Stamps are of a monotonic clock; the answer says what time it was at one of them.
  const epoch = job.clock ? job.clock.wall_ns - job.clock.mono_ns : 0;
  const columns = ["attempt", "worker", ...STEPS.map((step) => step[2]), "outcome", "started"];
  const body = job.attempts.map((attempt) =>
    make("tr", {
      children: [
        make("th", { text: String((attempt.attempt ?? 0) + 1), attributes: { scope: "row" } }),
        make("td", { text: short(attempt.worker ?? "–", 24) }),
        ...STEPS.map(([from, to]) =>
          make("td", { text: between(attempt[from], attempt[to]), attributes: { class: "number" } }),
        ),
        make("td", { text: [attempt.outcome, attempt.error].filter(Boolean).join(": ") || "–" }),
        make("td", { text: clock(((attempt.started_ns ?? NaN) + epoch) / 1e9) }),
      ],
    }),
  );
  const legend = make("ul", { attributes: { class: "legend" } });
  reconcile(legend, STEPS, (step) => step[2], (step) =>
    make("li", {
      children: [make("span", { attributes: { class: "swatch", "data-token": step[3] } }), step[2]],
    }), () => {});
  return [
    make("p", { text: `${job.actor} on ${job.queue}: ${duration(length / 1e9)} in all, ${job.attempts.length} ${job.attempts.length === 1 ? "attempt" : "attempts"}.` }),
    picture,
    legend,
    make("div", {
      attributes: { class: "scroll", tabindex: "0", role: "region", "aria-label": "Attempts" },
      children: [
        make("table", {
          children: [
            make("caption", { text: "Attempts of this job", attributes: { class: "hidden" } }),
            make("thead", {
              children: [make("tr", { children: columns.map((text) => make("th", { text, attributes: { scope: "col", ...(STEPS.some((step) => step[2] === text) ? { class: "number" } : {}) } })) })],
            }),
            make("tbody", { children: body }),
          ],
        }),
      ],
    }),
  ];
}

function bars(attempt, place, first, length) {
  return STEPS.filter(([from, to]) => typeof attempt[from] === "number" && typeof attempt[to] === "number").map(
    ([from, to, , token]) =>
      svg("rect", {
        x: ((attempt[from] - first) / length) * 596 + 2,
        y: place * 26 + 4,
        width: Math.max(1, ((attempt[to] - attempt[from]) / length) * 596),
        height: 18,
        "data-token": token,
      }),
  );
}

function between(from, to) {
  return typeof from === "number" && typeof to === "number" ? duration((to - from) / 1e9) : "–";
}
