"""Registration of heads against known motion: error, what is left of the expression, time; and on two real clips.

    OMP_NUM_THREADS=1 python benchmarks/register.py [--videos FOLDER --model face_landmarker.task] [--strip FOLDER]

Faces, expressions, noise, flicker and slow drift are those of the demo database, from seed 1: the constants were chosen
on seed 0. "Known" motion is drawn here: shifts of 1 to 4 px, up to 2 degrees and 2 %. Errors are mean distances over the
face, px of a 224 px crop.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from scipy.ndimage import map_coordinates

from mer_pipe.datasets.demo import faces, looks, motion, write
from mer_pipe.stages._head_motion import on_face
from mer_pipe.stages.align import eye_targets
from mer_pipe.stages.crop import crop
from mer_pipe.stages.geometry import apply, inverse, similarity
from mer_pipe.stages.magnify.motion import luma
from mer_pipe.stages.magnify.motion import motion as dense_flow
from mer_pipe.stages.register import following, head_motion, length

SIDE, SIZE, SEED = 224, (300, 400), 1
SHAPE = (SIDE, SIDE)
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]
FACE = on_face(COLUMNS, ROWS, SHAPE)
POINTS = np.stack([COLUMNS, ROWS], -1)[4::8, 4::8][FACE[4::8, 4::8]].astype(float)
STILL = np.eye(2, 3)

Estimator = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Scene:
    """An onset and an apex frame, where the face is in the first, how the head moves in crop px, and the expression."""

    frames: np.ndarray
    transform: np.ndarray
    head: np.ndarray
    field: np.ndarray

    @property
    def crops(self) -> np.ndarray:
        return crop(self.frames, self.transform)


def scenes(kind: str) -> Iterator[Scene]:
    """24 clips of 4 people; `kind` is "still", "drift" (the demo's own) or "known"."""
    noise = np.random.default_rng([SEED, 3]).standard_normal((2 * SIZE[0], 2 * SIZE[1], 3), np.float32) * write.NOISE
    for subject in range(1, 5):
        rng = np.random.default_rng([SEED, 1, subject])
        base, points = faces.face(looks.look(subject - 1, rng), SIZE, rng)
        eyes = [(points[f"eye_{side}_out"] + points[f"eye_{side}_in"]) / 2 for side in "lr"]
        transform = similarity(np.array(eyes), eye_targets())
        pixels = np.column_stack([transform[:, :2] * SIDE, transform[:, 2] * SIDE - 0.5])
        for index in range(6):
            clip = write.draw_clip(points, subject, index, (24, 40), SIZE, SEED)
            rng = np.random.default_rng([SEED, 9, subject, index])
            at, heads = clip.apex - clip.onset, clip.course.head
            if kind == "still":
                heads[:] = STILL
            elif kind == "known":
                heads[:] = STILL
                heads[at] = _chain(inverse(pixels), _chain(_drawn(rng), pixels))
            frames = []
            for position in (0, at):
                y, x = rng.integers(0, SIZE[0] + 1), rng.integers(0, SIZE[1] + 1)
                image = write.draw_frame(base, clip, position) + noise[y : y + SIZE[0], x : x + SIZE[1]]
                frames.append(np.rint(np.clip(image, 0, 255)).astype(np.uint8))
            head = _chain(pixels, _chain(heads[at], inverse(pixels)))
            raw = motion.flow(clip.field, clip.course.strength[at], STILL)
            where = apply(inverse(pixels), np.stack([COLUMNS, ROWS], -1).reshape(-1, 2).astype(float)).T[::-1]
            vectors = np.stack([map_coordinates(raw[..., k], where, order=1) for k in (0, 1)], -1)
            yield Scene(np.stack(frames), transform, head, (vectors @ pixels[:, :2].T).reshape(SIDE, SIDE, 2))


def _drawn(rng: np.random.Generator) -> np.ndarray:
    turn, growth = np.deg2rad(rng.uniform(-2, 2)), 1 + rng.uniform(-0.02, 0.02)
    linear = growth * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    way, centre = rng.uniform(0, 2 * np.pi), np.array([111.5, 120.0])
    return np.column_stack(
        [linear, centre + rng.uniform(1, 4) * np.array([np.cos(way), np.sin(way)]) - linear @ centre]
    )


def _chain(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    return np.column_stack([after[:, :2] @ before[:, :2], after[:, :2] @ before[:, 2] + after[:, 2]])


def ours(onset: np.ndarray, frame: np.ndarray, model: str = "similarity") -> np.ndarray:
    return head_motion(onset, [frame], model, np.inf)[0]


def flow_fit(onset: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """A similarity fitted to dense flow on the face: iteratively reweighted by Tukey's biweight, MAD scale."""
    flow = dense_flow(onset, frame, noise_floor=0)[FACE]
    x, y = COLUMNS[FACE].astype(float), ROWS[FACE].astype(float)
    one, none = np.ones_like(x), np.zeros_like(x)
    basis = np.concatenate([np.stack([one, none, x, -y], 1), np.stack([none, one, y, x], 1)])
    found, weight = np.zeros(4), np.ones(len(x))
    for _ in range(20):
        twice = np.tile(weight, 2)[:, None]
        found = np.linalg.lstsq(basis.T @ (twice * basis), basis.T @ (twice[:, 0] * flow.T.ravel()), rcond=None)[0]
        apart = np.hypot(*(flow.T - (basis @ found).reshape(2, -1)))
        weight = np.square(np.maximum(1 - np.square(apart / (4.685 * max(np.median(apart) / 1.177, 0.01))), 0))
    right, down, growth, turn = found
    return np.array([[1 + growth, -turn, right], [turn, 1 + growth, down]])


def ecc(onset: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """OpenCV's enhanced correlation (Evangelidis & Psarakis 2008) on the face: shift and turn."""
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 100, 1e-7)
    mask = FACE.astype(np.uint8)
    before, after = luma(onset), luma(frame)
    try:
        return cv2.findTransformECC(before, after, np.eye(2, 3, dtype=np.float32), cv2.MOTION_EUCLIDEAN, stop, mask, 5)[
            1
        ]
    except cv2.error:  # it did not converge
        return STILL


ESTIMATORS: dict[str, Estimator] = {
    "none": lambda onset, frame: STILL,
    "translation": partial(ours, model="translation"),
    "**similarity**": ours,
    "affine": partial(ours, model="affine"),
    "fit to dense flow": flow_fit,
    "OpenCV ECC, Euclidean": ecc,
}


def amplitude(onset: np.ndarray, apex: np.ndarray, field: np.ndarray) -> float:
    """How much of the true expression a flow other than the estimate's own finds: least squares on the field."""
    from mer_pipe.stages.flow import tvl1

    return float((tvl1(onset, apex) * field).sum() / np.square(field).sum())


def generated() -> None:
    made = {kind: list(scenes(kind)) for kind in ("still", "drift", "known")}
    for kind, all_scenes in made.items():
        true = [length(scene.head, SHAPE) for scene in all_scenes]
        print(f"\n{kind}: the head moves {np.median(true):.2f} px (median), {max(true):.2f} at most")
        print("| method | error, median | 90 % | most | CPU ms |\n|---|---|---|---|---|")
        for name, estimate in ESTIMATORS.items():
            errors, times = [], []
            for scene in all_scenes:
                onset, apex = scene.crops
                begun = time.process_time()
                found = estimate(onset, apex)
                times.append(time.process_time() - begun)
                errors.append(np.hypot(*(apply(found, POINTS) - apply(scene.head, POINTS)).T).mean())
            told = f"{np.median(errors):.3f} | {np.quantile(errors, 0.9):.3f} | {max(errors):.3f}"
            print(f"| {name} | {told} | {1000 * np.median(times):.0f} |", flush=True)
    print("\nexpression left, of that of the still head (median, least, most)\n| method | left |\n|---|---|")
    still = [amplitude(*scene.crops, scene.field) for scene in made["still"]]
    for name in ("none", "translation", "**similarity**", "affine", "the true motion"):
        left = []
        for scene, whole in zip(made["known"], still, strict=True):
            onset, apex = scene.crops
            head = scene.head if name == "the true motion" else ESTIMATORS[name](onset, apex)
            followed = following(scene.transform, head, SIDE)
            left.append(amplitude(onset, crop([scene.frames[1]], followed)[0], scene.field) / whole)
        print(f"| {name} | {np.median(left):.3f}, {min(left):.3f}, {max(left):.3f} |", flush=True)


def magnified() -> None:
    """What the expression does not move, in apexes that `flow` magnifies by 13, by a flow that magnified nothing."""
    from mer_pipe.stages.flow import tvl1
    from mer_pipe.stages.magnify.flow_warp import flow_warp

    print("\nmotion at AF 13 where the expression moves less than 0.02 px (median, most)")
    print("| clips | as aligned | registered |\n|---|---|---|")
    for kind in ("still", "drift"):
        found = []
        for scene in scenes(kind):
            onset, apex = scene.crops
            quiet = FACE & (np.hypot(*np.moveaxis(scene.field, -1, 0)) < 0.02)
            followed = crop([scene.frames[1]], following(scene.transform, ours(onset, apex), SIDE))[0]
            big = [flow_warp(onset, image, (13.0,))[0] for image in (apex, followed)]
            found.append([np.median(np.hypot(*np.moveaxis(tvl1(onset, image), -1, 0))[quiet]) for image in big])
        told = [f"{middle:.2f}, {most:.2f}" for middle, most in zip(np.median(found, 0), np.max(found, 0), strict=True)]
        print(f"| {kind} | {' | '.join(told)} |", flush=True)


def real(videos: Path, model: Path, strip: Path | None) -> None:
    """Pairs of frames of two films, with their motion before and after."""
    from mer_pipe.models import weights_from
    from mer_pipe.stages.align import AlignLandmarks

    align = AlignLandmarks(weights_from(model))
    print("\n| film | pairs | estimator | motion of the face, median | 95 % |\n|---|---|---|---|---|")
    for name in ("pexels_face", "short_face"):
        film = cv2.VideoCapture(str(videos / f"{name}.mp4"))
        frames = []
        while (read := film.read())[0]:
            frames.append(read[1][..., ::-1].copy())
        pairs = []
        for first in range(0, len(frames) - 7, 12):
            transform = align(frame=frames[first])["transform"]
            onset, apex = crop([frames[first], frames[first + 6]], transform)
            if length(ours(onset, apex), SHAPE) < 8:  # beyond, the person turns away: no clip of a micro-expression
                pairs.append((transform, onset, frames[first + 6]))
        for method in ("none", "translation", "**similarity**", "affine"):
            found = []
            for transform, onset, frame in pairs:
                apex = crop([frame], transform)[0]
                apex = crop([frame], following(transform, ESTIMATORS[method](onset, apex), SIDE))[0]
                found.append(np.quantile(np.hypot(*np.moveaxis(dense_flow(onset, apex), -1, 0))[FACE], (0.5, 0.95)))
                if strip and method in ("none", "**similarity**"):
                    shown = np.hstack([onset, apex, np.clip(128 + 2.0 * (apex.astype(float) - onset), 0, 255)])
                    named = f"{name}-{len(found):02d}-{method.strip('*')}.png"
                    cv2.imwrite(str(strip / named), shown[..., ::-1].astype(np.uint8))
            middle, most = np.median(found, 0)
            print(f"| {name} | {len(pairs)} | {method} | {middle:.2f} px | {most:.2f} px |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--videos", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--strip", type=Path, help="a folder for pictures of the real pairs")
    asked = parser.parse_args()
    generated()
    magnified()
    if asked.videos and asked.model:
        if asked.strip:
            asked.strip.mkdir(parents=True, exist_ok=True)
        real(asked.videos, asked.model, asked.strip)
