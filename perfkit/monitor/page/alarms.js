// What went wrong, said once when it starts: the list is a live region, so only changes are told.

import { byId, make, reconcile, setState, setText } from "./dom.js";
import { count, duration, short } from "./format.js";

// [{key, kind, words, since}], worst first.
export function alarms(view, contact) {
  const found = [];
  if (!contact.up) {
    found.push({
      key: "contact",
      kind: "broken",
      words:
        contact.reason ||
        (view
          ? "No contact with the monitor. What you see is old; trying to reach it again."
          : "No contact with the monitor yet; trying to reach it."),
      since: contact.silent,
    });
  }
  if (!view) return found;
  // Nothing to look at (any more): no fault, and not to be told as one.
  if (view.mode === "waiting" || view.mode === "ended") {
    const why = view.sources.find((each) => !each.ok)?.detail;
    const words = view.mode === "ended" ? "It is over, and these are the last figures" : "Waiting";
    found.push({ key: view.mode, kind: "note", words: why ? `${words}: ${why}.` : `${words}.` });
    return found;
  }
  for (const source of view.sources.filter((each) => !each.ok)) {
    found.push({ key: `source ${source.name}`, kind: "broken", words: `${source.title}: ${source.detail}`, since: source.since });
  }
  for (const queue of view.queues.filter((each) => !each.stale && each.stalled > 0).slice(0, 5)) {
    found.push({
      key: `stalled ${queue.name}`,
      kind: "stalled",
      words: `Queue ${short(queue.name, 40)} has stalled jobs: their worker is dead or silent.`,
      figure: `${count(queue.stalled)} now`,
    });
  }
  for (const queue of view.queues.filter((each) => !each.stale && each.standing).slice(0, 5)) {
    found.push({
      key: `standing ${queue.name}`,
      kind: "stalled",
      words: `Queue ${short(queue.name, 40)} stands still: jobs wait and no worker fetches them.`,
      figure: `oldest ${duration(queue.oldestAge)}`,
    });
  }
  return found;
}

export function drawAlarms(found) {
  reconcile(
    byId("alarms"),
    found,
    (each) => each.key,
    (each) =>
      make("p", {
        attributes: { class: "alarm", "data-kind": each.kind },
        // The running figure is not for ears: it would be read out each second.
        children: [make("strong"), make("span", { attributes: { "aria-hidden": "true" } })],
      }),
    (node, each) => {
      setText(node.firstElementChild, each.words);
      setState(node, "kind", each.kind);
      setText(node.lastElementChild, each.figure ?? (each.since >= 1 ? `for ${duration(Math.floor(each.since))}` : ""));
    },
  );
}
