"""Draw every magnifier's answer to one pair, a row each: python docs/make_magnified.py demo.zarr

A photographed face (scikit-image's astronaut, public domain) whose brow and corner of the mouth are moved by a known field, so
that the truth can be drawn beside; and a clip of the demo database.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import map_coordinates

import mer_pipe
from mer_pipe.report.pictures import strip
from mer_pipe.stages.magnify.pair import METHODS

FOLDER = Path(__file__).parent / "pictures"
CLIP = "sub01/EP01_01"
FACTORS = (2.0, 6.0, 10.0, 13.0)
WIDTH = 1200
SIDE = 128


def photographed() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Onset and apex of the photograph with sensor noise, and the truth at each factor; uint8 (y, x, 3)."""
    import skimage.data

    image = skimage.data.astronaut()[44 : 44 + SIDE, 160 : 160 + SIDE].astype(np.float64)
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float64)
    field = np.zeros((SIDE, SIDE, 2))
    for x, y, width, move in ((46, 46, 12, (0.0, -0.4)), (44, 104, 11, (-0.35, -0.2)), (80, 104, 11, (0.35, -0.2))):
        field += np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * width**2))[..., None] * move

    def carried(af: float) -> np.ndarray:
        x, y = columns.copy(), rows.copy()
        for _ in range(100):
            u, v = (map_coordinates(field[..., i], [y, x], order=3, mode="nearest") for i in (0, 1))
            x, y = 0.5 * (x + columns - af * u), 0.5 * (y + rows - af * v)
        return np.stack([map_coordinates(image[..., c], [y, x], order=5, mode="mirror") for c in range(3)], axis=2)

    rng = np.random.default_rng(5)
    onset, apex = (_levels(carried(af) + rng.normal(0, 1, image.shape)) for af in (0.0, 1.0))
    return onset, apex, np.stack([_levels(carried(af)) for af in FACTORS])


def generated(store: str) -> tuple[np.ndarray, np.ndarray]:
    """Onset and apex of a clip of the demo, uint8 (y, x, 3)."""
    tree = mer_pipe.open(store)
    row = [name.endswith(CLIP) for name in tree["sample"].values].index(True)
    crop = tree["crop/image"][row]
    return crop.sel(mark="onset").values, crop.sel(mark="apex").values


def sheet(onset: np.ndarray, apex: np.ndarray, truth: np.ndarray | None = None) -> np.ndarray:
    """A row for the truth, where it is known, and for each method; columns onset, apex and the factors."""
    found = {"truth": truth} if truth is not None else {}
    found |= {name: mer_pipe.magnify(onset, apex, FACTORS, method=name) for name in METHODS}
    rows = [
        strip([onset, apex, *images], ["onset", "apex", *(f"AF {af:g}" for af in FACTORS)], name)
        for name, images in found.items()
    ]
    return np.concatenate(rows, axis=0)


def _levels(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


if __name__ == "__main__":
    for name, pair in (
        ("magnified-photograph.jpg", photographed()),
        ("magnified-generated.jpg", generated(sys.argv[1])),
    ):
        drawn = sheet(*pair)
        height = round(drawn.shape[0] * WIDTH / drawn.shape[1])
        Image.fromarray(drawn).resize((WIDTH, height), Image.LANCZOS).save(FOLDER / name, quality=88)
