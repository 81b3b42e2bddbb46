"""Our generator beside k6 (with its CSV log) and Locust's FastHttpUser: what a core of each sends.

    python -m tests.benchmarks.bench_peers [--seconds 5] [--rounds 5] [--only capacity|rates]

Interleaved rounds, one core pinned for the client, the server on another where there is one. A
figure is the median, with the least and the most of the rounds; the ratio is that of the medians.
What is compared, and how it is counted: `clients`.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence

from tests.benchmarks.clients import OURS, USER_CODE, Found, Work, measure, present, serving

CONNECTIONS = (64, 1000)
RATES = ((500.0, 100), (2000.0, 200))  # requests/s, and connections (k6's VUs)
TARGETS = {"k6": 1.5, "locust": 2.0}  # times less than ours


def rounds_of(names: Sequence[str], work: Work, rounds: int) -> dict[str, list[Found]]:
    """Every client once in each round, on one server."""
    found: dict[str, list[Found]] = {name: [] for name in names}
    with serving() as server:
        for number in range(rounds):
            # Each begins a round in turn, so that none always follows the same neighbour.
            order = [*names[number % len(names) :], *names[: number % len(names)]]
            for name in order:
                found[name].append(measure(name, server, work))
    return found


def capacity(names: Sequence[str], seconds: float, rounds: int) -> None:
    """Requests per second and core, all connections in use."""
    print(
        f"\n{'connections':>11}  {'client':10}{'requests/s':>12}{'CPU':>7}{'per core':>10}"
        f"{'least':>9}{'most':>9}{'ours is':>9}{'whole life':>13}{'ours is':>9}"
    )
    for connections in CONNECTIONS:
        found = rounds_of(names, Work(connections, seconds), rounds)
        medians = {
            name: (
                statistics.median(each.per_core for each in rows),
                statistics.median(each.whole_per_core for each in rows),
            )
            for name, rows in found.items()
        }
        for name, rows in found.items():
            values = [each.per_core for each in rows]
            here, whole = medians[name]
            rate = statistics.median(each.requests_per_s for each in rows)
            cpu = statistics.median(each.cpu for each in rows)
            line = (
                f"{connections:11}  {name:10}{rate:12,.0f}{cpu:7.1%}"
                f"{here:10,.0f}{min(values):9,.0f}{max(values):9,.0f}"
            )
            if name in TARGETS:
                ours = medians[OURS]
                line += f"{ours[0] / here:7.2f} x{whole:13,.0f}{ours[1] / whole:7.2f} x"
                line += f"  (target {TARGETS[name]:g} x)"
                if name == "locust":
                    line += f"; user code {medians[USER_CODE][0] / here:.2f} x  (target 1 x)"
            else:
                line += f"{'':9}{whole:13,.0f}"
            print(line, flush=True)


def rates(names: Sequence[str], seconds: float, rounds: int) -> None:
    """CPU share and lateness at constant rates, which Locust does not know."""
    print(
        f"\n{'rate':>9}  {'client':10}{'came':>9}{'CPU':>7}{'least':>7}{'most':>7}"
        f"{'late P50':>10}{'P99':>7}{'least':>7}{'most':>7}{'max ms':>8}"
    )
    for rate, connections in RATES:
        found = rounds_of(
            [name for name in names if name in (OURS, "k6")],
            Work(connections, seconds, rate),
            rounds,
        )
        for name, rows in found.items():
            cpu = [each.cpu for each in rows]
            p50, p99, most = ([each.lag_ms[place] for each in rows] for place in range(3))
            came = statistics.median(each.requests_per_s for each in rows)
            print(
                f"{rate:7,.0f}/s  {name:10}{came:7,.0f}/s{statistics.median(cpu):7.1%}"
                f"{min(cpu):7.1%}{max(cpu):7.1%}{statistics.median(p50):10.2f}"
                f"{statistics.median(p99):7.2f}{min(p99):7.2f}{max(p99):7.2f}"
                f"{statistics.median(most):8.2f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="load of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=("capacity", "rates"))
    given = parser.parse_args()
    names = present()
    for part in (capacity, rates):
        if given.only in (None, part.__name__):
            part(names, given.seconds, given.rounds)


if __name__ == "__main__":
    main()
