"""One channel from a flow: its magnitude, or the 8-bit picture of a released code. Imports torch: import it lazily."""

from __future__ import annotations

import torch
from torch import Tensor

VIEWS = ("magnitude", "released")


def magnitude(flow: Tensor) -> Tensor:
    """The length of the vectors of a flow (n, y, x, 2), in px: (n, y, x) float32."""
    return torch.linalg.vector_norm(flow.float(), dim=3)


def released(flow: Tensor) -> Tensor:
    """The flow picture of the released code of Ruan et al. (ACM MM 2022).

    The magnitude of each clip is stretched from its minimum to its maximum over 0..255 and cut to whole numbers; what is
    below 1.5 times the mean of the result is set to 0. A clip that moves little and one that moves much look alike.

    Parameters
    ----------
    flow : (n, y, x, 2), px.

    Returns
    -------
    (n, y, x) float32, whole numbers 0..255; 0 everywhere for a flow of one length.
    """
    length = magnitude(flow)
    low, high = length.amin((1, 2), keepdim=True), length.amax((1, 2), keepdim=True)
    picture = ((length - low) / (high - low + 1e-8) * 255).clamp(0, 255).floor()
    faint = picture.double() < 1.5 * picture.double().mean((1, 2), keepdim=True)
    return picture.masked_fill(faint, 0)


def picture(flow: Tensor, view: str) -> Tensor:
    """(n, y, x) float32 of a flow (n, y, x, 2): px for "magnitude", 0..1 for "released"."""
    return magnitude(flow) if view == "magnitude" else released(flow) / 255


def gray(image: Tensor) -> Tensor:
    """Grey levels (n, y, x) uint8 on the scale 0..1, float32."""
    return image.to(torch.float32) / 255
