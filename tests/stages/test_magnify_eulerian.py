"""Linear Eulerian magnification of a pair: exact where it is linear, held back in fine bands and in colour."""

from __future__ import annotations

import numpy as np
import pytest

from mer_pipe.stages.magnify import Eulerian
from tests.stages.test_magnify_pair import SIZE, as_frame


@pytest.mark.parametrize("af", [2.0, 6.0])
def test_eulerian_multiplies_a_small_motion_of_a_coarse_pattern(af):
    x = np.arange(SIZE)
    waves = [127.5 + 80 * np.sin(2 * np.pi * (x - move) / 64) for move in (0.0, 0.5)]
    onset, apex = (as_frame(np.broadcast_to(w[None, :, None], (SIZE, SIZE, 3))) for w in waves)
    out = Eulerian(lambda_c=0.0)(reference=onset, target=apex, af=(af,))["image"][0]
    phase = [np.angle((f[..., 0].astype(float) * np.exp(2j * np.pi * x / 64)).sum()) for f in (onset, out)]
    assert (phase[1] - phase[0]) * 64 / (2 * np.pi) == pytest.approx(af * 0.5, rel=0.05)


def test_eulerian_without_attenuation_is_plain_arithmetic():
    rng = np.random.default_rng(6)
    a, b = rng.integers(100, 140, (2, 40, 52, 3)).astype(np.uint8)
    out = Eulerian(lambda_c=0.0, chroma=1.0)(reference=a, target=b, af=(3.0,))["image"][0]
    assert np.array_equal(out, a + 3 * (b.astype(int) - a))


def test_lambda_c_spares_the_fine_bands():
    rng = np.random.default_rng(7)
    a, b = (as_frame(128 + rng.normal(0, 1, (SIZE, SIZE, 1))) for _ in range(2))
    change = [
        np.abs(Eulerian(lambda_c=c)(reference=a, target=b, af=(10.0,))["image"][0].astype(float) - b).mean()
        for c in (0.0, 8.0, 24.0, 64.0)
    ]
    assert change == sorted(change, reverse=True)
    assert change[-1] < 0.1 * change[0]


def test_chroma_zero_magnifies_luma_alone():
    a = np.full((32, 32, 3), 100, np.uint8)
    b = a + np.array([6, 0, 0], np.uint8)
    out = Eulerian(lambda_c=0.0, chroma=0.0)(reference=a, target=b, af=(5.0,))["image"][0].astype(int)
    added = out[16, 16] - b[16, 16]
    assert np.ptp(added) <= 1
    assert added[0] == pytest.approx(4 * 6 * 0.299, abs=1)
