"""The torch engine of TV-L1: the native solver's numbers, pair by pair, whatever the batch, the threads or the device."""

from __future__ import annotations

import contextlib
import shutil

import cv2
import numpy as np
import pytest
import torch

from mer_pipe.stages import _planes_torch as planes
from mer_pipe.stages import _tvl1_batches, _tvl1_torch
from mer_pipe.stages.flow import Tvl1, tvl1, tvl1_pairs
from mer_pipe.types import ClipError, MachineError, RecipeError
from tests.stages.test_flow import CONSTANTS, X, Y, photograph, reference_steps

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
SHAPES = [(1, 1), (1, 50), (50, 1), (2, 3), (7, 5), (33, 31), (97, 51)]


def stack(count: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of several motions, one of them brighter as well."""
    shifts = [(-0.4 * i + 0.6 * np.sin(Y / 15), 0.3 * i) for i in range(count)]
    targets = np.stack([photograph(*shift) for shift in shifts])
    targets[1] = np.clip(np.rint(targets[1] * 1.03 + 4), 0, 255)
    return np.stack([photograph(0, 0)] * count), targets


def noise(shape: tuple[int, int], count: int = 3) -> np.ndarray:
    return np.random.default_rng(3).uniform(0, 255, (count, *shape)).astype(np.float32)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"illumination": False, "presmooth": 0.0},
        {"tolerance": 0.0, "huber": 0.0, "warps": 1, "iterations": 10},
        {"attachment": 0.05, "presmooth": 2.1, "warps": 3},
    ],
)
def test_it_differs_from_the_native_engine_by_rounding(parameters):
    sources, targets = stack(2)
    flows = tvl1_pairs(sources, targets, "cpu", **parameters)
    for source, target, flow in zip(sources, targets, flows, strict=True):
        off = np.abs(flow - tvl1(source, target, **parameters))
        assert off.mean() < 1e-4
        assert off.max() < 0.01


def test_a_pairs_bytes_depend_on_that_pair_alone():
    sources, targets = stack()
    together = tvl1_pairs(sources, targets, "cpu")
    for batch in (1, 2):
        assert tvl1_pairs(sources, targets, "cpu", batch).tobytes() == together.tobytes()
    assert tvl1_pairs(sources[3:], targets[3:], "cpu").tobytes() == together[3:].tobytes()


def test_the_stage_gives_what_the_pairs_give():
    sources, targets = stack(2)
    flow = Tvl1("torch")(source=sources[1], target=targets[1])["flow"]
    Tvl1("torch").returns["flow"].check(flow)
    assert np.array_equal(flow, tvl1_pairs(sources[1:], targets[1:], batch=1)[0])


def test_threads_change_no_byte():
    sources, targets = (np.tile(images, (1, 2, 3, 1)) for images in stack(2))
    before, made = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            made.append(tvl1_pairs(sources, targets, "cpu", iterations=5).tobytes())
    finally:
        torch.set_num_threads(before)
    assert made[0] == made[1]


def test_the_steps_are_those_that_chambolle_and_pock_wrote():
    rng = np.random.default_rng(5)
    numbers = np.zeros((12, 23, 30))
    numbers[8:10] = rng.normal(0, 5, (2, 23, 30))
    numbers[10] = 1 / ((numbers[8:10] ** 2).sum(axis=0) + 1e-6)
    numbers[11] = rng.normal(0, 5, (23, 30))
    expected = reference_steps(numbers, 40, *CONSTANTS)
    _, sigma, attachment, huber = CONSTANTS
    tau, exact = _tvl1_torch.TAU, torch.from_numpy(numbers)[None]
    assert (tau, _tvl1_torch.SIGMA) == CONSTANTS[:2]
    zero = torch.zeros(1, 2, 23, 30, dtype=torch.float64)
    state = _tvl1_torch.State(zero, zero, zero, zero)
    data = _tvl1_torch.Data(exact[:, 8:10], exact[:, 10], exact[:, 11])
    for _ in range(40):
        state = _tvl1_torch.stepped(state, data, 1 / (1 + sigma * huber), tau * attachment)
    assert np.abs(state.flow[0].numpy() - expected).max() < 1e-12 * np.abs(expected).max()


@pytest.mark.parametrize("shape", SHAPES)
def test_filters_are_opencvs(shape):
    images = noise(shape)
    tensors, (height, width) = torch.from_numpy(images), shape

    def furthest(found: torch.Tensor, function) -> float:
        return max(np.abs(a.numpy() - function(b).reshape(a.shape)).max() for a, b in zip(found, images, strict=True))

    for sigma in (0.3, 0.8, 2.1):
        assert furthest(planes.blurred(tensors, sigma), lambda i, s=sigma: cv2.GaussianBlur(i, (0, 0), s)) < 1e-3
    small = (width + 1) // 2, (height + 1) // 2
    assert furthest(planes.halved(tensors), lambda i: cv2.resize(cv2.GaussianBlur(i, (0, 0), 0.8), small)) < 1e-3
    for size in ((2 * width, 2 * height), (2 * width - 1, 2 * height - 1)):
        wide = planes.enlarged(tensors, *size[::-1])
        assert furthest(wide, lambda i, s=size: cv2.resize(i, s, interpolation=cv2.INTER_CUBIC)) < 2e-3
    assert furthest(planes.median5(planes.bordered(tensors, 2, 2)), lambda i: cv2.medianBlur(i, 5)) == 0


def test_sums_are_exact_for_any_number_of_values():
    for size in (1, 2, 3, 17, 64, 100):
        values = torch.arange(2.0 * size, dtype=torch.float64).reshape(2, 1, size)
        (found,) = _tvl1_torch._sums(values)
        assert torch.equal(found, values.sum(dim=(1, 2), keepdim=True))


def test_gray_stacks_give_the_flow_of_gray_rgb():
    sources, targets = stack(2)
    flow = tvl1_pairs(sources, targets, "cpu")
    assert np.abs(tvl1_pairs(sources[..., :1], targets[..., :1], "cpu") - flow).max() < 1e-3
    assert np.abs(tvl1_pairs(sources[..., 0], targets[..., 0], "cpu") - flow).max() < 1e-3


def test_no_pairs_have_no_flow():
    assert tvl1_pairs(*np.zeros((2, 0, 40, 50, 3), np.uint8)).shape == (0, 40, 50, 2)


def test_what_cannot_be_solved_is_refused():
    sources, targets = stack(2)
    with pytest.raises(ClipError, match="no pairs of images"):
        tvl1_pairs(sources, targets[:1])
    with pytest.raises(ClipError, match="is no image"):
        tvl1_pairs(sources.astype(np.float32), targets.astype(np.float32))
    with pytest.raises(RecipeError, match="no device 'gpu'"):
        tvl1_pairs(sources, targets, "gpu")
    with pytest.raises(RecipeError, match="not solved on 'meta'"):
        tvl1_pairs(sources, targets, "meta")
    with pytest.raises(MachineError, match="cuda:97 is not there"):
        tvl1_pairs(sources, targets, "cuda:97")
    with pytest.raises(RecipeError, match="batch of 0"):
        tvl1_pairs(sources, targets, batch=0)


def test_the_engine_is_in_the_key_and_the_device_is_not():
    assert Tvl1("torch").parameters() == Tvl1().parameters() | {"engine": "torch"}


def test_loops_that_cannot_be_fused_are_run_as_they_are_with_a_warning():
    ran = []

    def run(loops):
        ran.append(loops)
        if loops is not _tvl1_torch.PLAIN:
            raise RuntimeError("no compiler here\nand more")

    with pytest.warns(RuntimeWarning, match=r"cannot fuse the loops of the flow \(no compiler here\)"):
        assert _tvl1_batches.that_run(run) is _tvl1_torch.PLAIN
    assert len(ran) == 2
    with pytest.warns(RuntimeWarning), pytest.raises(ValueError, match="of its own"):
        _tvl1_batches.that_run(lambda loops: (_ for _ in ()).throw(ValueError("a fault of its own")))


class Replaying:
    """Stands for torch.cuda's streams and graphs on the CPU: what is recorded runs again when it is replayed."""

    def __init__(self, monkeypatch):
        for name in ("stream", "graph", "device"):
            monkeypatch.setattr(torch.cuda, name, lambda *_: contextlib.nullcontext())
        monkeypatch.setattr(torch.cuda, "Stream", lambda: self)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda: self)
        monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: self)
        monkeypatch.setattr(_tvl1_batches, "fused", lambda: _tvl1_torch.PLAIN)
        monkeypatch.setattr(_tvl1_batches, "recorded", self.recorded)
        self.sizes = []

    def recorded(self, shape, device, settings):
        self.sizes.append(shape[0])
        made = _tvl1_batches.Recording(shape, torch.device("cpu"), settings)
        self.replay = lambda: made.flows.copy_(
            _tvl1_torch.solve(made.sources, made.targets, settings, _tvl1_torch.PLAIN)
        )
        return made

    def wait_stream(self, other):
        pass


def test_a_recording_is_filled_replayed_and_cut_to_the_pairs_asked(monkeypatch):
    """All but the graph itself, which needs a GPU."""
    sources, targets = (images[:, :40, :50] for images in stack())
    settings = _tvl1_torch.Settings(**Tvl1("torch")._settings())
    expected = tvl1_pairs(sources, targets, "cpu")
    graph = Replaying(monkeypatch)
    for batch, sizes in ((32, [8]), (4, [4, 4]), (2, [4, 4, 4])):
        graph.sizes.clear()
        found = _tvl1_batches.flow(sources, targets, torch.device("cuda"), batch, settings)
        assert graph.sizes == sizes
        assert np.array_equal(found, expected)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_fused_loops_give_what_is_written():
    sources, targets = (torch.from_numpy(images[:, :50, :60]) for images in stack(4))
    settings = _tvl1_torch.Settings(**Tvl1("torch", iterations=5)._settings())
    with torch.no_grad():
        plain = _tvl1_torch.solve(sources, targets, settings, _tvl1_torch.PLAIN)
        fused = _tvl1_torch.solve(sources, targets, settings, _tvl1_batches.fused())
    assert (fused - plain).abs().mean() < 1e-4


@needs_gpu
def test_a_gpu_differs_from_the_cpu_by_rounding():
    sources, targets = stack()
    off = np.abs(tvl1_pairs(sources, targets, "cuda") - tvl1_pairs(sources, targets, "cpu"))
    assert off.mean() < 1e-4
    assert off.max() < 0.01


@needs_gpu
def test_a_recording_keeps_nothing_of_the_images_before():
    sources, targets = stack()
    first = tvl1_pairs(sources, targets, "cuda")
    tvl1_pairs(targets, sources, "cuda")
    assert np.array_equal(tvl1_pairs(sources, targets, "cuda"), first)
    # Three pairs fill a recording of four up with what lay there.
    assert np.abs(tvl1_pairs(sources[:3], targets[:3], "cuda") - first[:3]).mean() < 1e-5


@needs_gpu
def test_a_shift_is_found_on_a_gpu():
    flow = tvl1(photograph(0, 0), photograph(-2, 0), "torch")
    assert np.hypot(flow[8:-8, 8:-8, 0] - 2, flow[8:-8, 8:-8, 1]).mean() < 0.05
    assert X.shape == flow.shape[:2]
