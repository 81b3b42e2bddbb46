"""Whether the generator tells the truth, by servers that log the delays they applied.

    python -m tests.benchmarks.bench_truth [--seconds 20] [--rate 1000]

Server and client have a core each, where there are two. Each quantile is printed as the generator
says it and as the server's law and lateness, replayed against the schedule, give it
(`tests.load.truth.replayed`, a queue of N connections), from the intended and from the sent
instant. They agree within 1 ms or 2 %, or the line says MISS and the benchmark fails. Last, the
share of the time in which server or client could run and had no core: what was lost then lies
between the two, and a MISS beside more than a few percent says nothing of either.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.load.truth import MS, measured, quantile

CPUS = sorted(os.sched_getaffinity(0))
SHARES = (0.5, 0.95, 0.99)
CONNECTIONS = (1000, 20)


def agrees(seen_ns: int, true_ns: int) -> bool:
    """Within 1 ms or 2 %."""
    return abs(seen_ns - true_ns) <= max(MS, 0.02 * true_ns)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--only", help="one kind of server")
    given = parser.parse_args()
    kinds = [given.only] if given.only else ["constant", "lognormal", "stall", "limited"]
    head = "".join(f"{f'P{share * 100:g}':>11}{'truth':>10}" for share in SHARES)
    print(f"{'server':10}{'conns':>6}  {'from':9}{head}   (ms)   no core")
    missed = 0
    for kind in kinds:
        for connections in CONNECTIONS:
            with tempfile.TemporaryDirectory() as folder:
                views = measured(
                    kind,
                    Path(folder),
                    rate=given.rate,
                    seconds=given.seconds,
                    connections=connections,
                    server_cpus=CPUS[:1],
                    client_cpus=(CPUS[-1],),
                )
            for view, seen, true in (
                ("intended", views.intended, views.true_intended),
                ("sent", views.sent, views.true_sent),
            ):
                pairs = [(quantile(seen, share), quantile(true, share)) for share in SHARES]
                row = "".join(f"{one / MS:11.2f}{other / MS:10.2f}" for one, other in pairs)
                ok = all(agrees(*pair) for pair in pairs)
                missed += not ok
                print(
                    f"{kind:10}{connections:6}  {view:9}{row}   {'agrees' if ok else 'MISS':>6}"
                    f"{views.waited:8.1%}",
                    flush=True,
                )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
