"""Pictures of runs: shares and counts of the confusion, bars, maps by class, panels by axis."""

from __future__ import annotations

import numpy as np
import pytest

from mer_pipe.report.pictures import heat_picture
from mer_pipe.report.trained import CELL, confusion_picture, view_pictures

LABELS = ["a", "b", "a", "b"]


def test_the_diagonal_of_a_perfect_run_is_dark_and_the_rest_is_light():
    image = confusion_picture(np.diag([3, 9]), ("one", "another"), "title")
    left, top = image.shape[1] - 20 - 2 * CELL, image.shape[0] - 20 - 2 * CELL
    cells = image[top:, left:][5 : 2 * CELL : CELL, 5 : 2 * CELL : CELL].astype(int).sum(-1)
    assert cells[0, 0] < 200
    assert cells[1, 1] < 200
    assert cells[0, 1] > 500
    assert cells[1, 0] > 500


def test_a_class_without_clips_and_long_names_draw():
    assert confusion_picture(np.array([[0, 0], [1, 2]]), ("a" * 60, "b"), "t").shape[2] == 3


def test_a_map_is_drawn_for_all_clips_and_for_each_class():
    values = np.zeros((4, 64, 64))
    values[[0, 2], :32] = 1.0  # class a looks at the upper half, class b at nothing
    image = view_pictures({"au_cam[y,x]": values}, "title", {}, LABELS)["au_cam"]
    light = (np.abs(image.astype(int) - heat_picture(np.ones((1, 1)), 1.0)[0, 0]).sum(-1) < 3).sum()
    half = (np.abs(image.astype(int) - heat_picture(np.full((1, 1), 0.5), 1.0)[0, 0]).sum(-1) < 3).sum()
    assert light == half > 1000


def test_one_axis_becomes_bars_as_high_as_the_means():
    views = {"fusion[af]": np.array([[0.2, 0.8], [0.2, 0.8], [0.4, 0.6], [0.0, 1.0]])}
    image = view_pictures(views, "title", {"af": [2.0, 4.0]}, LABELS)["fusion"]
    bar = (image == (121, 7, 84)).all(-1)
    first, second = (bar[:, 30].sum(), bar[:, 90].sum())
    assert first / second == pytest.approx(0.25, abs=0.03)


def test_leading_axes_become_panels_in_rows():
    views = {"attention[layer,head,query,key]": np.random.default_rng(0).random((4, 2, 3, 5, 5))}
    image = view_pictures(views, "title", {}, LABELS)["attention"]
    assert image.shape[1] > image.shape[0]
