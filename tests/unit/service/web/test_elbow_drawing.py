from __future__ import annotations

import pytest

from service.web.elbow_drawing import HEIGHT, WIDTH, draw, round_numbers

WCE = [(2, 100.0), (3, 40.0), (4, 30.0), (6, 20.0)]


def test_curve_fills_its_box():
    """The first number is on the left, the last on the right; the largest error is on top."""
    curve = draw(WCE, 3)
    assert curve.points == [(52, 14), (156, 140), (260, 161), (468, 182)]
    assert curve.chosen == (156, 140)
    assert curve.line == "52,14 156,140 260,161 468,182"
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in curve.points)


def test_ticks_lie_on_the_scales_of_the_curve():
    """A tick's place is where the curve has that value."""
    curve = draw(WCE, 3)
    assert curve.x_ticks == [(52, "2"), (156, "3"), (260, "4"), (364, "5"), (468, "6")]
    assert curve.y_ticks == [(182, "20"), (140, "40"), (98, "60"), (56, "80"), (14, "100")]


def test_number_that_was_not_tried_is_not_marked():
    """Groups of a given number are not marked on a curve that leaves it out."""
    assert draw(WCE, 5).chosen is None


@pytest.mark.parametrize("wce", [(), ((2, 1.0),)], ids=["none", "one"])
def test_no_curve_through_fewer_than_two_points(wce):
    """Nothing is drawn where there is no curve."""
    assert draw(wce, 2) is None


def test_flat_curve_is_a_line_in_the_middle():
    """Where all pictures are equal, every error is 0 and nothing is divided by it."""
    curve = draw([(2, 0.0), (3, 0.0)], 2)
    assert curve.points == [(52, 98), (468, 98)]
    assert curve.y_ticks == [(98, "0")]


@pytest.mark.parametrize(
    ("low", "high", "min_step", "expected"),
    [
        (2, 100, 1, [20, 40, 60, 80, 100]),
        (2, 5, 1, [2, 3, 4, 5]),
        (151.2, 272.8, 0, [160, 180, 200, 220, 240, 260]),
        (0.0003, 0.00071, 0, [0.0003, 0.0004, 0.0005, 0.0006, 0.0007]),
        (7, 7, 0, [7]),
    ],
)
def test_round_numbers(low, high, min_step, expected):
    """Ticks are round, within the range, and few."""
    assert round_numbers(low, high, min_step) == pytest.approx(expected)
