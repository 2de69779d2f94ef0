"""Sheets of FER2013 and FER+ for tests: images whose class shows, and votes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

VOTES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
OWN = {"anger": 0, "disgust": 1, "fear": 2, "happiness": 3, "sadness": 4, "surprise": 5, "neutral": 6, "contempt": 6}


def cast(**votes: int) -> list[int]:
    """Ten votes by name."""
    return [votes.get(name, 0) for name in VOTES]


def planted(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Stripes in noise, lying, standing, or in the one or other slant: (count, 48, 48) uint8 and the class, 0 to 3."""
    rng = np.random.default_rng(seed)
    kind = np.arange(count) % 4
    rows, columns = np.mgrid[:48, :48]
    slants = (rows, columns, rows + columns, rows - columns)
    waves = [np.sin(slants[k] * rng.uniform(0.7, 0.9) + rng.uniform(0, 6)) for k in kind]
    return (128 + 60 * np.array(waves) + rng.normal(0, 20, (count, 48, 48))).clip(0, 255).astype(np.uint8), kind


def write(folder: Path, images: np.ndarray, votes: list[list[int]], parts: list[str]) -> tuple[Path, Path]:
    """Write the two sheets as they are published; the paths of pixels and votes."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels, sheet = folder / "fer2013.csv", folder / "fer2013new.csv"
    own = [OWN.get(VOTES[int(np.argmax(v))], 6) for v in votes]
    rows = (f"{e},{' '.join(map(str, i.ravel().tolist()))},{p}" for e, i, p in zip(own, images, parts, strict=True))
    pixels.write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    rows = (f"{p},fer{i:07d}.png,{','.join(map(str, v))}" for i, (v, p) in enumerate(zip(votes, parts, strict=True)))
    sheet.write_text("\n".join(["Usage,Image name," + ",".join(VOTES), *rows]) + "\n")
    return pixels, sheet


def write_planted(folder: Path, training: int = 48, test: int = 16, seed: int = 0, shuffled: bool = False):
    """Sheets of planted images, everybody agreed; with `shuffled` training votes that belong to other images."""
    images, kind = planted(training + 2 * test, seed=seed)
    if shuffled:
        kind[:training] = np.random.default_rng(seed + 1).permutation(kind[:training])
    votes = [cast(**{VOTES[k]: 8, VOTES[(k + 1) % 4]: 2}) for k in kind]
    return write(folder, images, votes, ["Training"] * training + ["PublicTest"] * test + ["PrivateTest"] * test)
