"""Two ways of magnifying one clip, side by side: how alike their images are, and how much of the wanted motion is in each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mer_pipe.report import pictures
from mer_pipe.report.clips import AF_DIGITS, check_stage, chosen_places
from mer_pipe.report.one_clip import OneClip, open_clip
from mer_pipe.report.strips import Panels
from mer_pipe.types import MerError, StoreError

if TYPE_CHECKING:
    from rich.console import RenderableType

MOST = 6
"""AFs of a comparison when none are asked for."""
STILL = 0.05
"""px: root mean square of the apex's motion, below which there is nothing to magnify and no ratio to tell."""
SMALLEST = 11
"""px: the Gaussian window of SSIM."""


@dataclass(frozen=True)
class Side:
    """One way of magnifying a clip.

    Attributes
    ----------
    name : as it was asked for.
    onset, apex : (y, x, 3) uint8, what was magnified.
    images : (af, y, x, 3) uint8.
    """

    name: str
    onset: np.ndarray
    apex: np.ndarray
    images: np.ndarray


@dataclass(frozen=True)
class Comparison:
    """Two sides and their measures, one an AF.

    Attributes
    ----------
    title : the clip.
    af : the factors.
    first, second : the sides.
    ssim : structural similarity of the two sides' images: 1 for equal ones.
    motion : for each side, see `motion_ratio`; None for a clip that does not move.
    """

    title: str
    af: tuple[float, ...]
    first: Side
    second: Side
    ssim: tuple[float, ...]
    motion: tuple[tuple[float, ...] | None, tuple[float, ...] | None]

    @property
    def panels(self) -> Panels:
        """The first side's images, the second's below them, and their difference."""
        grey = [np.abs(a.astype(np.int16) - b).max(-1).astype(np.float64) for a, b in
                zip(self.first.images, self.second.images, strict=True)]  # fmt: skip
        scale = pictures.heat_scale(*grey, least=8)
        drawn, captions = [], []
        for side, mark, motion in zip((self.first, self.second), ("onset", "apex"), self.motion, strict=True):
            drawn += [getattr(side, mark), *side.images]
            captions += [mark, *(_caption(af, motion, i) for i, af in enumerate(self.af))]
        key = np.tile(np.linspace(0, scale, drawn[0].shape[1]), (drawn[0].shape[0], 1))
        drawn.append(pictures.heat_picture(key, scale))
        captions.append(f"difference: 0 to {scale:g} grey levels")
        drawn += [pictures.heat_picture(g, scale) for g in grey]
        captions += [f"AF {af:g}, SSIM {value:.3f}" for af, value in zip(map(_shown, self.af), self.ssim, strict=True)]
        note = (
            f"above: {self.first.name}; below: {self.second.name}. Motion is what TV-L1 finds over AF x the apex's: "
            "1.00 is as asked for"
        )
        return Panels(tuple(drawn), tuple(captions), self.title, note, len(self.af) + 1)

    @property
    def table(self) -> RenderableType:
        """The measures, for a terminal."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
        for column in ("AF", "SSIM", "motion of the first", "of the second"):
            table.add_column(column, justify="right", no_wrap=True)
        for i, af in enumerate(self.af):
            moved = ("no motion" if ratios is None else f"{ratios[i]:.2f}" for ratios in self.motion)
            table.add_row(f"{_shown(af):g}", f"{self.ssim[i]:.4f}", *moved)
        sides = f"first: {self.first.name}\nsecond: {self.second.name}"
        how = "SSIM of the two; motion that TV-L1 finds over AF times the apex's, 1 is as asked for"
        return Group(Text(self.title), Text(sides), "", table, "", Text(how, style="dim"))

    def as_json(self) -> dict[str, Any]:
        """The measures as plain values."""
        return {
            "clip": self.title.partition(" · ")[0],
            "first": self.first.name,
            "second": self.second.name,
            "af": list(self.af),
            "ssim": list(self.ssim),
            "motion_first": None if self.motion[0] is None else list(self.motion[0]),
            "motion_second": None if self.motion[1] is None else list(self.motion[1]),
        }


@dataclass(frozen=True)
class Pair:
    """Onset and apex of one clip of a store, and what the store holds magnified of them.

    Attributes
    ----------
    one : the clip; `id` and `title` are its.
    onset, apex : (y, x, 3) uint8.
    stored : the AFs that the store holds; () where it has no magnified images.
    recipe : of the store, plain values.
    """

    one: OneClip
    onset: np.ndarray
    apex: np.ndarray
    stored: tuple[float, ...]

    @property
    def id(self) -> str:
        return self.one.coordinates["sample"]

    @property
    def title(self) -> str:
        return self.one.title

    @property
    def recipe(self) -> Mapping[str, Any]:
        found = self.one.facts.get("recipe")
        return found if isinstance(found, Mapping) else {}

    def stored_side(self, name: str, af: Sequence[float]) -> Side:
        """What the store holds at these AFs; StoreError where it lacks one."""
        check_stage(self.one.stages, "magnify")
        rows = chosen_places(self.one, "magnify", "image", af)["af"]
        return Side(name, self.onset, self.apex, self.one.values("magnify", "image")[rows])


def read_pair(store_path: str | Path, clip: str) -> Pair:
    """Onset and apex of a clip.

    Raises
    ------
    StoreError : the store or the clip is not there, or it holds no aligned frames.
    """
    one = open_clip(store_path, clip)
    check_stage(one.stages, "crop")
    marks = one.leading("crop", "image").get("mark", [])
    if not {"onset", "apex"} <= set(marks):
        raise StoreError(f"{store_path} holds no onset and apex", "build it again with this mer-pipe")
    frames = one.values("crop", "image")
    onset, apex = (pictures.image_picture(frames[marks.index(mark)]) for mark in ("onset", "apex"))
    stored = tuple(one.leading("magnify", "image").get("af", ())) if "magnify" in one.stages else ()
    return Pair(one, onset, apex, stored)


def few(af: Sequence[float], most: int = MOST) -> tuple[float, ...]:
    """At most `most` of the factors, evenly taken, both ends kept."""
    if len(af) <= most:
        return tuple(af)
    return tuple(af[round(i * (len(af) - 1) / (most - 1))] for i in range(most))


def compared(
    title: str,
    af: Sequence[float],
    first: Side,
    second: Side,
    flow: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> Comparison:
    """Measure two sides.

    Parameters
    ----------
    flow : of two images, (y, x, 2) px on the first one's grid, as `mer_pipe.tvl1`.

    Raises
    ------
    StoreError : the sides' images differ in size.
    MerError : a factor is not above 0.
    """
    if not af:
        raise MerError("the two stores share no AF", "compare each with a recipe instead of the other")
    if any(a <= 0 for a in af):
        raise MerError("at AF 0 nothing moves, so there is no ratio of motions", "compare AFs above 0")
    if first.images.shape != second.images.shape:
        sizes = " and ".join(f"{s.images.shape[2]} x {s.images.shape[1]} px" for s in (first, second))
        raise StoreError(f"images of {sizes} cannot be compared", "build both stores with one crop.size")
    alike = tuple(ssim(a, b) for a, b in zip(first.images, second.images, strict=True))
    moved = []
    for side in (first, second):
        wanted = flow(side.onset, side.apex)
        if _rms(wanted) < STILL:
            moved.append(None)
            continue
        moved.append(tuple(motion_ratio(flow(side.onset, i), wanted, a) for i, a in zip(side.images, af, strict=True)))
    return Comparison(title, tuple(af), first, second, alike, (moved[0], moved[1]))


def ssim(first: np.ndarray, second: np.ndarray) -> float:
    """Structural similarity of two (y, x, 3) uint8 images, mean over pixels and channels: Gaussian window of sigma 1.5,
    as Wang et al., IEEE TIP 2004."""
    from skimage.metrics import structural_similarity

    if min(first.shape[:2]) < SMALLEST:
        raise StoreError(
            f"images of {first.shape[1]} x {first.shape[0]} px are too small for SSIM", "take 11 px or more"
        )
    return float(
        structural_similarity(
            first,
            second,
            channel_axis=-1,
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def motion_ratio(found: np.ndarray, wanted: np.ndarray, af: float) -> float:
    """How much of the wanted motion is in a magnified image: the factor that takes ``af * wanted`` nearest to `found`.

    Least squares over all pixels, <found, wanted> / (af <wanted, wanted>): 1 where all is there, 1 / af where the apex
    was only copied. Motion of another direction does not count.

    Parameters
    ----------
    found, wanted : (y, x, 2) px, flow from the onset to the magnified image and to the apex.
    """
    wanted = wanted.astype(np.float64)
    return float((found * wanted).sum() / (af * np.square(wanted).sum()))


def _rms(flow: np.ndarray) -> float:
    return float(np.sqrt(np.square(flow, dtype=np.float64).sum(-1).mean()))


def _shown(af: float) -> float:
    return round(af, AF_DIGITS)


def _caption(af: float, motion: Sequence[float] | None, place: int) -> str:
    return f"AF {_shown(af):g}, " + ("no motion" if motion is None else f"motion {motion[place]:.2f}")
