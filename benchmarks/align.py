"""Align and crop: landmark and eye errors on annotated photographs, and one resample against three.

    OMP_NUM_THREADS=1 python benchmarks/align.py [--shared FOLDER] [--crop-only]

Landmarks and eyes need the shared test media (MERPIPE_SHARED, or `shared` beside the repository): nine photographs with
43 faces annotated by 68 points, two videos, and face_landmarker.task. The annotated faces are about 37 px wide and their
points, in whole px, come from dlib's model: a px is about 0.05 of the eye distance, so the errors below have that floor.
Each face is cut out with a margin of its own size (3 x the extent of its points), because the photographs are of groups;
faces of the training file chose the vertices of the 68-point map and the eye finder's constants, those of the testing
file did not.
"""

from __future__ import annotations

import argparse
import os
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from mer_pipe.models import weights_from
from mer_pipe.stages.align import anchors
from mer_pipe.stages.crop import crop
from mer_pipe.stages.eyes import find_eyes
from mer_pipe.stages.geometry import inverse
from mer_pipe.stages.landmarks import MESH_68, landmarks_68, meshes
from mer_pipe.types import ClipError, Weights

GROUPS = {
    "jaw": slice(0, 17),
    "brows": slice(17, 27),
    "nose": slice(27, 36),
    "eyes": slice(36, 48),
    "mouth": slice(48, 68),
}
ANGLE = 0.06  # of the face in the crop table, radians
COMMON_MAP = (  # a map that circulates on the web, for comparison
    *(
        162,
        234,
        93,
        58,
        172,
        136,
        149,
        148,
        152,
        377,
        378,
        365,
        397,
        288,
        323,
        454,
        389,
        71,
        63,
        105,
        66,
        107,
        336,
        296,
    ),
    *(
        334,
        293,
        301,
        168,
        197,
        5,
        4,
        75,
        97,
        2,
        326,
        305,
        33,
        160,
        158,
        133,
        153,
        144,
        362,
        385,
        387,
        263,
        373,
        380,
        61,
    ),
    *(39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),
)


def read(path: Path) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(path).convert("RGB"))


def annotated(folder: Path, which: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A picture round each annotated face, and its 68 points in it."""
    for image in ElementTree.parse(folder / f"{which}_with_face_landmarks.xml").getroot().iter("image"):
        frame = read(folder / image.get("file"))
        for box in image.iter("box"):
            parts = sorted(box.iter("part"), key=lambda part: part.get("name"))
            points = np.array([(int(part.get("x")), int(part.get("y"))) for part in parts], np.float64)
            low, high = points.min(0), points.max(0)
            half = 1.5 * (high - low).max()
            left, top = np.maximum(np.round((low + high) / 2 - half), 0).astype(int)
            right, bottom = np.round((low + high) / 2 + half).astype(int)
            yield np.ascontiguousarray(frame[top:bottom, left:right]), points - (left, top)


def frames(path: Path, step: int) -> Iterator[np.ndarray]:
    import cv2

    video, index = cv2.VideoCapture(str(path)), 0
    while (found := video.read())[0]:
        if index % step == 0:
            yield np.ascontiguousarray(found[1][..., ::-1])
        index += 1


def landmark_table(folder: Path, model: Weights) -> None:
    print("68 points by MediaPipe, mean error of a point (mean over faces)")
    print(f"{'faces':10}{'map':8}{'found':>8}{'by eye corners':>16}{'by box':>8}", *(f"{g:>7}" for g in GROUPS))
    for which in ("training", "testing"):
        errors = {"ours": [], "common": []}
        by_box, faces = {"ours": [], "common": []}, 0
        for picture, truth in annotated(folder, which):
            faces += 1
            found = [
                m for m in meshes(picture, model) if np.hypot(*(m.mean(0) - truth.mean(0))) < np.ptp(truth[:, 0]) / 2
            ]
            if not found:
                continue
            mesh = min(found, key=lambda m: np.hypot(*(m.mean(0) - truth.mean(0))))
            for name, index in (("ours", MESH_68), ("common", COMMON_MAP)):
                error = np.hypot(*(mesh[list(index)] - truth).T)
                errors[name].append(error / np.hypot(*(truth[45] - truth[36])))
                by_box[name].append(error.mean() / np.sqrt(np.ptp(truth, axis=0).prod()))
        for name, rows in errors.items():
            table = np.array(rows)
            groups = (f"{table[:, part].mean():7.3f}" for part in GROUPS.values())
            share = f"{len(rows)}/{faces}"
            print(f"{which:10}{name:8}{share:>8}{table.mean():16.3f}{np.mean(by_box[name]):8.3f}", *groups)


def eye_table(folder: Path, videos: Path, model: Weights) -> None:
    def lids(picture: np.ndarray) -> np.ndarray:
        return anchors(landmarks_68(picture, model), "eyes")

    def by_mediapipe(path: Path, step: int) -> list:
        return [(frame, lids(frame)) for frame in frames(path, step)]

    def by_annotation(which: str) -> list:
        return [(picture, anchors(truth, "eyes")) for picture, truth in annotated(folder, which)]

    print("\neye centres: worse eye's error in eye distances; shares are of all faces, not of those found")
    print(f"{'faces':34}{'aligner':11}{'n':>4}{'found':>7}{'median':>8}{'<.05':>6}{'<.10':>6}{'<.25':>6}{'ms':>7}")
    sets = {
        "annotated, training (tuning)": by_annotation("training"),
        "annotated, testing (held out)": by_annotation("testing"),
        "pexels_face.mp4 (tuning)": by_mediapipe(videos / "pexels_face.mp4", 12),
        "short_face.mp4 (held out)": by_mediapipe(videos / "short_face.mp4", 4),
    }
    for name, faces in sets.items():
        # The truth of a video is MediaPipe's own, so only the cascade has an error there.
        aligners = {"landmarks": lids, "cascade": find_eyes} if name.startswith("ann") else {"cascade": find_eyes}
        for aligner, find in aligners.items():
            find(faces[0][0])
            errors, start = [], time.perf_counter()
            for picture, truth in faces:
                try:
                    errors.append(np.hypot(*(find(picture) - truth).T).max() / np.hypot(*(truth[1] - truth[0])))
                except ClipError:
                    errors.append(np.inf)
            took = (time.perf_counter() - start) / len(faces) * 1e3
            errors = np.array(errors)
            shares = "".join(f"{(errors < limit).mean():6.2f}" for limit in (0.05, 0.10, 0.25))
            found = np.isfinite(errors).mean()
            print(f"{name:34}{aligner:11}{len(faces):4}{found:7.2f}{np.median(errors):8.3f}{shares}{took:7.1f}")


def similar(angle: float, scale: float, height: int, width: int, size: int) -> np.ndarray:
    """The transform of a square of size * scale px round the frame's middle, turned by `angle`."""
    c, s = size * scale * np.cos(angle), size * scale * np.sin(angle)
    x, y = (width - 1) / 2, (height - 1) / 2
    return inverse(np.array([[c, -s, x - (c - s) / 2], [s, c, y - (s + c) / 2]]))


def three_steps(frame: np.ndarray, angle: float, scale: float, size: int) -> np.ndarray:
    """Rotate the frame, cut the square out, resize it: what alignment code commonly does."""
    import cv2

    height, width = frame.shape[:2]
    x, y, side = (width - 1) / 2, (height - 1) / 2, size * scale
    turned = cv2.warpAffine(frame, cv2.getRotationMatrix2D((x, y), np.degrees(angle), 1), (width, height))
    left, top = round(x - side / 2 + 0.5), round(y - side / 2 + 0.5)
    cut = turned[top : top + round(side), left : left + round(side)]
    return cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR)


def one_warp(frame: np.ndarray, transform: np.ndarray, size: int) -> np.ndarray:
    """OpenCV's cubic warp in one step, which does not low-pass where it shrinks."""
    import cv2

    return cv2.warpAffine(
        frame, transform * size - [[0, 0, 0.5]], (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )


def crop_table(size: int = 224) -> None:
    import cv2

    cv2.setNumThreads(1)
    print(
        "\ncrop to 224 x 224, 16 frames of a clip, one thread; error against the exact picture, whose frequencies the"
    )
    print("crop can hold ('signal'), and what is left of frequencies that it cannot hold ('alias'), grey levels RMS")
    print(f"{'frame':>12}{'scale':>7}  {'method':16}{'ms/frame':>9}{'signal':>8}{'alias':>7}")
    for height, width, scale in ((480, 640, 0.95), (480, 640, 1.3), (1088, 2040, 2.2), (1088, 2040, 3.5)):
        transform = similar(ANGLE, scale, height, width, size)
        top = 0.25 / max(scale, 1)
        signal, alias = waves(height, width, top / 2, top), waves(height, width, 0.40, 0.49)
        (a, b, u), (c, d, v) = inverse(transform)
        i, j = (np.mgrid[:size, :size] + 0.5) / size
        truth = signal[1](a * j + b * i + u, c * j + d * i + v)
        methods = {
            "ours": lambda frames, t=transform: crop(frames, t, size),
            "ours, gray file": lambda frames, t=transform: crop(
                [np.broadcast_to(frame[..., :1], frame.shape) for frame in frames], t, size
            ),
            "three steps": lambda frames, s=scale: [three_steps(f, ANGLE, s, size) for f in frames],
            "cv2 cubic warp": lambda frames, t=transform: [one_warp(f, t, size) for f in frames],
        }
        clip = np.repeat(signal[0][None], 16, 0)
        times = {name: [] for name in methods}
        for _ in range(4):  # interleaved; the first round compiles and warms
            for name, method in methods.items():
                start = time.perf_counter()
                method(clip)
                times[name].append((time.perf_counter() - start) / len(clip) * 1e3)
        inner = slice(8, -8)
        for name, method in methods.items():
            off = np.asarray(method(clip[:1])[0], np.float64)[inner, inner, 0] - truth[inner, inner]
            left = np.asarray(method(alias[0][None])[0], np.float64)[inner, inner, 0].std() if scale > 2 else np.nan
            row = f"{f'{height}x{width}':>12}{scale:7.2f}  {name:16}{min(times[name][1:]):9.2f}"
            print(f"{row}{np.sqrt((off**2).mean()):8.2f}{left:7.2f}")


def waves(height: int, width: int, low: float, high: float) -> tuple[np.ndarray, Callable]:
    """An RGB frame of plane waves of `low` to `high` cycles a px, and the function of x and y that it samples."""
    rng = np.random.default_rng(5)
    turns, phases = rng.uniform(0, 2 * np.pi, (2, 8))
    lengths = rng.uniform(low, high, 8)

    def value(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        parts = zip(lengths, turns, phases, strict=True)
        return 127.5 + 14 * sum(np.cos(2 * np.pi * k * (x * np.cos(t) + y * np.sin(t)) + p) for k, t, p in parts)

    y, x = np.mgrid[:height, :width].astype(np.float64)
    return np.repeat(np.rint(value(x, y)).clip(0, 255).astype(np.uint8)[..., None], 3, -1), value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared")
    parser.add_argument("--crop-only", action="store_true")
    options = parser.parse_args()
    if not options.crop_only:
        shared = Path(os.environ.get("MERPIPE_SHARED", options.shared))
        model = weights_from(shared / "models" / "face_landmarker.task")
        landmark_table(shared / "real" / "landmarks68", model)
        eye_table(shared / "real" / "landmarks68", shared / "real" / "video", model)
    crop_table()


if __name__ == "__main__":
    main()
