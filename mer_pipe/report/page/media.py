"""Pictures as the bytes of a page: WebP through Pillow."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np

from mer_pipe.report.page.html import Markup, h


@dataclass(frozen=True)
class Look:
    """What a report shows, and how large.

    Attributes
    ----------
    single : everything in one file, pictures smaller.
    shareable : without pictures in which a face can be seen.
    side : longest side of a clip's pictures in px.
    quality : of their compression; `fine` where small differences between two pictures matter, `rough` where they do not.
    """

    single: bool = False
    shareable: bool = False
    side: int = 256
    quality: int = 84
    fine: int = 92
    rough: int = 64

    @classmethod
    def of(cls, single: bool, shareable: bool) -> Look:
        return cls(True, shareable, 144, 70, 82, 40) if single else cls(False, shareable)

    def image(
        self, picture: np.ndarray, alt: str, quality: int | None = None, **attributes: str | bool | None
    ) -> Markup:
        """An <img> that holds its own bytes."""
        data = compressed(fitted(picture, self.side), self.quality if quality is None else quality)
        return h("img", src=data_uri(data), alt=alt, width=picture.shape[1], height=picture.shape[0], **attributes)


def compressed(picture: np.ndarray, quality: int) -> bytes:
    """A (y, x, 3) uint8 picture as WebP, or as JPEG where Pillow was built without WebP."""
    from PIL import Image, features

    file = io.BytesIO()
    image = Image.fromarray(picture)
    if features.check("webp"):
        image.save(file, "webp", quality=quality, method=2)
    else:
        image.save(file, "jpeg", quality=quality, optimize=True)
    return file.getvalue()


def suffix(data: bytes) -> str:
    """File name ending of what `compressed` made."""
    return "webp" if data[8:12] == b"WEBP" else "jpg"


def data_uri(data: bytes) -> str:
    kind = "webp" if suffix(data) == "webp" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def fitted(picture: np.ndarray, side: int, exact: bool = False) -> np.ndarray:
    """The picture with its longer side reduced to `side` px; with `exact`, squeezed or enlarged to a square."""
    from PIL import Image

    high, wide = picture.shape[:2]
    if exact:
        size = (side, side)
    elif max(high, wide) <= side:
        return picture
    else:
        size = (max(1, round(wide * side / max(high, wide))), max(1, round(high * side / max(high, wide))))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def cells(field: np.ndarray, most: int = 32) -> np.ndarray:
    """A field (y, x, ...) averaged over a grid of at most `most` x `most` cells, and drawn at its own size again.

    What moves, and how far, stays; the contours of a face do not.
    """
    rows, columns = (np.arange(n) * min(most, n) // n for n in field.shape[:2])
    total = np.zeros((rows[-1] + 1, columns[-1] + 1, *field.shape[2:]))
    count = np.zeros(total.shape[:2])
    place = (rows[:, None], columns[None, :])
    np.add.at(total, place, np.nan_to_num(field.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0))
    np.add.at(count, place, 1)
    mean = total / count.reshape(count.shape + (1,) * (field.ndim - 2))
    return mean[rows][:, columns].astype(np.float32)
