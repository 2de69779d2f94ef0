"""Random changes of training images: turn, flip, scale, erase. Imports torch: import it lazily.

All numbers are drawn from PyTorch's default generator of the images' device.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def similarities(n: int, degrees: float, zoom: float, flip: float, device: torch.device) -> Tensor:
    """Random similarities about the centre of an image: the (n, 2, 2) matrices that carry (x, y) to its new place.

    Parameters
    ----------
    degrees : each image turns by an angle of -degrees..degrees.
    zoom : each image is scaled by a factor of 1 - zoom .. 1 + zoom.
    flip : probability that it is mirrored left to right, before it turns.
    """
    angle = (torch.rand(n, device=device) * 2 - 1) * math.radians(degrees)
    factor = 1 + (torch.rand(n, device=device) * 2 - 1) * zoom
    mirror = 1 - 2 * (torch.rand(n, device=device) < flip).float()
    cosine, sine = angle.cos() * factor, angle.sin() * factor
    return torch.stack([cosine * mirror, -sine, sine * mirror, cosine], 1).reshape(n, 2, 2)


def moved(images: Tensor, matrices: Tensor) -> Tensor:
    """Images (n, channels, y, x) carried by matrices (n, 2, 2) about their centre; bilinear, 0 from outside."""
    n, _, height, width = images.shape
    # grid_sample asks where each new pixel comes from, in coordinates that run over -1..1 along both sides.
    half = images.new_tensor([width / 2, height / 2])
    with torch.autocast(images.device.type, enabled=False):  # bfloat16 would round the places to whole pixels
        back = torch.linalg.inv(matrices) * half[None, None] / half[None, :, None]
        grid = F.affine_grid(F.pad(back, (0, 1)), [n, 1, height, width], align_corners=False)
        return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def moved_flow(flow: Tensor, matrices: Tensor) -> Tensor:
    """Flows (n, 2, y, x), u right and v down, of images that are moved: the vectors turn, flip and grow as well."""
    vectors = moved(flow, matrices)
    return (matrices[..., None, None] * vectors[:, None]).sum(2)


def mirrored(images: Tensor, share: float) -> Tensor:
    """Images (n, channels, y, x), each mirrored left to right with probability `share`.

    For channels that have no direction, such as grey levels and magnitudes; a horizontal component would change its sign.
    """
    chosen = torch.rand(len(images), device=images.device) < share
    return torch.where(chosen[:, None, None, None], images.flip(3), images)


def erased(
    images: Tensor, share: float, area: tuple[float, float] = (0.02, 0.3), aspect: tuple[float, float] = (0.3, 3.3)
) -> Tensor:
    """Random Erasing (Zhong et al., AAAI 2020): a box of each image becomes noise, with probability `share`.

    Parameters
    ----------
    images : (n, channels, y, x), standardised: the noise is normal with mean 0 and standard deviation 1.
    area : of the box, as a share of the image's; drawn evenly.
    aspect : height by width of the box; its logarithm is drawn evenly. What does not fit the image is cut off.
    """
    n, _, height, width = images.shape
    size, shape, top, left, chance = torch.rand(5, n, device=images.device)
    size = (area[0] + (area[1] - area[0]) * size) * height * width
    shape = (math.log(aspect[0]) + math.log(aspect[1] / aspect[0]) * shape).exp()
    rows = _inside(height, (size * shape).sqrt().round().clamp(1, height), top)
    columns = _inside(width, (size / shape).sqrt().round().clamp(1, width), left)
    box = rows[:, None, :, None] & columns[:, None, None, :] & (chance < share)[:, None, None, None]
    return torch.where(box, torch.randn_like(images), images)


def _inside(length: int, size: Tensor, place: Tensor) -> Tensor:
    """(n, length) bool: a run of `size` pixels; `place`, 0..1, tells where it starts among the places that fit it."""
    at = torch.arange(length, device=size.device)
    start = (place * (length - size + 1)).floor()[:, None]
    return (at >= start) & (at < start + size[:, None])
