"""`magnify` and the clip stage of flow-warp: the shapes, dtypes and words that people meet first."""

from __future__ import annotations

import numpy as np
import pytest

from mer_pipe.stages.magnify import FlowWarpClip, magnify
from mer_pipe.stages.magnify.flow_warp import flow_warp
from mer_pipe.types import ClipError, RecipeError
from tests.stages.test_magnify_pair import SIZE, as_frame, measured_shift, shifted, texture


def test_magnify_gives_back_the_shape_and_dtype_it_was_given():
    image = texture()
    colour = as_frame(image), as_frame(shifted(image, 0.3, 0.0))
    gray = tuple(f[..., 0] for f in colour)
    assert magnify(*colour, 3).shape == (SIZE, SIZE, 3)
    assert magnify(*colour, [2, 6]).shape == (2, SIZE, SIZE, 3)
    assert magnify(*gray, 3).shape == (SIZE, SIZE)
    assert magnify(*gray, (2, 6), method="eulerian", lambda_c=8).shape == (2, SIZE, SIZE)
    for dtype in (np.float32, np.float64):
        out = magnify(*((f / 255).astype(dtype) for f in gray), af=3)
        assert out.dtype == dtype
        assert np.allclose(out, magnify(*gray, 3) / 255, atol=0.501 / 255)


def test_magnify_says_what_is_wrong():
    frame = np.zeros((16, 16), np.uint8)
    with pytest.raises(RecipeError, match="phases"):
        magnify(frame, frame, 2, method="phases")
    with pytest.raises(RecipeError, match="lambda_c"):
        magnify(frame, frame, 2, method="flow", lambda_c=8)
    with pytest.raises(ClipError, match="float32"):
        magnify(frame.astype(np.float32), frame, 2)
    for value in (1.5, -0.1, np.nan):
        bad = np.full((16, 16), value)
        with pytest.raises(ClipError, match=r"not 0\.\.1"):
            magnify(bad, bad, 2)


@pytest.mark.parametrize("method", ["mer", "flow", "phase", "eulerian", "pixel"])
def test_a_mask_keeps_the_target_outside(method):
    image = texture()
    onset, apex = as_frame(image), as_frame(shifted(image, 0.3, 0.0))
    whole = magnify(onset, apex, [1, 6], method=method)
    mask = np.zeros((SIZE, SIZE), bool)
    mask[32:96, 32:96] = True
    part = magnify(onset, apex, [1, 6], method=method, mask=mask)
    assert np.array_equal(part[:, mask], whole[:, mask])
    assert np.array_equal(part[:, ~mask], np.broadcast_to(apex, whole.shape)[:, ~mask])
    half = magnify(onset, apex, 6, method=method, mask=0.5 * mask)
    assert np.abs(half.astype(float) - (apex + 0.5 * (part[1].astype(float) - apex))).max() <= 0.5
    for wrong in (mask[:-1], mask.astype(int), np.where(mask, 2.0, 0.0), np.where(mask, np.nan, 0.0)):
        with pytest.raises(ClipError, match="mask"):
            magnify(onset, apex, 6, method=method, mask=wrong)


def test_a_clip_is_warped_frame_by_frame_against_its_first():
    image = texture()
    clip = np.stack([as_frame(shifted(image, 0.1 * t, 0.0)) for t in range(4)])
    stage = FlowWarpClip(af=6.0)
    out = stage(clip=clip)["image"]
    stage.returns["image"].check(out)
    assert np.array_equal(out[0], clip[0])
    for t in range(1, 4):
        assert np.array_equal(out[t], flow_warp(clip[0], clip[t], (6.0,))[0])
        assert measured_shift(image, out[t])[0] == pytest.approx(0.6 * t, abs=0.06)
    with pytest.raises(ClipError, match="1 frame"):
        stage(clip=clip[:1])
