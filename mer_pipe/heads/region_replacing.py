"""Region Replacing: the mouth of another clip of the same class. Imports torch: import it lazily.

Ruan et al., ACM MM 2022. Which action units belong to which half of the face: FACS (Ekman, Friesen and Hager, 2002).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

EYE_UNITS = frozenset({1, 2, 4, 5, 6, 7, 9, *range(41, 47), *range(61, 67)})
"""Brows, lids and cheeks (FACS's upper face), the eyes' own codes, and 9: FACS counts the nose wrinkler with the lower
face, but its wrinkles lie at the root of the nose, in the upper half of the picture; Ruan et al. count it so too."""
MOUTH_UNITS = frozenset({8, *range(10, 40)})
"""Lips, jaw, cheeks below the eyes, nostrils: FACS's lower face less 9."""


def unit_halves(units: Sequence[int]) -> Tensor:
    """Which units are of the eyes and which of the mouth: (2, units) float32, 1 or 0.

    Units of neither, such as movements of the head (51 to 58), have 0 twice: no half of a face shows them.
    """
    return torch.tensor([[float(unit in half) for unit in units] for half in (EYE_UNITS, MOUTH_UNITS)]).reshape(2, -1)


def donors(labels: Tensor, positions: Tensor, share: float) -> Tensor:
    """For some training clips, the training clips that give them a mouth.

    Parameters
    ----------
    labels : (clips,) of all training clips of the fold.
    positions : (n,) int64, the places of the clips in question among them.
    share : probability that a clip's mouth is replaced.

    Returns
    -------
    (n,) int64: for each clip, with probability `share`, the place of another clip of its class, all equally likely;
    else its own place. A clip that is alone in its class keeps its mouth. Drawn from PyTorch's default generator of the
    labels' device.
    """
    positions = positions.to(labels.device)
    others = labels[None] == labels[positions][:, None]
    others[torch.arange(len(positions), device=labels.device), positions] = False
    has_one = others.any(1)
    wanted = torch.rand(len(positions), device=labels.device) < share
    drawn = torch.multinomial((others | ~has_one[:, None]).float(), 1)[:, 0]
    return torch.where(wanted & has_one, drawn, positions)


def with_mouths(images: Tensor, mouths: Tensor) -> Tensor:
    """The upper half of `images` over the lower half of `mouths`, both (n, channels, y, x) with an even y."""
    middle = images.shape[2] // 2
    return torch.cat([images[:, :, :middle], mouths[:, :, middle:]], 2)


def with_mouth_units(units: Tensor, mouth_units: Tensor, halves: Tensor) -> Tensor:
    """The eyes' units of `units` and the mouth's of `mouth_units`, (n, units) each; `halves` as `unit_halves` gives them."""
    return units * halves[0] + mouth_units * halves[1]
