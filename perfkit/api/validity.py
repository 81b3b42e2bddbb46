"""Which pairs of a comparison are to be measured again: ``python -m perfkit.api.validity RUN``.

Run as a process of its own beside the one that measures. It prints a JSON object of pairs and
reasons and nothing of what the arms measured: the choice is made blind.
"""

from __future__ import annotations

import json
import sys

from perfkit.api.asked import Asked
from perfkit.api.comparing_trials import attempts_of
from perfkit.api.runs import Run, open_run

__all__ = ["invalid_pairs"]


def invalid_pairs(run: Run) -> dict[int, str]:
    """Pairs without a valid attempt, and what was wrong with the last one."""
    asked = Asked.of(run.manifest, run.path)
    attempts = attempts_of(run, asked.pairs)
    found = {}
    for pair in attempts.counted:
        bad = [
            attempts.judged[trial]
            for trial, valid in ((pair.a, pair.valid_a), (pair.b, pair.valid_b))
            if not valid
        ]
        if bad:
            said = "; ".join(
                f"trial {each.trial} ({each.arm}) {each.status}: "
                f"{each.reasons[0] if each.reasons else 'no reason is known'}"
                for each in bad
            )
            found[pair.pair] = f"pair {pair.pair + 1} again: {said}"
    return found


if __name__ == "__main__":
    print(json.dumps(invalid_pairs(open_run(sys.argv[1]))))
