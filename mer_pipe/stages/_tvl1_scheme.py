"""What the native and the torch solver of TV-L1 have in common: the numbers of the scheme round the iterations."""

from __future__ import annotations

SMALLEST = 32  # a level whose shorter side is at least this has a coarser one beneath it
ANTIALIAS = 0.8  # px, before every second pixel goes
TAU, SIGMA = 0.4, 0.3125  # steps of Chambolle-Pock: tau * sigma * 8 = 1, the largest product that converges
ROUNDS = 4  # of the light fit; at the coarsest level, which starts from nothing, thrice as many


def damping(tolerance: float, attachment: float) -> float:
    """What a data term that is quadratic below `tolerance` adds to |g|^2 in the closed form of the primal step."""
    return max(1e-6, tolerance / (TAU * attachment))


def light_step(depth: int) -> int:
    """The light fit looks at every so many pixels along each axis of the level `depth`, the finest being 0."""
    return 4 if depth == 0 else 1 + (depth == 1)
