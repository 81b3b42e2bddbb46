"""Each rule, of facts that are made up: what it needs to speak, and when it stays silent."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from perfkit import figures
from perfkit.findings import SEVERITIES, Seen, advise, see
from perfkit.findings.advising import advised
from perfkit.findings.seeing import Failures
from perfkit.frames import STAGES, Held
from perfkit.verdict import Bottleneck, Resource
from tests.sealed import Sketch, delivery, request, seal

HOSTILE = "</script><b>&\"'"


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """A trial in which there is nothing to find."""
    row = request(0)
    run = seal(tmp_path_factory.mktemp("calm"), Sketch([row], [delivery(row)]))
    stages = dict.fromkeys(STAGES, 1e6) | {"service": 50e6}
    return replace(
        see(run, 0),
        stages={"mean": stages, "p50": stages, "p99": stages},
        held=Held(0.1, 3.0, 0.05, 0.0, 0.0, ""),
        threads=8,
        prefetch=16,
        queues=2,
        workers=2,
        pools=1,
        worker_timeout_ns=1_000_000_000,
        ingest_processes=1,
    )


def _parts(**changed: float) -> dict[str, dict[str, float]]:
    stages = dict.fromkeys(STAGES, 1e6) | {"service": 50e6}
    stages |= {name.replace("_", " "): value for name, value in changed.items()}
    return {"mean": stages, "p50": stages, "p99": stages}


def _resource(**given: Any) -> Resource:
    known: dict[str, Any] = {
        "name": "worker threads", "kind": "threads", "units": 16.0, "ms_per_job": 60.0,
        "utilisation": 0.98, "full": True, "queued": True, "before_it": "90 jobs waited",
    }  # fmt: skip
    return Resource(**known | given)


def _limited(**given: Any) -> Bottleneck:
    one = _resource(**given)
    return Bottleneck(trial=0, resource=one, sentence=f"{one.name} is full", resources=(one,))


CHANGES: dict[str, dict[str, Any]] = {
    "bottleneck": {"bottleneck": _limited()},
    "prefetch hoarding": {
        "held": Held(0.1, 3.0, 0.05, 0.4, 2.5, "worker-1"),
        "stages": _parts(prefetch_wait=20e6),
    },
    "threads idle while the queue waits": {
        "held": Held(1.5, 3.0, 0.6, 0.0, 0.0, ""),
        "stages": _parts(broker_dwell=20e6),
    },
    "ingest-bound": {"stages": _parts(ingest=90e6)},
    "Redis persistence": {"redis_events": {"aof-fsync-always": (4, 60e6), "command": (9, 1e9)}},
    "retries and dead letters": {
        "failures": Failures(
            attempts=100, failed=20, dead=5, accepted=90, error=HOSTILE, queue="webhooks"
        )
    },
}


def test_of_a_calm_trial_nothing_is_found_and_it_is_said_what_was_looked_at(calm: Seen) -> None:
    advice = advised([calm])
    assert not advice.found
    assert advice.sentence.startswith("Nothing found. Looked at: generator limited, saturation")
    shown = figures.findings(advice, {0: "first"})
    assert "Nothing found" in shown.html
    assert "1 of 1" in shown.html


@pytest.mark.parametrize("rule", CHANGES)
def test_each_rule_speaks_by_its_own_evidence_alone(calm: Seen, rule: str) -> None:
    advice = advised([replace(calm, **CHANGES[rule])])
    (found,) = advice.found
    assert found.rule == rule
    assert found.severity in SEVERITIES
    assert found.evidence
    assert all(name and value for name, value in found.evidence)
    assert found.knob
    assert found.experiment.startswith("perfkit ")


def test_a_generator_that_is_late_comes_first(calm: Seen) -> None:
    broken = "P99 send lag is 30 ms, above 2 ms"
    late = replace(calm.lateness, own_making=True, broken=broken, cpu_share=0.97)
    worse = replace(calm, lateness=late, **CHANGES["retries and dead letters"])
    assert [each.rule for each in advised([worse])] == [
        "generator limited",
        "retries and dead letters",
    ]


def test_the_knob_fits_the_resource(calm: Seen) -> None:
    def experiment(**given: Any) -> str:
        (found,) = advised([replace(calm, bottleneck=_limited(**given))])
        return found.experiment

    assert experiment().endswith("--set-b stack.threads=16")
    assert experiment(name="ingest CPU", kind="cpu").endswith("stack.ingest_processes=2")
    assert experiment(name="Redis CPU", kind="cpu").endswith("redis.per_queue=true")
    # Without room on the host more workers prove nothing.
    assert "sweep" in experiment(name="host CPU", kind="host")


def test_alike_findings_of_several_trials_are_one_with_the_worst_first(calm: Seen) -> None:
    slow = replace(calm, trial=1, stages=_parts(ingest=900e6))
    mild = replace(calm, trial=2, stages=_parts(ingest=90e6))
    (found,) = advised([calm, mild, slow])
    assert found.trials == (1, 2)


def test_what_is_not_known_is_not_asked(calm: Seen) -> None:
    blind = replace(
        calm, jobs_recorded=False, stages={}, held=Held(*(math.nan,) * 5, ""), redis_events={}
    )
    advice = advised([blind])
    assert not advice.found
    why = dict(advice.not_asked)
    assert why["saturation"] == "no jobs were recorded"
    assert why["Redis persistence"] == "no Redis was watched"
    assert why["bottleneck"] == "of the server's own resources nothing is known"


def test_hostile_names_are_escaped(calm: Seen) -> None:
    advice = advised([replace(calm, **CHANGES["retries and dead letters"])])
    shown = figures.findings(advice, {0: HOSTILE})
    assert "<b>" not in shown.html
    assert "</script>" not in shown.html
    assert "&lt;/script&gt;" in shown.html


def test_a_command_quotes_what_a_shell_would_read(tmp_path: Path) -> None:
    row = request(0)
    facts = {"scenario": "a; rm x", "axes": {"redis.per_queue": True, "arm": "A"}}
    run = seal(tmp_path, Sketch([row], [delivery(row)], facts=facts))
    assert see(run, 0).subject == "'a; rm x' --set redis.per_queue=true"


def test_a_run_without_load_has_nothing_to_look_at(tmp_path: Path) -> None:
    advice = advise(seal(tmp_path, Sketch()))
    assert not advice.found
    assert advice.sentence.startswith("Nothing looked at")
