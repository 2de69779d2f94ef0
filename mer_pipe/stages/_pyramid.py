"""Coarse to fine around the native TV-L1 solver. Imports numba and cv2: import it lazily."""

from __future__ import annotations

import cv2
import numpy as np

from mer_pipe.stages import _tvl1
from mer_pipe.stages._tvl1_scheme import ANTIALIAS, ROUNDS, SIGMA, SMALLEST, TAU, damping, light_step


def flow(
    source: np.ndarray,
    target: np.ndarray,
    attachment: float,
    tolerance: float,
    huber: float,
    presmooth: float,
    warps: int,
    iterations: int,
    illumination: bool,
) -> np.ndarray:
    """Return the (y, x, 2) float32 flow of two uint8 images of one shape. Parameters as in `tvl1`."""
    levels = [(_luma(source, presmooth), _luma(target, presmooth))]
    while min(levels[-1][0].shape) >= SMALLEST:
        levels.append(tuple(_halved(image) for image in levels[-1]))
    height, width = source.shape[:2]
    memory = _aligned((height + 2) * 12 * _tvl1.stride_for(width))  # one for all levels: fresh pages cost time
    field = np.zeros((*levels[-1][0].shape, 2), np.float32)
    gain, bias = 1.0, 0.0
    damped = np.float32(damping(tolerance, attachment))
    for depth, (first, second) in reversed(list(enumerate(levels))):
        height, width = first.shape
        stride = _tvl1.stride_for(width)
        buffer, planes = _level(memory, height, width, stride)
        planes[:, :2] = _enlarged(field, height, width).transpose(0, 2, 1)
        first = first.ravel()
        second = cv2.copyMakeBorder(second, 1, 2, 1, 2, cv2.BORDER_REPLICATE).ravel()
        step = light_step(depth)
        if illumination and depth == len(levels) - 1:
            _tvl1.linearise(buffer, first, second, height, width, stride, np.float32(gain), np.float32(bias), damped)
            gain, bias = _tvl1.light(buffer, first, height, width, stride, step, gain, bias, 3 * ROUNDS)
        for _ in range(warps + (depth > 0)):
            _tvl1.linearise(buffer, first, second, height, width, stride, np.float32(gain), np.float32(bias), damped)
            if illumination:  # serves the next warp: by then this flow has removed most of the motion
                gain, bias = _tvl1.light(buffer, first, height, width, stride, step, gain, bias, ROUNDS)
            steps = (np.float32(v) for v in (TAU, SIGMA, attachment, huber))
            _tvl1.solve(buffer, height, width, stride, iterations, *steps)
            for k in (0, 1):
                planes[:, k] = cv2.medianBlur(np.ascontiguousarray(planes[:, k]), 5)
        field = np.stack([planes[:, 0], planes[:, 1]], axis=-1)
    return field


def _level(memory: np.ndarray, height: int, width: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """The buffer of a level at the start of `memory`, the dual at zero, and its pixels as (y, plane, x)."""
    buffer = memory[: (height + 2) * 12 * stride]
    rows = buffer.reshape(height + 2, 12, stride)
    rows[:-1, 4:8, :width] = 0
    rows[:, 3:7, -1] = 0  # what the dual planes see to the left of column 0
    return buffer, rows[1:-1, :, :width]


def _luma(image: np.ndarray, presmooth: float) -> np.ndarray:
    image = image.astype(np.float32)
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.shape[2] == 3 else image[..., 0].copy()
    return cv2.GaussianBlur(image, (0, 0), presmooth) if presmooth > 0 else image


def _halved(image: np.ndarray) -> np.ndarray:
    height, width = image.shape
    return cv2.resize(cv2.GaussianBlur(image, (0, 0), ANTIALIAS), ((width + 1) // 2, (height + 1) // 2))


def _enlarged(field: np.ndarray, height: int, width: int) -> np.ndarray:
    if field.shape[:2] == (height, width):
        return field
    scale = np.array([width / field.shape[1], height / field.shape[0]], np.float32)
    return cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC) * scale


def _aligned(size: int) -> np.ndarray:
    """Memory from a cache line's boundary on."""
    room = np.empty(size + 16, np.float32)
    start = -(room.ctypes.data // 4) % 16
    return room[start : start + size]
