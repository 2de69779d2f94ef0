"""Pinned outputs: numbers that change without a new stage version turn this red.

`golden.json` holds, for each stage at its version, values of its output on fixed inputs: 48 places, the mean and the spread.
After raising a stage's version, pin its new numbers: python -m tests.test_golden
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mer_pipe.stages.align import AlignCascade, AlignNone
from mer_pipe.stages.crop import Crop
from mer_pipe.stages.dynamic import Dynamic
from mer_pipe.stages.features import Features
from mer_pipe.stages.flow import Tvl1
from mer_pipe.stages.gray import Gray
from mer_pipe.stages.interpolate import Interpolate
from mer_pipe.stages.magnify import (
    Eulerian,
    EulerianClip,
    FlowWarp,
    FlowWarpClip,
    Mer,
    MerClip,
    Phase,
    PhaseClip,
    Pixel,
)
from mer_pipe.stages.register import Register
from mer_pipe.stages.scene import Scene
from mer_pipe.stages.strain import Motion, Strain
from mer_pipe.stages.travel import Travel
from mer_pipe.types import Stage, Weights

PINNED = Path(__file__).with_name("golden.json")
PLACES = 48


@dataclass(frozen=True)
class Case:
    """A stage, its inputs, and how far its values may lie from the pinned ones on another machine, in their own unit."""

    stage: Stage
    inputs: Callable[[], dict]
    tolerance: float

    @property
    def name(self) -> str:
        parameters = ",".join(
            f"{k}={v}" for k, v in self.stage.parameters().items() if k in ("engine", "method", "output")
        )
        return f"{self.stage.name}({parameters})"


def _portrait() -> np.ndarray:
    from skimage.data import astronaut

    return astronaut()


def _pair() -> tuple[np.ndarray, np.ndarray]:
    """A face and the same with the mouth's corner moved by about 1.5 px: scikit-image's portrait, warped."""
    from scipy.ndimage import map_coordinates

    face = _portrait()[30:190, 140:300].astype(float)
    y, x = np.mgrid[:160, :160].astype(float)
    bump = 1.5 * np.exp(-((y - 110) ** 2 + (x - 95) ** 2) / 400)
    moved = np.stack(
        [map_coordinates(face[..., c], [y + bump, x - bump], order=3, mode="nearest") for c in range(3)], -1
    )
    return face.astype(np.uint8), np.clip(np.rint(moved), 0, 255).astype(np.uint8)


def _clip() -> np.ndarray:
    onset, apex = (frame.astype(float) for frame in _pair())
    course = np.sin(np.linspace(0, np.pi, 12))[:, None, None, None]
    return np.rint(onset + course * (apex - onset)).astype(np.uint8)


def _flow() -> np.ndarray:
    y, x = np.mgrid[:64, :64] / 10
    return np.stack([np.sin(x) * np.cos(y), np.cos(x + y)], -1).astype(np.float32)


def _reference() -> dict:
    onset, apex = _pair()
    return {"reference": onset, "target": apex, "af": (1.0, 2.5, 8.0)}


def _source() -> dict:
    onset, apex = _pair()
    return {"source": onset, "target": apex}


def _turned() -> dict:
    """The face and its expression under a camera that turns by 2 degrees."""
    from skimage.transform import rotate

    onset, apex = _pair()
    image = rotate(apex, 2, order=3, mode="edge", preserve_range=True)
    return {"onset": onset, "image": np.rint(image[None]).astype(np.uint8), "transform": TURN}


TURN = np.array([[0.004, 0.0004, -0.6], [-0.0004, 0.004, -0.1]])
RANDOM = Weights("random:0")
LEVEL = 1.01
"""One grey level: rounding may fall the other way on another kind of processor."""

CASES = [
    Case(AlignCascade(), lambda: {"frame": _portrait()}, 1e-6),
    Case(AlignNone(), lambda: {"frame": _portrait()[:400]}, 1e-12),
    Case(Scene(60, 80), lambda: {"frame": _portrait()}, LEVEL),
    Case(Crop(96), lambda: {"frame": [_portrait()], "transform": TURN}, LEVEL),
    Case(Interpolate(7), lambda: {"clip": _clip()}, LEVEL),
    Case(FlowWarp(), _reference, 6.0),
    Case(FlowWarpClip(af=4.0), lambda: {"clip": _clip()[:4]}, 6.0),
    Case(Mer(), _reference, 6.0),
    Case(MerClip(af=4.0), lambda: {"clip": _clip()[:4]}, 6.0),
    Case(Phase(), _reference, 2.0),
    Case(PhaseClip(), lambda: {"clip": _clip()}, 2.0),
    Case(Pixel(), _reference, 0.0),
    Case(Eulerian(), _reference, 2.0),
    Case(EulerianClip(), lambda: {"clip": _clip()}, 2.0),
    Case(Tvl1(), _source, 0.02),
    Case(Tvl1(engine="torch"), _source, 0.02),
    Case(Tvl1(engine="opencv"), _source, 0.3),  # OpenCV takes other paths on processors without AVX2: 0.12 px measured
    Case(Strain(), lambda: {"flow": _flow()}, 1e-5),
    Case(Motion(), lambda: {"flow": _flow(), "strain": _flow()[..., 0] ** 2}, 0.0),
    Case(Dynamic(), lambda: {"clip": _clip()}, 1e-6),
    Case(Dynamic("svr"), lambda: {"clip": _clip()}, 1e-6),
    Case(Dynamic("approximate"), lambda: {"clip": _clip()}, 1e-5),
    Case(Travel(), lambda: dict(zip(("onset", "apex"), _pair(), strict=True)), 0.02),
    Case(Register(), _turned, 0.02),
    Case(Gray(), lambda: {"image": _pair()[0]}, 0.0),
    *(
        Case(Features(output=output, weights=RANDOM, dtype="float32"), lambda: {"image": _pair()[0][None]}, 1e-4)
        for output in ("layer3", "pool1024", "pool512")
    ),
]


def summary(case: Case) -> dict:
    """The version, and for each output its shape and values at fixed places."""
    found: dict = {"version": case.stage.version}
    for name, array in case.stage(**case.inputs()).items():
        if name == "gap":  # a residual near 0: its own tests bound it
            continue
        values = np.asarray(array, np.float64).ravel()
        places = np.linspace(0, values.size - 1, min(PLACES, values.size)).astype(int)
        told = [*values[places], values.mean(), values.std()]
        found[name] = {"shape": list(array.shape), "values": [float(f"{v:.9g}") for v in told]}
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_outputs_change_only_with_the_stage_version(case):
    pinned = json.loads(PINNED.read_text()).get(case.name)
    update = "if the change is meant, raise the stage's version and run: python -m tests.test_golden"
    assert pinned is not None, f"{case.name} is not pinned; {update}"
    found = summary(case)
    assert found["version"] == pinned["version"], f"the version changed and the numbers are the old ones; {update}"
    for name, there in pinned.items():
        if name == "version":
            continue
        assert found[name]["shape"] == there["shape"], update
        furthest = np.abs(np.subtract(found[name]["values"], there["values"])).max()
        assert furthest <= case.tolerance, f"{name} lies {furthest:.3g} from what is pinned; {update}"


def test_every_stage_of_the_default_graph_is_pinned(tmp_path):
    from mer_pipe.recipes import BUILT_IN, find_models, wire
    from mer_pipe.types import Frames, Sample

    sample = Sample("x", "s", "c", Frames(("a", "b", "c"), (1, 2, 3)), 0, 1, 2, 200.0)
    recipe = BUILT_IN["demo"]
    graph = wire(recipe, find_models(recipe), sample, lambda position: "0")
    assert {type(node.stage) for node in graph.nodes.values()} <= {type(case.stage) for case in CASES}


if __name__ == "__main__":
    PINNED.write_text(json.dumps({case.name: summary(case) for case in CASES}, indent=1) + "\n")
    print(f"pinned {len(CASES)} outputs in {PINNED}")
