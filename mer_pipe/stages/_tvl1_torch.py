"""The TV-L1 solver of `_pyramid` and `_tvl1` over a batch of pairs, in torch. Imports torch: import it lazily.

Planes are (pair, y, x) float32; flows, their duals and gradients (pair, 2, y, x), u before v. Each step is the one of the
native solver, in the order of operations that suits whole planes, so that the two differ by rounding alone. On the CPU
the bytes of a pair depend on that pair alone: see `_planes_torch`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch.nn.functional import pad

from mer_pipe.stages import _planes_torch as planes
from mer_pipe.stages._tvl1_scheme import ROUNDS, SIGMA, SMALLEST, TAU, damping, light_step


class Settings(NamedTuple):
    """The parameters of `tvl1` for this solver."""

    attachment: float
    tolerance: float
    huber: float
    presmooth: float
    warps: int
    iterations: int
    illumination: bool


class Light(NamedTuple):
    """source = gain * target + bias, a value a pair: (pair, 1, 1) float64."""

    gain: torch.Tensor
    bias: torch.Tensor


class Data(NamedTuple):
    """The data term rho(flow) = rest + gradient . flow of one linearisation, and 1 / (|gradient|^2 + damping)."""

    gradient: torch.Tensor
    inverse: torch.Tensor
    rest: torch.Tensor


class State(NamedTuple):
    """The flow, the over-relaxed flow 2 new - old, and the duals of the flow's derivatives across and down."""

    flow: torch.Tensor
    ahead: torch.Tensor
    across: torch.Tensor
    down: torch.Tensor


class Loops(NamedTuple):
    """The functions where the time goes: as they are written, or fused."""

    linearise: Callable
    step: Callable
    median: Callable


def solve(sources: torch.Tensor, targets: torch.Tensor, settings: Settings, loops: Loops) -> torch.Tensor:
    """The (pair, y, x, 2) flows of images (pair, y, x[, c]) uint8. Nothing in it waits for the device."""
    levels = [tuple(_luma(images, settings.presmooth) for images in (sources, targets))]
    while min(levels[-1][0].shape[-2:]) >= SMALLEST:
        levels.append(tuple(planes.halved(level) for level in levels[-1]))
    linearise = partial(loops.linearise, damped=damping(settings.tolerance, settings.attachment))
    shrink = 1 / (1 + SIGMA * settings.huber)
    light = Light(*(torch.full((len(sources), 1, 1), v, dtype=torch.float64, device=sources.device) for v in (1, 0)))
    coarsest = levels[-1][0]
    found = coarsest.new_zeros((len(coarsest), 2, *coarsest.shape[-2:]))
    for depth, (first, second) in reversed(list(enumerate(levels))):
        found = _scaled(found, *first.shape[-2:])
        second = planes.bordered(second, 1, 2)  # room for the bicubic patch of any place inside
        across, down = torch.zeros_like(found), torch.zeros_like(found)
        fit = partial(_fitted, source=first, step=light_step(depth))
        if settings.illumination and depth == len(levels) - 1:
            light = fit(linearise(found, first, second, *light), found, light=light, rounds=3 * ROUNDS)
        for _ in range(settings.warps + (depth > 0)):
            data = linearise(found, first, second, *light)
            if settings.illumination:  # serves the next warp: by then this flow has removed most of the motion
                light = fit(data, found, light=light, rounds=ROUNDS)
            state = State(found, found.clone(), across, down)
            for _ in range(settings.iterations):
                state = loops.step(state, data, shrink, TAU * settings.attachment)
            across, down = state.across, state.down
            found = loops.median(planes.bordered(state.flow, 2, 2))
    return found.permute(0, 2, 3, 1).contiguous()


def linearised(
    found: torch.Tensor,
    source: torch.Tensor,
    target: torch.Tensor,
    gain: torch.Tensor,
    bias: torch.Tensor,
    damped: float,
) -> Data:
    """The data term round a flow, as `_tvl1.linearise`. `target` is bordered, and read as gain * target + bias."""
    height, width = source.shape[-2:]
    rows, columns = (torch.arange(n, device=source.device, dtype=torch.float32) for n in (height, width))
    x, y = columns + found[:, 0], rows[:, None] + found[:, 1]
    inside = ((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)).float()
    x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
    left, top = x.floor(), y.floor()
    weights_x, slopes_x = _catmull_rom(x - left)
    weights_y, slopes_y = _catmull_rom(y - top)
    stride = target.shape[-1]
    at = (top.long() * stride + left.long()).flatten(1)
    pixels = target.flatten(1)
    value = across = down = torch.zeros_like(x)
    for r in range(4):
        row = slope = torch.zeros_like(x)
        for c in range(4):
            tap = pixels.gather(1, at + (r * stride + c)).view_as(x)
            row = row + weights_x[c] * tap
            slope = slope + slopes_x[c] * tap
        value = value + weights_y[r] * row
        across = across + weights_y[r] * slope
        down = down + slopes_y[r] * row
    gain, bias = gain.float(), bias.float()
    across, down = across * gain * inside, down * gain * inside
    rest = (value * gain + bias - source) * inside - across * found[:, 0] - down * found[:, 1]
    return Data(torch.stack([across, down], 1), 1 / (across * across + down * down + damped), rest)


def stepped(state: State, data: Data, shrink: float, cap: float) -> State:
    """One iteration of Chambolle and Pock, as `_tvl1.solve`: dual, primal, over-relaxation."""
    ahead = state.ahead
    across = (state.across + SIGMA * pad(ahead[..., 1:] - ahead[..., :-1], (0, 1))) * shrink
    down = (state.down + SIGMA * pad(ahead[..., 1:, :] - ahead[..., :-1, :], (0, 0, 0, 1))) * shrink
    inside = 1 / (across * across + down * down).clamp(min=1).sqrt()
    across, down = across * inside, down * inside
    divergence = across - pad(across[..., :-1], (1, 0)) + down - pad(down[..., :-1, :], (0, 0, 1, 0))
    new = state.flow + TAU * divergence
    rho = data.rest + data.gradient[:, 0] * new[:, 0] + data.gradient[:, 1] * new[:, 1]
    new = new - (rho * data.inverse).clamp(-cap, cap)[:, None] * data.gradient
    return State(new, 2 * new - state.flow, across, down)


PLAIN = Loops(linearised, stepped, planes.median5)


def _luma(images: torch.Tensor, presmooth: float) -> torch.Tensor:
    images = images.float()
    if images.ndim == 4:
        weights = (0.299, 0.587, 0.114)
        images = sum(w * images[..., c] for c, w in enumerate(weights)) if images.shape[3] == 3 else images[..., 0]
    return planes.blurred(images, presmooth) if presmooth > 0 else images


def _scaled(found: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """A flow on a larger grid, in px of that grid."""
    rows, columns = found.shape[-2:]
    if (rows, columns) == (height, width):
        return found
    wide = planes.enlarged(found, height, width)
    return torch.stack([wide[:, 0] * (width / columns), wide[:, 1] * (height / rows)], 1)


def _catmull_rom(t: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
    """Weights of the taps -1, 0, 1, 2 at the fraction t of a pixel, and their derivatives."""
    weights = (
        0.5 * t * (t * (2 - t) - 1),
        0.5 * (t * t * (3 * t - 5) + 2),
        0.5 * t * (t * (4 - 3 * t) + 1),
        0.5 * t * t * (t - 1),
    )
    slopes = (
        0.5 * (t * (4 - 3 * t) - 1),
        0.5 * t * (9 * t - 10),
        0.5 * (t * (8 - 9 * t) + 1),
        0.5 * t * (3 * t - 2),
    )
    return weights, slopes


def _fitted(data: Data, found: torch.Tensor, *, source: torch.Tensor, step: int, light: Light, rounds: int) -> Light:
    """The light refitted to the warped target, as `_tvl1.light`; a pair with fewer than 16 places keeps its own."""

    if min(source.shape[-2:]) <= step // 2:  # no place to look at
        return light

    def seen(values: torch.Tensor) -> torch.Tensor:
        return values[:, step // 2 :: step, step // 2 :: step].double()

    u, v, gx, gy = (seen(values[:, k]) for values in (found, data.gradient) for k in (0, 1))
    rest, wanted = seen(data.rest), seen(source)
    gain, bias = light
    target = (rest + gx * u + gy * v + wanted - bias) / gain
    known = ((gx != 0) | (gy != 0) | (rest != 0)).double()  # else outside the target, or nothing to learn
    trust = known / (1 + (gx * gx + gy * gy) / 16)
    count, total = _sums(known, trust)
    for _ in range(rounds):
        off = wanted - gain * target - bias
        (error,) = _sums(trust * off.abs())
        off = off / (2.5 * error / total).clamp(min=1)
        weight = 1 / (1 + off * off)
        weight = trust * weight * weight
        sums = _sums(weight, *(weight * a for a in (target, wanted, target * target, target * wanted)))
        x, y, xx, xy = (value / sums[0] for value in sums[1:])
        gain = ((xy - x * y + 1) / (xx - x * x + 1)).clamp(1 / 1.5, 1.5)
        bias = y - gain * x
    enough = count >= 16
    return Light(torch.where(enough, gain, light.gain), torch.where(enough, bias, light.bias))


def _sums(*values: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The sum of each (pair, y, x) over its pixels, (pair, 1, 1): pairwise, in an order that the size alone decides."""
    stack = torch.stack(values).flatten(2)
    while (length := stack.shape[2]) > 1:
        half = (length + 1) // 2
        stack = torch.cat([stack[..., : length - half] + stack[..., half:], stack[..., length - half : half]], 2)
    return tuple(stack[..., None].unbind(0))
