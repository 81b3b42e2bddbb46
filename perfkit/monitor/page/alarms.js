// What went wrong, said once when it starts: the list is a live region, so only changes are told.

import { byId, make, reconcile, setText } from "./dom.js";
import { count, duration, short } from "./format.js";

// [{key, kind, words, since}], worst first.
export function alarms(view, contact) {
  const found = [];
  if (!contact.up) {
    found.push({
      key: "contact",
      kind: "broken",
      words: view
        ? "No contact with the monitor. What you see is old; trying to reach it again."
        : "No contact with the monitor yet; trying to reach it.",
      since: contact.silent,
    });
  }
  if (!view) return found;
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
      setText(node.lastElementChild, each.figure ?? (each.since > 0 ? `for ${duration(each.since)}` : ""));
    },
  );
}
