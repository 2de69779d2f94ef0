"""TV-L1 flow of motions that are known."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from mer_pipe.stages.flow import ENGINES, Tvl1, tvl1
from mer_pipe.types import ClipError, RecipeError

OURS = ("native", "torch")
Y, X = np.mgrid[:96, :112].astype(np.float64)


def photograph(dx: np.ndarray | float, dy: np.ndarray | float) -> np.ndarray:
    """A smooth texture seen at (x + dx, y + dy), as grey RGB."""
    x, y = X + dx, Y + dy
    grey = 128 + 40 * np.sin(x / 3.1 + np.cos(y / 7)) + 35 * np.cos(y / 4.3 - x / 11) + 25 * np.sin((x + y) / 2.3)
    return np.rint(grey)[..., None].repeat(3, axis=2).astype(np.uint8)


def error(flow: np.ndarray, u: np.ndarray | float, v: np.ndarray | float, border: int = 8) -> float:
    """Mean endpoint error inside the border."""
    off = np.hypot(flow[..., 0] - u, flow[..., 1] - v)
    return float(off[border:-border, border:-border].mean())


@pytest.mark.parametrize("engine", ENGINES)
def test_two_px_to_the_right_are_plus_two_in_u(engine):
    flow = tvl1(photograph(0, 0), photograph(-2, 0), engine)
    assert error(flow, 2, 0) < 0.05


@pytest.mark.parametrize(("u", "v"), [(0.25, 0), (0, -0.6), (-1.3, 0.7), (3.0, 4.0)])
def test_a_shift_is_found_to_a_fraction_of_a_px(u, v):
    assert error(tvl1(photograph(0, 0), photograph(-u, -v)), u, v) < 0.04


@pytest.mark.parametrize("engine", OURS)
def test_target_at_x_plus_flow_is_source_at_x(engine):
    u, v = 1.5 * np.exp(-((X - 50) ** 2 + (Y - 45) ** 2) / 400), 0.8 * np.sin(Y / 20)
    flow = tvl1(photograph(u, v), photograph(0, 0), engine)
    assert error(flow, u, v) < 0.05


def test_a_rotation_is_found():
    turn = np.deg2rad(1.0)
    u, v = -turn * (Y - 48), turn * (X - 56)
    assert error(tvl1(photograph(u, v), photograph(0, 0)), u, v) < 0.05


@pytest.mark.parametrize("engine", ENGINES)
def test_identical_frames_have_no_flow(engine):
    image = photograph(0, 0)
    assert np.abs(tvl1(image, image, engine)).max() < 1e-3


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("levels", [(0, 0), (90, 90), (255, 255), (0, 255)])
def test_constant_images_have_no_flow(engine, levels):
    first, second = (np.full((40, 33, 3), level, np.uint8) for level in levels)
    assert np.abs(tvl1(first, second, engine)).max() < 1e-4


@pytest.mark.parametrize("engine", OURS)
def test_a_change_of_light_is_no_motion(engine):
    u = 1.2 * np.exp(-((X - 50) ** 2 + (Y - 45) ** 2) / 300)
    source, target = photograph(u, 0), photograph(0, 0)
    brighter = np.clip(np.rint(target * 1.03 + 4), 0, 255).astype(np.uint8)
    plain = tvl1(source, target, engine)
    assert np.hypot(*np.moveaxis(tvl1(source, brighter, engine) - plain, -1, 0)).mean() < 0.02
    assert np.hypot(*np.moveaxis(tvl1(source, brighter, engine, illumination=False) - plain, -1, 0)).mean() > 0.1


@pytest.mark.parametrize("engine", OURS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (2, 3), (7, 5), (31, 33), (33, 31), (65, 64), (97, 51)])
def test_any_size_gives_a_finite_flow_of_that_size(shape, engine):
    rng = np.random.default_rng(0)
    source, target = rng.integers(0, 256, (2, *shape, 3), dtype=np.uint8)
    flow = tvl1(source, target, engine)
    assert flow.shape == (*shape, 2)
    assert np.isfinite(flow).all()


def test_what_lay_in_memory_before_changes_nothing():
    from mer_pipe.stages import _pyramid

    rng = np.random.default_rng(1)
    source, target = rng.integers(0, 256, (2, 70, 45, 3), dtype=np.uint8)
    clean, fresh = tvl1(source, target), _pyramid._aligned
    try:
        _pyramid._aligned = lambda size: np.full(size, np.nan, np.float32)
        assert np.array_equal(tvl1(source, target), clean)
    finally:
        _pyramid._aligned = fresh


def test_a_wide_image_is_found_as_well():
    wide = np.tile(photograph(0, 0), (1, 6, 1))
    flow = tvl1(wide[:48, 2:602], wide[:48, :600])
    assert error(flow[:, 30:80], 2, 0) < 0.05


def test_odd_sizes_are_found_as_well():
    source, target = photograph(0, 0)[:93, :101], photograph(-1, -0.5)[:93, :101]
    assert error(tvl1(source, target), 1, 0.5) < 0.05


def test_grey_images_and_one_channel_give_the_flow_of_grey_rgb():
    source, target = photograph(0, 0), photograph(-1, 0)
    flow = tvl1(source, target)
    assert np.abs(tvl1(source[..., :1], target[..., :1]) - flow).max() < 1e-3
    assert np.abs(tvl1(source[..., 0], target[..., 0]) - flow).max() < 1e-3


def reference_steps(planes: np.ndarray, steps: int, tau: float, sigma: float, attachment: float, huber: float):
    """Chambolle-Pock on whole images in float64, as in the paper, from the planes of `_tvl1`."""
    u, ahead, p = planes[:2].copy(), planes[2:4].copy(), planes[4:8].reshape(2, 2, *planes.shape[1:]).copy()
    gradient, inverse, rest = planes[8:10], planes[10], planes[11]
    for _ in range(steps):
        dx, dy = np.zeros_like(u), np.zeros_like(u)
        dx[:, :, :-1], dy[:, :-1] = np.diff(ahead, axis=2), np.diff(ahead, axis=1)
        p = (p + sigma * np.stack([dx, dy], axis=1)) / (1 + sigma * huber)
        p /= np.maximum(1, np.sqrt((p**2).sum(axis=1, keepdims=True)))
        divergence = np.diff(p[:, 0], axis=2, prepend=0) + np.diff(p[:, 1], axis=1, prepend=0)
        new = u + tau * divergence
        rho = rest + (gradient * new).sum(axis=0)
        new = new - np.clip(rho * inverse, -tau * attachment, tau * attachment) * gradient
        u, ahead = new, 2 * new - u
    return u


def level(stride: int, height: int = 23, width: int = 30):
    """A buffer of `_tvl1` with a random data term, and its (12, y, x) planes."""
    rng = np.random.default_rng(5)
    buffer = np.zeros((height + 2) * 12 * stride, np.float32)
    planes = buffer.reshape(height + 2, 12, stride)[1:-1, :, :width].transpose(1, 0, 2)
    planes[8:10] = rng.normal(0, 5, (2, height, width))
    planes[10] = 1 / ((planes[8:10] ** 2).sum(axis=0) + 1e-6)
    planes[11] = rng.normal(0, 5, (height, width))
    return buffer, planes, (height, width, stride)


CONSTANTS = (0.4, 0.3125, 0.15, 0.03)


@pytest.mark.parametrize("stride", [32, 560])
def test_the_wavefront_solves_what_chambolle_and_pock_wrote(stride):
    from mer_pipe.stages import _tvl1

    buffer, planes, size = level(stride)
    expected = reference_steps(planes.astype(np.float64), 40, *CONSTANTS)
    _tvl1.solve(buffer, *size, 40, *map(np.float32, CONSTANTS))
    assert np.abs(expected).max() > 0.1
    assert np.abs(planes[:2] - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("stride", [32, 560])
def test_the_wavefront_is_one_sweep_after_the_other_to_the_bit(stride):
    from mer_pipe.stages import _tvl1

    (together, _, size), (apart, _, _) = level(stride), level(stride)
    _tvl1.solve(together, *size, 12, *map(np.float32, CONSTANTS))
    for _ in range(12):
        _tvl1.solve(apart, *size, 1, *map(np.float32, CONSTANTS))
    assert np.array_equal(together, apart)


def test_the_warped_gradient_is_the_derivative_of_the_warped_value():
    from mer_pipe.stages import _tvl1

    image = photograph(0, 0)[..., 0].astype(np.float32)
    height, width = image.shape
    stride = -(-(width + 2) // 16) * 16
    padded = np.pad(image, ((1, 2), (1, 2)), mode="edge").ravel()

    def value(u: float, v: float) -> tuple[np.ndarray, np.ndarray]:
        buffer = np.zeros((height + 2, 12, stride), np.float32)
        planes = buffer[1:-1, :, :width].transpose(1, 0, 2)
        planes[0], planes[1] = u, v
        source = np.zeros(image.size, np.float32)
        _tvl1.linearise(
            buffer.reshape(-1), source, padded, *image.shape, stride, np.float32(1), np.float32(0), np.float32(1)
        )
        inner = planes[:, 5:-5, 5:-5].astype(np.float64)
        return inner[11] + inner[8] * u + inner[9] * v, inner[8:10]

    step = 0.01
    _, gradient = value(0.3, -0.4)
    across = (value(0.3 + step, -0.4)[0] - value(0.3 - step, -0.4)[0]) / (2 * step)
    down = (value(0.3, -0.4 + step)[0] - value(0.3, -0.4 - step)[0]) / (2 * step)
    assert np.abs(gradient[0] - across).max() < 0.02
    assert np.abs(gradient[1] - down).max() < 0.02
    assert np.abs(value(2.0, 1.0)[0] - image[6:-4, 7:-3]).max() < 1e-3


def test_threads_of_opencv_change_no_byte():
    import cv2

    source, target, before = photograph(0, 0), photograph(-0.7, 0.4), cv2.getNumThreads()
    try:
        made = []
        for threads in (1, 4):
            cv2.setNumThreads(threads)
            made.append([tvl1(source, target, engine).tobytes() for engine in ENGINES])
    finally:
        cv2.setNumThreads(before)
    assert made[0] == made[1]


def test_a_cache_folder_that_cannot_be_written_is_no_error(tmp_path):
    code = (
        "import numba.core.caching as c\n"
        "c.CacheImpl._locator_classes = []  # numba finds no folder to write to\n"
        "import numpy as np\n"
        "from mer_pipe.stages.flow import tvl1\n"
        "image = np.arange(64, dtype=np.uint8).reshape(8, 8)\n"
        "print(np.abs(tvl1(image, image)).max())\n"
        "from mer_pipe.stages import _tvl1\n"
        "print(type(_tvl1.solve._cache).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    largest, cache = done.stdout.split()
    assert float(largest) < 1e-3
    assert cache == "NullCache"


def test_the_stage_keeps_its_contract():
    stage = Tvl1()
    flow = stage(source=photograph(0, 0), target=photograph(-1, 0))["flow"]
    stage.returns["flow"].check(flow)
    assert np.array_equal(flow, tvl1(photograph(0, 0), photograph(-1, 0)))


def test_opencv_runs_with_its_defaults_and_with_a_papers_step():
    import cv2

    source, target = photograph(0, 0), photograph(-1, 0)
    default = cv2.optflow.DualTVL1OpticalFlow_create().calc(source[..., 0], target[..., 0], None)
    assert np.array_equal(tvl1(source, target, "opencv"), default)
    assert not np.array_equal(tvl1(source, target, "opencv", scale_step=0.5), default)


def test_parameters_that_an_engine_lacks_are_refused():
    with pytest.raises(RecipeError, match="opencv flow has no parameter huber"):
        Tvl1("opencv", huber=0.1)
    with pytest.raises(RecipeError, match="native flow has no parameter scale_step"):
        Tvl1(scale_step=0.5)
    with pytest.raises(RecipeError, match="torch flow has no parameter scale_step"):
        Tvl1("torch", scale_step=0.5)
    with pytest.raises(RecipeError, match="no engine 'farneback'"):
        Tvl1("farneback")
    with pytest.raises(RecipeError, match="at least one warp"):
        Tvl1(warps=0)
    with pytest.raises(RecipeError, match="out of range"):
        Tvl1(attachment=-1)


def test_images_that_do_not_match_are_refused():
    with pytest.raises(ClipError, match="have no flow"):
        tvl1(photograph(0, 0), photograph(0, 0)[:-1])
    with pytest.raises(ClipError, match="is no image"):
        tvl1(photograph(0, 0).astype(np.float32), photograph(0, 0))
