// The page: events come in, history keeps them, and at most four times a second they are drawn.

import { alarms, drawAlarms } from "./alarms.js";
import { Chart, Colours } from "./charts.js";
import { byId, setState, setText, show } from "./dom.js";
import { LINES, SPECS, figures } from "./drawings.js";
import { Feed } from "./feed.js";
import { duration } from "./format.js";
import { History } from "./history.js";
import { SlowJobs } from "./jobs.js";
import { Model } from "./model.js";
import { Workers, drawErrors, drawLoad, drawRedis, drawThresholds } from "./panels.js";
import { Queues } from "./queues.js";
import { ReplayControls } from "./replay.js";
import { isDark, startTheme } from "./theme.js";

const DRAW_MS = 250;

const model = new Model();
const history = new History();
const colours = new Colours();
const queues = new Queues();
const workers = new Workers();
const jobs = new SlowJobs();
const charts = SPECS.map((spec) => new Chart(spec, byId("charts"), "time"));
const state = { view: null, paused: false, contact: { up: true, silent: 0, reason: "" }, range: 900, drawn: 0, due: false };

const replay = new ReplayControls((parameters, moved) => {
  if (moved) {
    history.clear();
    model.forget();
  }
  feed.last = "";
  feed.open(parameters);
});

const feed = new Feed({
  history(document) {
    history.load(document.at_s ?? [], document.series ?? {});
    request();
  },
  snapshot(document) {
    if (model.changes(document)) {
      history.clear();
      model.forget();
    }
    history.push(document.at_s, figures(document));
    state.arrived = document;
    if (!state.paused) request();
  },
  contact(up, silent, reason) {
    const changed = up !== state.contact.up;
    state.contact = { up, silent, reason };
    if (changed || !up) drawContact();
    else if (state.paused) drawConnection();
  },
  resume: (parameters) => (state.view?.replay ? replay.parameters() : parameters),
});

// One drawing for all that came since the last: an accelerated feed costs no more than a slow one.
function request() {
  if (state.due) return;
  state.due = true;
  const wait = Math.max(0, DRAW_MS - (performance.now() - state.drawn));
  setTimeout(() => requestAnimationFrame(draw), wait);
}

function draw() {
  state.due = false;
  state.drawn = performance.now();
  if (!state.arrived || state.paused) return;
  const view = model.view(state.arrived);
  const names = queues.names(view);
  view.colours = colours;
  view.charted = (names.length ? names : history.queues()).slice(0, LINES);
  view.dark = isDark();
  state.view = view;
  setState(document.body, "seq", String(state.arrived.seq));
  setText(byId("subject"), view.subject || (view.mode === "waiting" ? "Nothing to look at yet" : "Redis"));
  queues.draw(view, history);
  workers.draw(view);
  drawRedis(view);
  drawLoad(view);
  drawErrors(view);
  jobs.draw(view);
  drawThresholds(view);
  for (const part of ["workers", "redis", "errors", "slow"]) show(byId(`section-${part}`), !view.bare);
  replay.draw(view.replay);
  drawCharts();
  drawContact();
}

function drawCharts() {
  const { view } = state;
  if (!view) return;
  view.dark = isDark();
  const parts = [];
  const hidden = Math.max(0, view.queues.length - view.charted.length);
  if (hidden > 0) parts.push(`Lines per queue: the ${view.charted.length} with most trouble; ${hidden} not drawn.`);
  if (state.range > 1800) parts.push("Beyond the last half hour each point is the worst of ten seconds (rates: the mean).");
  setText(byId("charts-note"), parts.join(" "));
  for (const chart of charts) {
    const wanted = chart.spec.only?.(view) ?? !view.bare;
    show(chart.element, wanted);
    if (wanted) chart.draw(view, history, state.range);
  }
}

function drawContact() {
  setState(document.body, "contact", state.contact.up ? "up" : "lost");
  drawAlarms(alarms(state.view, state.contact));
  drawConnection();
}

function drawConnection() {
  const { view, contact } = state;
  const pill = byId("connection");
  const [name, words] = !contact.up
    ? ["lost", `No contact for ${duration(Math.round(contact.silent))}`]
    : !view
      ? ["waiting", "Connecting"]
      : state.paused
        ? ["paused", `Paused, ${duration(Math.max(0, (state.arrived?.at_s ?? view.at) - view.at))} behind`]
        : view.mode === "ended"
          ? ["paused", "Ended"]
          : view.mode === "waiting"
            ? ["waiting", "Waiting"]
            : view.down.size > 0
              ? ["lost", "A source is broken"]
              : view.mode === "replay"
                ? ["replay", "Replay"]
                : ["live", "Live"];
  setState(pill, "state", name);
  setText(byId("connection-words"), words);
  document.title = name === "live" || name === "replay" ? "perfkit monitor" : `(${words}) perfkit monitor`;
}

byId("pause").addEventListener("click", () => {
  state.paused = !state.paused;
  const button = byId("pause");
  button.setAttribute("aria-pressed", String(state.paused));
  setText(button, state.paused ? "Go on" : "Pause");
  if (state.paused) drawConnection();
  else request();
});

byId("range").addEventListener("change", (event) => {
  state.range = Number(event.target.value);
  drawCharts();
});

let resizing = null;
new ResizeObserver(() => {
  clearTimeout(resizing);
  resizing = setTimeout(() => charts.forEach((chart) => chart.resize()), 100);
}).observe(byId("charts"));

startTheme(() => drawCharts());
feed.open();
