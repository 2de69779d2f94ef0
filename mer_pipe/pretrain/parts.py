"""What is trained on, what validates and what tests; and every image that is left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from mer_pipe.pretrain.ferplus import PARTS, Faces
from mer_pipe.pretrain.votes import EMOTIONS, targets
from mer_pipe.types import DatasetError

REPEATED = "the same image is in PublicTest or PrivateTest"


@dataclass(frozen=True)
class Part:
    """Images with their labels.

    Attributes
    ----------
    images : (n, 48, 48) uint8.
    labels : (n, 8) float32 distributions over `votes.EMOTIONS`, each of sum 1.
    row : (n,) int32, rows of the sheets.
    """

    images: np.ndarray
    labels: np.ndarray
    row: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    @property
    def truth(self) -> np.ndarray:
        """(n,) int64, the most voted emotion; of equals the first in the order of `votes.EMOTIONS`."""
        return self.labels.argmax(1)

    @property
    def counts(self) -> dict[str, int]:
        """Images by emotion."""
        found = np.bincount(self.truth, minlength=len(EMOTIONS))
        return dict(zip(EMOTIONS, found.tolist(), strict=True))


@dataclass(frozen=True)
class Parts:
    """The three parts, and images left out: part -> reason -> number."""

    training: Part
    public: Part
    private: Part
    left_out: dict[str, dict[str, int]]


def divide(faces: Faces, mode: str, repeats: bool = False) -> Parts:
    """Divide faces as FER2013 does. Validation and test take an image where it has a majority, whatever the mode.

    Parameters
    ----------
    faces : what was read.
    mode : how votes become labels of the training images.
    repeats : whether training images that are also in a test part stay.

    Raises
    ------
    DatasetError : a part is left without images, or training with fewer than 4.
    """
    made, left_out = [], {}
    tested = {image.tobytes() for image in faces.images[faces.part > 0]}
    for place, name in enumerate(PARTS):
        here = np.flatnonzero(faces.part == place)
        labels, reasons = targets(faces.votes[here], "majority" if place else mode)
        if not place and not repeats:
            reasons = [
                reason or (REPEATED if image.tobytes() in tested else "")
                for reason, image in zip(reasons, faces.images[here], strict=True)
            ]
        used = np.array([not reason for reason in reasons], bool)
        left_out[name] = dict(sorted(Counter(reason for reason in reasons if reason).items()))
        if used.sum() < (1 if place else 4):
            raise DatasetError(
                f"{name} has {used.sum()} usable images of {len(here)}",
                "give both sheets whole: Training, PublicTest and PrivateTest are all needed",
            )
        images = faces.images[here]
        made.append(Part(images if used.all() else images[used], labels[used], faces.row[here][used]))
    return Parts(*made, left_out)
