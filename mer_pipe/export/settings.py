"""What is asked of an export. Loads nothing heavy."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mer_pipe.types import MerError

FORMATS = ("pictures", "numpy", "webdataset", "huggingface")
LAYOUTS = ("loso", "flat", "htnet")
SOURCES = ("flow_onset+strain", "motion")
ORDERS = ("rgb", "bgr")
CLASSES = ("store", "3")
THREE = ("negative", "positive", "surprise")
"""The classes of the composite evaluation (MEGC 2019), in the order of STSTNet's and HTNet's indices 0, 1, 2."""

TAKES = {
    "pictures": ("classes", "layout", "source", "order", "scaling", "size"),
    "numpy": ("classes", "arrays"),
    "webdataset": ("classes", "arrays", "shard"),
    "huggingface": ("classes", "arrays", "source", "order", "scaling", "size"),
}
"""The settings that each format has; the others are refused."""


class ExportError(MerError):
    """What is asked of an export, or the place it is to go to, cannot be used."""


@dataclass(frozen=True)
class Scaling:
    """How values become grey levels.

    Attributes
    ----------
    method : "minmax": each channel of each clip from its least to its largest value, 0 to 255. "fixed": u and v from
        -`px` to `px` px, 1 to 255 with 128 for 0; strain from 0 to `strain` px/px, 0 to 255; what lies beyond is clipped.
    px, strain : limits of "fixed".
    """

    method: str = "minmax"
    px: float = 0.0
    strain: float = 0.0

    def __str__(self) -> str:
        return self.method if self.method == "minmax" else f"fixed:{self.px:g},{self.strain:g}"


def read_scaling(text: str) -> Scaling:
    """The scaling that "minmax" or "fixed:PX,STRAIN" names.

    Raises
    ------
    ExportError : neither, or a limit that is not above 0.
    """
    advice = "write minmax, or fixed:2,0.1 for 2 px of flow and a strain of 0.1 px/px"
    if text == "minmax":
        return Scaling()
    number = r"(\d+\.?\d*|\.\d+)"
    found = re.fullmatch(rf"fixed:{number},{number}", text)
    if not found:
        raise ExportError(f"there is no scaling {text!r}", advice)
    px, strain = (float(part) for part in found.groups())
    if not (px > 0 and strain > 0):
        raise ExportError(f"scaling {text!r} has a limit of 0", advice)
    return Scaling("fixed", px, strain)


@dataclass(frozen=True)
class Settings:
    """What to write.

    Attributes
    ----------
    format : one of `FORMATS`.
    classes : "store": the store's labels as they are; "3": negative, positive, surprise.
    layout : of pictures: "loso" (STSTNet), "flat", or "htnet".
    source : where u, v and strain come from; "" for the first of `SOURCES` that the store has.
    order : which colours hold u, v and strain: red, green, blue ("rgb") or blue, green, red ("bgr").
    scaling : see `Scaling`.
    size : px of a picture's side.
    arrays : names of arrays ("flow_onset/flow") or of groups; "all" for every one.
    shard : MiB after which a new tar begins.
    """

    format: str
    classes: str = "store"
    layout: str = "loso"
    source: str = ""
    order: str = "rgb"
    scaling: Scaling = Scaling()
    size: int = 28
    arrays: tuple[str, ...] = ()
    shard: int = 256
