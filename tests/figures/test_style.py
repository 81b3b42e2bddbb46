"""Colours: readable in light and dark, and the same for the same thing everywhere."""

from __future__ import annotations

import pytest

from perfkit.figures import style
from perfkit.frames import STAGES


def _luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [style.LIGHT, style.DARK], ids=lambda theme: theme.name)
def test_text_stands_out_from_paper_and_from_raised_boxes(theme: style.Theme) -> None:
    for text in ("ink", "muted", "good", "bad", "unsure", "broken"):
        for ground in ("paper", "raised"):
            assert _contrast(theme.colours[text], theme.colours[ground]) >= 4.5, (text, ground)


@pytest.mark.parametrize("theme", [style.LIGHT, style.DARK], ids=lambda theme: theme.name)
def test_every_line_stands_out_from_the_paper(theme: style.Theme) -> None:
    for token in style.palette(8):
        assert _contrast(theme.colours[token], theme.colours["paper"]) >= 2.7, token


def test_both_themes_know_the_same_tokens_and_no_light_colour_has_two() -> None:
    assert set(style.LIGHT.colours) == set(style.DARK.colours)
    assert len(set(style.LIGHT.colours.values())) == len(style.LIGHT.colours)
    assert set(style.dark_of_light()) == set(style.LIGHT.colours.values())


def test_a_queue_keeps_its_colour_whatever_is_beside_it() -> None:
    assert (
        style.queue_colours(["webhooks"])["webhooks"]
        == style.queue_colours(["payments", "webhooks", "z"])["webhooks"]
    )
    assert style.queue_colours(["b", "a"]) == style.queue_colours(["a", "b"])


def test_unknown_queues_take_no_colour_of_a_known_one() -> None:
    colours = style.queue_colours(["payments", "a", "b", "c"])
    assert len(set(colours.values())) == 4


def test_every_meaning_has_a_colour_in_the_theme() -> None:
    for meanings in (style.STAGES, style.ROLES, style.FLOWS, style.PERCENTILES):
        assert set(meanings.values()) <= set(style.LIGHT.colours)


def test_the_stages_that_have_a_colour_are_those_that_frames_have() -> None:
    assert tuple(style.STAGES) == STAGES
