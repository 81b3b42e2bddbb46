"""What is known of an application before anything starts, and what does not fit it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from perfkit.errors import ScenarioError, UsageError
from perfkit.plan import Plan, build
from perfkit.runner.application import applications_of, inspect_application
from perfkit.scenario import System

SHOP = Path(__file__).resolve().parents[1] / "shop" / "shop.toml"


POOL = '[[stack.pool]]\nname = "x"\nqueues = ["images", "mail", "post"]'


def planned(*replaced: tuple[str, str], folder: Path | None = None) -> Plan:
    """The shop's plan, with something else in its file."""
    if folder is None:
        return build([str(SHOP)])
    text = SHOP.read_text()
    for old, new in replaced:
        assert old in text
        text = text.replace(old, new)
    path = folder / "shop.toml"
    path.write_text(text)
    (folder / "shop").symlink_to(SHOP.parent / "shop")
    return build([str(path)])


def refused(folder: Path, *replaced: tuple[str, str]) -> dict[str, str]:
    with pytest.raises(ScenarioError) as caught:
        applications_of(planned(*replaced, folder=folder))
    return {problem.key: str(problem) for problem in caught.value.problems}


def test_an_application_is_found_beside_its_scenario() -> None:
    (application,) = applications_of(planned()).values()
    assert (application.namespace, application.queues) == ("shop", ("images", "mail"))
    assert application.folder == SHOP.parent
    assert {name: each.queue for name, each in application.actors.items()} == {
        "resize": "images", "publish": "images", "written": "mail", "newsletter": "mail",
    }  # fmt: skip


def test_the_sample_is_an_application_like_any_other() -> None:
    sample = inspect_application(None)
    assert sample.namespace == "dramatiq"
    assert sample.queues == ("notifications", "payments", "webhooks")


@pytest.mark.parametrize(
    ("old", "new", "key", "text"),
    [
        ('"resize"', '"resizes"', "job.0.actor", "did you mean 'resize'?"),
        ('queue = "images"', 'queue = "mail"', "job.0.queue", "on queue 'images', not on 'mail'"),
        ("owner = ", "ownr = ", "job.0.args", "resize(number, size=..., *, owner)"),
        ('args = [["ann"', 'args = [1, ["ann"', "job.1.args", "too many positional arguments"),
        ("workers = 2\nthreads = 4", POOL, "stack.pool.x", "no queue 'post'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_anything_starts(
    tmp_path: Path, old: str, new: str, key: str, text: str
) -> None:
    found = refused(tmp_path, (old, new))
    assert list(found) == [key]
    assert text in found[key]


def test_all_that_does_not_fit_is_listed_at_once(tmp_path: Path) -> None:
    found = refused(tmp_path, ('"newsletter"', '"news"'), ("owner = ", "ownr = "))
    assert set(found) == {"job.0.args", "job.1.actor"}


def application(folder: Path, text: str) -> System:
    (folder / "mine.py").write_text(text)
    return System(broker="mine:broker")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise OSError('no config')", "'mine' failed to import: OSError: no config"),
        ("import nothing_of_the_kind", "needs a module that is missing: No module named"),
        ("broker = 3", "mine:broker is a int, not a dramatiq Broker"),
        ("brokr = 3", "has no 'broker'"),
        (
            "from dramatiq.brokers.stub import StubBroker\nbroker = StubBroker()",
            "no queues in Redis",
        ),
        (
            "from dramatiq.brokers.redis import RedisBroker\nbroker = RedisBroker()",
            "declares no queue",
        ),
    ],
)
def test_an_application_that_can_not_be_used_says_why_itself(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(words)) as caught:
        inspect_application(application(tmp_path, text), tmp_path)
    assert "perfkit.recorder" not in str(caught.value)
    assert caught.value.mend


def test_what_it_reads_from_its_environment_is_there_as_it_is_imported(tmp_path: Path) -> None:
    text = (
        "import os\nfrom dramatiq.brokers.redis import RedisBroker\n"
        "broker = RedisBroker(url=os.environ['REDIS_URL'], namespace=os.environ['SPACE'])\n"
        "broker.declare_queue('images')\n"
    )
    (tmp_path / "mine.py").write_text(text)
    found = inspect_application(System(broker="mine:broker", env={"SPACE": "outer"}), tmp_path)
    assert found.namespace == "outer"


def test_a_value_of_its_environment_is_not_repeated_by_its_error(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import os\nraise ValueError(os.environ['SHOP_PIN'])\n")
    system = System(broker="mine:broker", env={"SHOP_PIN": "271828"})
    with pytest.raises(UsageError) as caught:
        inspect_application(system, tmp_path)
    assert "271828" not in str(caught.value)


def test_an_argument_is_bound_in_whatever_form_it_is_written(tmp_path: Path) -> None:
    values: dict[str, Any] = {"job.0.args": [5], "job.0.kwargs.size": "s"}
    assert applications_of(build([str(SHOP)], values=values))
