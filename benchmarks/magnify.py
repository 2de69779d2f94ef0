"""Magnifiers against exact ground truth: likeness in the moving region, false motion, size of the motion, time.

    OMP_NUM_THREADS=1 python benchmarks/magnify.py [--weights CHECKPOINT] [--strip FOLDER]

Public-domain photographs of scikit-image, 224 x 224, are carried by smooth local motions of 0.1 to 0.8 px (a brow, a
corner of the mouth) whose exact multiples are known; noise of sigma 1 is added to onset and apex, not to the truth.
A second scene, a disc of one photograph that moves as a whole over another, has sharp edges of motion and occlusion.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import skimage.data
from scipy.ndimage import map_coordinates
from scipy.optimize import least_squares
from skimage.metrics import structural_similarity

from mer_pipe.stages.magnify.eulerian import eulerian
from mer_pipe.stages.magnify.flow_warp import flow_warp
from mer_pipe.stages.magnify.learned import learned
from mer_pipe.stages.weights import file_digest
from mer_pipe.types import Weights

SEEN = ("chelsea", "coffee", "rocket")  # the parameters were chosen on these
HELD_OUT = ("astronaut", "camera", "coins", "retina", "brick")
FACTORS = (2.0, 6.0, 10.0, 13.0)
GRID = tuple(float(af) for af in range(2, 14))
SIZE, BORDER = 224, 8

Magnifier = Callable[[np.ndarray, np.ndarray, tuple[float, ...]], np.ndarray]


def photograph(name: str) -> np.ndarray:
    """The middle square of a scikit-image photograph, float64 (224, 224, 3) in 0..255."""
    image = np.atleast_3d(getattr(skimage.data, name)())[..., :3]
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    square = cv2.resize(image[top : top + side, left : left + side], (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return np.repeat(square.reshape(SIZE, SIZE, -1), 3 // (square.size // SIZE**2), axis=2).astype(np.float64)


def local_motion(rng: np.random.Generator, strongest: float, widths: tuple[float, float]) -> np.ndarray:
    """Four bumps of motion at random places, float64 (y, x, 2) in px."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(float)
    field = np.zeros((SIZE, SIZE, 2))
    for _ in range(4):
        cx, cy = rng.uniform(0.2 * SIZE, 0.8 * SIZE, 2)
        width, size, angle = rng.uniform(*widths), rng.uniform(0.3, 1.0) * strongest, rng.uniform(0, 2 * np.pi)
        bump = size * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * width**2))
        field += bump[..., None] * [np.cos(angle), np.sin(angle)]
    return field


def carried(image: np.ndarray, field: np.ndarray, af: float) -> np.ndarray:
    """Every point x of `image` carried to x + af * field(x), the inverse iterated to convergence."""
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(float)
    x, y = columns.copy(), rows.copy()
    for _ in range(120):
        u, v = (map_coordinates(field[..., i], [y, x], order=3, mode="nearest") for i in (0, 1))
        x, y = 0.5 * (x + columns - af * u), 0.5 * (y + rows - af * v)
    return np.stack([map_coordinates(image[..., c], [y, x], order=5, mode="mirror") for c in range(3)], axis=2)


def noisy(image: np.ndarray, rng: np.random.Generator, sigma: float = 1.0) -> np.ndarray:
    """`image` as a camera with noise `sigma` would store it, uint8."""
    return np.clip(np.rint(image + rng.normal(0, sigma, image.shape)), 0, 255).astype(np.uint8)


def likeness(out: np.ndarray, truth: np.ndarray, inside: np.ndarray) -> float:
    """Mean SSIM of the lumas (Wang et al. 2004: Gaussian of 1.5 px) over `inside`."""
    lumas = [f.astype(np.float64) @ [0.299, 0.587, 0.114] for f in (out, truth)]
    options = {"data_range": 255, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(*lumas, full=True, **options)[1][inside].mean())


def moved_by(image: np.ndarray, out: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The shift (u, v) of `image` that matches `out` best, by least squares on the middle of the green channel."""
    rows, columns = np.mgrid[32 : SIZE - 32, 32 : SIZE - 32].astype(float)
    seen = out[32:-32, 32:-32, 1].astype(float)

    def misfit(d: np.ndarray) -> np.ndarray:
        return (map_coordinates(image[..., 1], [rows - d[1], columns - d[0]], order=5, mode="mirror") - seen).ravel()

    return least_squares(misfit, start, diff_step=1e-3, loss="soft_l1").x


def moving_disc(front: np.ndarray, back: np.ndarray, move: np.ndarray, radius: float, af: float) -> np.ndarray:
    """A disc of `front` over `back`, moved by af * move px, its edge 1.5 px soft."""
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(float)
    x, y = columns - af * move[0], rows - af * move[1]
    cover = np.clip((radius - np.hypot(x - SIZE / 2, y - SIZE / 2)) / 1.5 + 0.5, 0.0, 1.0)[..., None]
    moved = np.stack([map_coordinates(front[..., c], [y, x], order=5, mode="mirror") for c in range(3)], axis=2)
    return cover * moved + (1.0 - cover) * back


def measure(methods: dict[str, Magnifier], names: tuple[str, ...]) -> None:
    """Print likeness, false motion and relative motion for `names`."""
    rng = np.random.default_rng(20)
    similar = {m: [] for m in methods}
    false = {m: [] for m in methods}
    ratio = {m: [] for m in methods}
    disc = {m: [] for m in methods}
    step = np.array([0.15, 0.10])
    for name in names:
        image = photograph(name)
        for strongest, widths in ((0.3, (8.0, 16.0)), (0.8, (12.0, 25.0))):
            field = local_motion(rng, strongest, widths)
            inside = np.hypot(*np.moveaxis(field, 2, 0)) > 0.05
            inside[:BORDER] = inside[-BORDER:] = inside[:, :BORDER] = inside[:, -BORDER:] = False
            onset, apex = noisy(image, rng), noisy(carried(image, field, 1.0), rng)
            truths = [carried(image, field, af) for af in FACTORS]
            for method, run in methods.items():
                outs = run(onset, apex, FACTORS)
                similar[method].append([likeness(o, t, inside) for o, t in zip(outs, truths, strict=True)])
        angle, length, radius = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.7), rng.uniform(25, 45)
        move = length * np.array([np.cos(angle), np.sin(angle)])
        scene = partial(moving_disc, photograph(names[names.index(name) - 1]), image, move, radius)
        inside = np.hypot(*(np.mgrid[:SIZE, :SIZE] - SIZE / 2)) < radius + 12
        onset, apex = noisy(scene(0.0), rng), noisy(scene(1.0), rng)
        for method, run in methods.items():
            outs = run(onset, apex, FACTORS)
            disc[method].append([likeness(o, scene(af), inside) for o, af in zip(outs, FACTORS, strict=True)])
        onset, again = noisy(image, rng), noisy(image, rng)
        whole = np.broadcast_to(step, (SIZE, SIZE, 2))
        shifted = noisy(carried(image, whole, 1.0), rng)
        for method, run in methods.items():
            false[method].append(np.abs(run(onset, again, (13.0,))[0] - image).mean())
            outs = run(onset, shifted, FACTORS)
            found = [
                moved_by(image, o, af * step) @ step / (step @ step * af) for o, af in zip(outs, FACTORS, strict=True)
            ]
            ratio[method].append(found)
    print(f"\n{', '.join(names)}")
    print("| method | SSIM, AF 2 | 6 | 10 | 13 | SSIM of the disc, AF 2 | 6 | 10 | 13 |", end="")
    print(" false change, AF 13 | motion out / wanted, AF 2 | 6 | 10 | 13 |")
    print("|---" * 14 + "|")
    for method in methods:
        cells = [f"{v:.3f}" for v in (*np.mean(similar[method], axis=0), *np.mean(disc[method], axis=0))]
        cells += [f"{np.mean(false[method]):.2f}", *(f"{v:.2f}" for v in np.mean(ratio[method], axis=0))]
        print(f"| {method} | {' | '.join(cells)} |")


def clock(methods: dict[str, Magnifier], rounds: int = 7) -> None:
    """Print the time of one 224 x 224 colour pair at 12 AFs, the methods interleaved, least of `rounds`."""
    rng = np.random.default_rng(21)
    image = photograph("astronaut")
    field = local_motion(rng, 0.8, (12.0, 25.0))
    onset, apex = noisy(image, rng), noisy(carried(image, field, 1.0), rng)
    shifted = noisy(carried(image, np.full((SIZE, SIZE, 2), 0.3), 1.0), rng)
    times: dict[str, list[list[float]]] = {m: [] for m in methods}
    for _ in range(rounds):
        for method, run in methods.items():
            took = []
            for target, factors in ((apex, GRID), (shifted, GRID), (shifted, GRID[:1])):
                start = time.perf_counter()
                run(onset, target, factors)
                took.append(1e3 * (time.perf_counter() - start))
            times[method].append(took)
    print("\n| method | ms, local motion, 12 AFs | ms, all pixels moving, 12 AFs | ms, all pixels moving, 1 AF |")
    print("|---|---|---|---|")
    for method in methods:
        print(f"| {method} | {' | '.join(f'{v:.1f}' for v in np.min(times[method], axis=0))} |")


def draw_strips(methods: dict[str, Magnifier], folder: Path) -> None:
    """Write for each method a strip of onset and AF 1, 2, 4, 6, 8, 10, 13, and the truth, of the astronaut."""
    rng = np.random.default_rng(22)
    image = photograph("astronaut")
    field = local_motion(rng, 0.8, (12.0, 20.0))
    onset, apex = noisy(image, rng), noisy(carried(image, field, 1.0), rng)
    factors = (1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 13.0)
    rows = {"truth": np.stack([carried(image, field, af) for af in factors])}
    rows |= {method: run(onset, apex, factors) for method, run in methods.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for name, row in rows.items():
        strip = np.concatenate([onset, *np.clip(np.rint(row), 0, 255).astype(np.uint8)], axis=1)
        cv2.imwrite(str(folder / f"{name}.png"), strip[..., ::-1])


def main() -> None:
    """Run everything and print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="checkpoint of the learned method (left out without it)")
    parser.add_argument("--strip", type=Path, help="folder for strips of pictures")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    methods: dict[str, Magnifier] = {
        "copy the apex": lambda onset, apex, af: np.repeat(apex[None], len(af), axis=0),
        "eulerian, lambda_c 0": partial(eulerian, lambda_c=0.0),
        "eulerian": eulerian,
        "flow, noise_floor 0": partial(flow_warp, noise_floor=0.0),
        "flow, finest 1": partial(flow_warp, finest=1),
        "flow": flow_warp,
    }
    if options.weights:
        import torch

        torch.set_num_threads(1)
        methods["learned"] = partial(learned, weights=Weights(file_digest(str(options.weights)), str(options.weights)))
    print(f"{platform.processor() or platform.machine()}, OpenCV {cv2.__version__}, NumPy {np.__version__}, one thread")
    measure(methods, HELD_OUT)
    measure(methods, SEEN)
    clock(methods)
    if options.strip:
        draw_strips(methods, options.strip)


if __name__ == "__main__":
    main()
