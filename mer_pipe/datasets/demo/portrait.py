"""The picture that every demo person is made of: where its landmarks are, and soft masks of its parts.

It is NASA's portrait of Eileen Collins, `skimage.data.astronaut()` (public domain).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

# Where things are in the portrait (x, y), found once with a face landmark model. Left and right are the picture's.
POINTS = {
    "chin": (221.1, 178.9),
    "forehead": (226.8, 76.0),
    "jaw_l": (186.5, 150.0),
    "jaw_r": (261.4, 153.0),
    "cheek_l": (180.5, 118.0),
    "cheek_r": (270.0, 121.0),
    "ear_l": (173.0, 124.0),
    "ear_r": (275.5, 130.0),
    "eye_l_out": (195.6, 101.0),
    "eye_l_in": (213.9, 104.1),
    "eye_r_in": (236.8, 105.3),
    "eye_r_out": (255.6, 104.4),
    "eye_l_top": (203.5, 97.6),
    "eye_l_low": (204.6, 104.6),
    "eye_r_top": (247.5, 99.8),
    "eye_r_low": (246.4, 106.8),
    "brow_l_in": (215.5, 93.6),
    "brow_l_mid": (200.0, 88.6),
    "brow_l_out": (190.1, 93.2),
    "brow_r_in": (235.5, 94.8),
    "brow_r_mid": (253.0, 91.2),
    "brow_r_out": (261.9, 97.3),
    "nose_root": (225.2, 101.6),
    "nose_tip": (223.4, 131.0),
    "ala_l": (209.1, 125.2),
    "ala_r": (238.9, 126.7),
    "mouth_l": (203.0, 139.8),
    "mouth_r": (244.7, 141.0),
    "lip_top": (223.5, 140.6),
    "lip_top_ql": (211.5, 139.8),
    "lip_top_qr": (235.5, 140.3),
    "lip_top_in": (223.4, 143.5),
    "lip_top_in_ql": (212.0, 142.1),
    "lip_top_in_qr": (235.0, 142.7),
    "lip_low_in": (222.8, 149.8),
    "lip_low_in_ql": (212.0, 148.1),
    "lip_low_in_qr": (234.5, 148.0),
    "lip_low": (222.6, 155.7),
    "lip_low_ql": (212.0, 152.0),
    "lip_low_qr": (234.5, 152.8),
    "malar_l": (190.7, 122.0),
    "malar_r": (258.5, 125.0),
    "hair_top": (232.0, 15.0),
    "hair_l": (153.0, 80.0),
    "hair_r": (301.0, 85.0),
    "hair_tl": (180.0, 42.0),
    "hair_tr": (281.0, 40.0),
    "neck_l": (187.0, 176.0),
    "neck_r": (255.0, 176.0),
}
# Outlines in the portrait, px: only their inside matters, the edge is refined against the picture itself.
_HAIR = (
    "173,132 158,111 152,97 151,66 161,48 186,38 192,26 209,18 233,13 258,19 279,29 292,42 301,63 304,83 301,105 "
    "292,122 279,131 271,119 267,99 262,89 250,84 235,82 217,84 200,82 190,76 185,84 180,111"
)
_SKIN = (
    "185,77 200,79 217,82 235,79 250,82 263,88 269,97 272,120 276,124 276,133 269,138 265,147 260,160 255,170 255,188 "
    "230,190 200,186 187,176 186,152 183,135 173,130 171,121 178,117 181,100"
)
_MOUTH = "203.5,140.5 211,142.5 223.4,143.3 236,143.5 244,141.6 240,146.5 233,149.6 223,150.8 213,149.2 207,145.5"
_BEARD = (
    "184,128 190,140 198,136 210,133 223,135 237,134 248,137 256,142 265,134 263,150 256,168 240,182 221,186 "
    "202,180 188,160"
)


@lru_cache(maxsize=1)
def portrait() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The portrait in linear light 0..1, and soft masks of its parts, all (rows, columns)."""
    import skimage.data
    from scipy.ndimage import gaussian_filter
    from skimage.draw import polygon2mask

    encoded = skimage.data.astronaut()[:330, :440].astype(np.float64) / 255
    guide = encoded.mean(-1)

    def part(outline: str, radius: int = 4, eps: float = 1e-3) -> np.ndarray:
        corners = np.array([[float(v) for v in xy.split(",")][::-1] for xy in outline.split()])
        return _refine(guide, polygon2mask(guide.shape, corners).astype(np.float64), radius, eps)

    # Steeper edges than the filter gives, and no bright pixel near the outline: a skirt of backdrop painted as hair
    # would glow.
    hair = np.clip(1.7 * part(_HAIR, 3, 3e-4) - 0.45, 0, 1)
    inner = np.clip(gaussian_filter(hair, 4) * 4 - 2.6, 0, 1)
    hair *= np.maximum(inner, np.clip((0.70 - gaussian_filter(guide, 0.8)) / 0.08, 0, 1))
    skin = np.clip(1.4 * part(_SKIN, 3, 3e-4) - 0.2, 0, 1)
    layers = {
        "hair": hair,
        "skin": skin * (1 - hair),
        "brows": _brows(guide.shape),
        "mouth": part(_MOUTH, 1, 1e-2),
        "beard": gaussian_filter(part(_BEARD, 6, 1e-1), 3.5),
    }
    return encoded**2.2, layers


def _brows(shape: tuple[int, int]) -> np.ndarray:
    """1 on the brows, fading over a pixel or two, thinner towards the temples."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    mask = np.zeros(shape)
    for side in ("l", "r"):
        ends = [np.add(POINTS[f"brow_{side}_{part}"], (0, 1.2)) for part in ("in", "mid", "out")]
        for t in np.linspace(0, 1, 25):
            x, y = (1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * (2 * ends[1] - (ends[0] + ends[2]) / 2) + t**2 * ends[2]
            width = 1.6 - 0.7 * t
            mask = np.maximum(mask, np.exp(-((columns - x) ** 2 / 4 + (rows - y) ** 2) / width**2))
    return mask


def _refine(guide: np.ndarray, mask: np.ndarray, radius: int, eps: float) -> np.ndarray:
    """Pull the edge of a rough mask onto the edges of `guide` (guided filter, He et al. 2010)."""
    from scipy.ndimage import uniform_filter

    def mean(a: np.ndarray) -> np.ndarray:
        return uniform_filter(a, 2 * radius + 1)

    m_g, m_m = mean(guide), mean(mask)
    a = (mean(guide * mask) - m_g * m_m) / (mean(guide * guide) - m_g * m_g + eps)
    return np.clip(mean(a) * guide + mean(m_m - a * m_g), 0, 1)
