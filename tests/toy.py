"""A toy pipeline with the shapes of the real one: NumPy only, so that tests of the runner take milliseconds."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from mer_pipe.pipeline.build import Built, build
from mer_pipe.pipeline.executors import serial
from mer_pipe.pipeline.graph import Graph
from mer_pipe.pipeline.nodes import Frame, Node, Product, Stack, Value
from mer_pipe.pipeline.plan import Plan, make_plan
from mer_pipe.store.cache import Cache
from mer_pipe.store.ledger import Ledger
from mer_pipe.types import ArraySpec, ClipError, Frames, Sample, Stage

IMAGE = ArraySpec(("y", "x"), "float32", "grey level")
CALLS: list[tuple[str, int]] = []
"""Every stage call of this process: (stage, number of values)."""


@dataclass(frozen=True)
class Cut(Stage):
    name: ClassVar[str] = "cut"
    version: ClassVar[int] = 1
    stacks: ClassVar[tuple[str, ...]] = ("frame",)
    most: ClassVar[int] = 4
    size: int = 4

    @property
    def returns(self) -> dict[str, ArraySpec]:
        return {"image": IMAGE}

    def __call__(self, frame: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        CALLS.append(("cut", len(frame)))
        return {"image": np.stack([f[: self.size, : self.size].astype(np.float32) for f in frame])}


@dataclass(frozen=True)
class Grow(Stage):
    name: ClassVar[str] = "grow"
    version: ClassVar[int] = 1
    along: ClassVar[str | None] = "af"
    gain: float = 1.0

    @property
    def returns(self) -> dict[str, ArraySpec]:
        return {"image": IMAGE}

    def __call__(self, reference: np.ndarray, target: np.ndarray, af: tuple[float, ...]) -> dict[str, np.ndarray]:
        CALLS.append(("grow", len(af)))
        return {"image": np.stack([reference + np.float32(a * self.gain) * (target - reference) for a in af])}


@dataclass(frozen=True)
class Pool(Stage):
    name: ClassVar[str] = "pool"
    version: ClassVar[int] = 1

    @property
    def returns(self) -> dict[str, ArraySpec]:
        return {"image": IMAGE, "length": ArraySpec((), "int32", "frame")}

    def __call__(self, clip: np.ndarray) -> dict[str, np.ndarray]:
        CALLS.append(("pool", 1))
        if clip.max() >= 250:
            raise ClipError("a frame is saturated", "film it again")
        if clip.max() >= 240:
            os.kill(os.getpid(), signal.SIGKILL)
        if clip.max() >= 230:
            raise MemoryError
        return {"image": clip.mean(0), "length": np.array(len(clip), np.int32)}


def load(frames: Frames, positions: Sequence[int]) -> list[np.ndarray]:
    return [np.load(frames.files[i]) for i in positions]


def wire(
    sample: Sample,
    digests: Callable[[int], str],
    *,
    af: tuple[float, ...] = (2.0, 4.0),
    gain: float = 1.0,
    only: tuple[str, ...] = ("grow", "pool"),
) -> Graph:
    clip = tuple(float(i) for i in range(sample.onset, sample.offset + 1))
    nodes = [
        Node("cut", Cut(), {"frame": Frame()}, {"frame": clip}),
        Node(
            "grow",
            Grow(gain),
            {
                "reference": Value("cut", "image", {"frame": float(sample.onset)}),
                "target": Value("cut", "image", {"frame": float(sample.apex)}),
            },
            {"af": af},
        ),
        Node("pool", Pool(), {"clip": Stack("cut", "image", "frame", clip)}),
    ]
    products = [
        Product("grow", "image", "grow", "image", {"af": af}, tuple((a,) for a in af), dtype="float16"),
        Product("pool", "image", "pool", "image", {}, ((),)),
    ]
    return Graph(sample, nodes, [p for p in products if p.group in only], digests)


def make_sample(root: Path, subject: int, clip: int, frames: int = 6, peak: float = 100.0, **more: object) -> Sample:
    folder = root / f"sub{subject:02d}" / f"clip{clip}"
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1000 * subject + clip)
    files = []
    for i in range(frames):
        path = folder / f"img{i + 1}.npy"
        if not path.exists():
            np.save(path, (rng.random((6, 6)) * peak).astype(np.uint8))
            os.utime(path, (1_700_000_000, 1_700_000_000))
        files.append(str(path))
    marks = {"onset": 0, "apex": frames // 2, "offset": frames - 1} | more
    return Sample(
        "toy",
        f"sub{subject:02d}",
        f"clip{clip}",
        Frames(tuple(files), tuple(range(1, frames + 1))),
        fps=200.0,
        **{"label": "others"} | marks,  # type: ignore[arg-type]
    )


def plan(samples: Sequence[Sample], cache: Path, **recipe: object) -> Plan:
    ledger = Ledger(cache)
    made = make_plan(samples, partial(wire, **recipe), lambda s, i: ledger.digest(s.frames, i), Cache(cache).has)
    ledger.save()
    return made


def run(samples: Sequence[Sample], cache: Path, store: Path, executor=serial, tell=lambda e: None, **recipe) -> Built:
    CALLS.clear()
    return build(plan(samples, cache, **recipe), cache, store, executor, load, {"recipe": "toy"}, tell)


def tree_bytes(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}
