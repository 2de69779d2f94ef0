"""Arrays to pictures: images, flow, strain, signed fields and feature maps as (y, x, 3) uint8 RGB, and strips of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mer_pipe.report.strips import strip, write_png
from mer_pipe.types import StoreError

WHEEL = np.array([0, 15, 21, 25, 36, 49, 55]) / 55
"""Where red, yellow, green, cyan, blue, magenta and red again lie on the colour wheel (Baker et al., IJCV 2011)."""
WHEEL_COLOURS = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1], [1, 0, 0]], float)

HEAT = np.array(
    [
        [0, 4, 52], [67, 2, 81], [121, 7, 84], [175, 15, 81], [215, 58, 69],
        [237, 109, 59], [249, 158, 58], [252, 205, 74], [249, 250, 124],
    ],
    float,
)  # fmt: skip
"""Dark violet, red, yellow in even steps of CIELAB lightness (3 to 96): ordered for every kind of colour vision."""

NOT_FINITE = (128, 128, 128)
"""Drawn where a flow, strain or map is not finite; neither the wheel nor the heat colours contain it."""

STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0)


def image_picture(image: np.ndarray) -> np.ndarray:
    """A picture of a uint8 image: (y, x), (y, x, 1) or (y, x, 3) RGB to (y, x, 3), values untouched."""
    if image.dtype != np.uint8:
        raise ValueError(f"an image is uint8, not {image.dtype}")
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] not in (1, 3):
        raise ValueError(f"an image has axes (y, x) or (y, x, channel), not the shape {image.shape}")
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


def round_scale(value: float, least: float) -> float:
    """The next of 1, 1.5, 2, 3, 5, 7, 10 times a power of ten that is not below `value`, and at least `least`."""
    value = max(float(value), least)
    power = 10.0 ** math.floor(math.log10(value))
    return next(float(f"{step * power:.3g}") for step in STEPS if step * power >= value * (1 - 1e-9))


def flow_scale(*flows: np.ndarray) -> float:
    """Motion in px that is drawn in full colour: the 99th percentile of the magnitudes, rounded up; 0.1 or more.

    The lower bound keeps the noise of a still pair from filling the wheel.
    """
    return round_scale(_percentile([np.hypot(f[..., 0], f[..., 1], dtype=np.float64) for f in flows], 99), 0.1)


def heat_scale(*values: np.ndarray, least: float = 1e-6) -> float:
    """The value that is drawn brightest: the 99.5th percentile, rounded up; `least` or more."""
    return round_scale(_percentile(values, 99.5), least)


def signed_scale(*values: np.ndarray) -> float:
    """The magnitude that is drawn black or white: the 99.5th percentile of all magnitudes, rounded up."""
    return round_scale(_percentile([np.abs(v) for v in values], 99.5), 1e-6)


def _percentile(values: Sequence[np.ndarray], percent: float) -> float:
    flat = np.concatenate([np.asarray(v, np.float64).ravel() for v in values])
    flat = flat[np.isfinite(flat)]
    return float(np.percentile(flat, percent)) if flat.size else 0.0


def flow_picture(flow: np.ndarray, scale: float | None = None) -> np.ndarray:
    """Flow in the colours of Baker et al. (IJCV 2011), their wheel closed without its small seam at red.

    Hue is direction (right red, down yellow, left cyan, up blue-violet), saturation is length: white does not move,
    full colour moves `scale` px, and what moves further is darker.

    Parameters
    ----------
    flow : (y, x, 2), u right and v down in px.
    scale : px; `flow_scale(flow)` when None.
    """
    if flow.ndim != 3 or flow.shape[2] != 2:
        raise ValueError(f"a flow has axes (y, x, component), not the shape {flow.shape}")
    scale = flow_scale(flow) if scale is None else scale
    u, v = (np.asarray(flow[..., i], np.float64) / scale for i in (0, 1))
    finite = np.isfinite(u) & np.isfinite(v)
    u, v = np.where(finite, u, 0), np.where(finite, v, 0)
    turn = (np.arctan2(v, u) / (2 * np.pi)) % 1.0
    length = np.hypot(u, v)[..., None]
    hue = np.stack([np.interp(turn, WHEEL, WHEEL_COLOURS[:, channel]) for channel in range(3)], -1)
    # A length that equals the scale in float16 must not fall over the edge by its rounding.
    colour = np.where(length <= 1.001, 1 - np.minimum(length, 1) * (1 - hue), 0.75 * hue)
    return _marked(np.rint(255 * colour).astype(np.uint8), finite)


def flow_key(size: int) -> np.ndarray:
    """The wheel that explains `flow_picture`, (size, size, 3): a place right of the centre has the colour of motion to the
    right; the rim is full scale."""
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    x, y = np.meshgrid(axis, axis)
    # A margin of 8 % leaves room for the rim; outside there is no motion to explain.
    flow = np.stack([x, y], -1) / 0.92
    distance = np.hypot(flow[..., 0], flow[..., 1])
    inside = np.clip((1 - distance) * size / 2, 0, 1)[..., None]
    wheel = flow_picture(flow / np.maximum(distance, 1)[..., None], 1.0)
    wheel = np.rint(wheel * inside + 255 * (1 - inside)).astype(np.uint8)
    centre = size // 2
    wheel[centre, size // 25 : -(size // 25) or None] //= 2
    wheel[size // 25 : -(size // 25) or None, centre] //= 2
    return wheel


def heat_picture(values: np.ndarray, scale: float | None = None) -> np.ndarray:
    """A field (y, x) of values from 0 as colours from dark violet (0 or less) to light yellow (`scale` or more)."""
    if values.ndim != 2:
        raise ValueError(f"a field has axes (y, x), not the shape {values.shape}")
    scale = heat_scale(values) if scale is None else scale
    values = np.asarray(values, np.float64)
    finite = np.isfinite(values)
    place = np.clip(np.where(finite, values, 0) / scale, 0, 1) * (len(HEAT) - 1)
    colour = np.stack([np.interp(place, np.arange(len(HEAT)), HEAT[:, channel]) for channel in range(3)], -1)
    return _marked(np.rint(colour).astype(np.uint8), finite)


def strain_picture(strain: np.ndarray, scale: float | None = None) -> np.ndarray:
    """Optical strain (y, x) in px/px: dark is 0, light yellow is `scale` (`heat_scale(strain, least=1e-3)` when None)."""
    return heat_picture(strain, heat_scale(strain, least=1e-3) if scale is None else scale)


def signed_picture(values: np.ndarray, scale: float | None = None) -> np.ndarray:
    """A signed image (y, x) or (y, x, 3), channel by channel: 0 is middle gray (128), + or - `scale` the two ends.

    What is not finite is drawn as 0.
    """
    scale = signed_scale(values) if scale is None else scale
    values = np.nan_to_num(np.asarray(values, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    return image_picture(np.rint(128 + 127 * np.clip(values / scale, -1, 1)).astype(np.uint8))


def motion_picture(motion: np.ndarray, scale: float | None = None, strain: float | None = None) -> np.ndarray:
    """The channels [u, v, strain] (y, x, 3) as a network reads them, in R, G and B.

    Red and green are 128 for no motion and reach their ends at + and - `scale` px; blue is 0 for no strain and 255 at
    `strain` px/px.
    """
    if motion.ndim != 3 or motion.shape[2] != 3:
        raise ValueError(f"a motion image has the channels u, v and strain, not the shape {motion.shape}")
    scale = flow_scale(motion[..., :2]) if scale is None else scale
    strain = heat_scale(motion[..., 2], least=1e-3) if strain is None else strain
    moved = signed_picture(np.concatenate([motion[..., :2], motion[..., :1]], -1), scale)
    blue = np.nan_to_num(np.asarray(motion[..., 2], np.float64)) / strain
    return np.concatenate([moved[..., :2], np.rint(255 * np.clip(blue, 0, 1)).astype(np.uint8)[..., None]], -1)


def feature_field(feature: np.ndarray) -> np.ndarray:
    """A feature as a field (y, x): a map (feature, row, column) as its mean over features, a vector as rows of about the
    square root of its length, filled up with 0."""
    if feature.ndim == 3:
        return feature.mean(axis=0, dtype=np.float64)
    if feature.ndim != 1:
        raise ValueError(f"a feature has axes (feature, row, column) or (feature), not the shape {feature.shape}")
    side = math.isqrt(len(feature) - 1) + 1
    field = np.zeros(side * math.ceil(len(feature) / side))
    field[: len(feature)] = feature
    return field.reshape(-1, side)


def map_picture(feature: np.ndarray, scale: float | None = None) -> np.ndarray:
    """A feature map (feature, row, column) or vector (feature) as heat colours, one pixel a cell; see `feature_field`."""
    return heat_picture(feature_field(feature), scale)


def kind_of(dims: Sequence[str], units: str, dtype: Any) -> str:
    """How an array is drawn, told from the names of its axes, its units and dtype: "image", "flow", "strain", "motion",
    "signed", "map", or "" where it has no picture."""
    dims, floating = tuple(dims), np.dtype(dtype).kind == "f"
    if dims in (("y", "x"), ("y", "x", "channel")) and np.dtype(dtype) == np.uint8:
        return "image"
    if dims == ("y", "x", "component") and units == "px":
        return "flow"
    if dims == ("y", "x") and floating:
        return "strain" if units == "px/px" else "signed"
    if dims == ("y", "x", "channel") and floating:
        return "motion" if units == "px, px, px/px" else "signed"
    if dims in (("feature",), ("feature", "row", "column")) and floating:
        return "map"
    return ""


def picture(array: np.ndarray, dims: Sequence[str], units: str, scale: float | None = None) -> np.ndarray:
    """The picture of one array of a store, (y, x, 3) uint8, chosen by `kind_of`.

    Parameters
    ----------
    array : one clip's array without leading axes (mark, AF, frame).
    dims, units : of the array.
    scale : full scale in the array's units; the kind's own robust scale when None. An image takes none.

    Raises
    ------
    StoreError : arrays of these axes and units have no picture.
    """
    kind = kind_of(dims, units, array.dtype)
    if not kind:
        raise StoreError(f"an array with axes ({', '.join(dims)}) in {units!r} has no picture")
    if kind == "image":
        return image_picture(array)
    draw = {
        "flow": flow_picture,
        "strain": strain_picture,
        "motion": motion_picture,
        "signed": signed_picture,
        "map": map_picture,
    }
    return draw[kind](array, scale)


def _marked(drawn: np.ndarray, finite: np.ndarray) -> np.ndarray:
    drawn[~finite] = NOT_FINITE
    return drawn


__all__ = [
    "feature_field",
    "flow_key",
    "flow_picture",
    "flow_scale",
    "heat_picture",
    "heat_scale",
    "image_picture",
    "kind_of",
    "map_picture",
    "motion_picture",
    "picture",
    "round_scale",
    "signed_picture",
    "signed_scale",
    "strain_picture",
    "strip",
    "write_png",
]
