"""Magnifiers against exact ground truth: likeness by condition and AF, sharpness, false motion, size of the motion, time.

    OMP_NUM_THREADS=1 python benchmarks/magnify.py [--methods flow,mer] [--seen] [--strip FOLDER]

Scenes and conditions are those of `benchmarks/magnified_scenes.py`. Likeness is SSIM of the lumas where something moves.
Sharpness is the mean length of the grey-level gradient there, over the truth's. False change is the mean difference in grey
levels between a still noisy pair at AF 13 and the clean picture. The size of the motion is found by exact shifts of the clean
picture, not by an optical flow. With --weights the learned method takes a checkpoint of yours.
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
from magnified_scenes import (
    CONDITIONS,
    FACTORS,
    HELD_OUT,
    SEEN,
    SIZE,
    Scene,
    carried,
    local_motion,
    noisy,
    photograph,
    scenes,
)
from scipy.ndimage import map_coordinates
from scipy.optimize import least_squares
from skimage.metrics import structural_similarity

from mer_pipe.stages.magnify.pair import METHODS

GRID = tuple(float(af) for af in range(2, 14))
STEP = np.array([0.15, 0.10])
STILL = (1.0, 4.0)
PUBLISHED = "learned, published size"

Magnifier = Callable[[np.ndarray, np.ndarray, tuple[float, ...]], np.ndarray]


def copy_the_apex(onset: np.ndarray, apex: np.ndarray, af: tuple[float, ...]) -> np.ndarray:
    """No magnification: what every method must beat."""
    return np.repeat(apex[None], len(af), axis=0)


def luma(frame: np.ndarray) -> np.ndarray:
    """ITU-R BT.601, float64."""
    return frame.astype(np.float64) @ [0.299, 0.587, 0.114]


def likeness(out: np.ndarray, truth: np.ndarray, inside: np.ndarray) -> float:
    """Mean SSIM of the lumas (Wang et al. 2004: Gaussian of 1.5 px) over `inside`."""
    options = {"data_range": 255, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(luma(out), luma(truth), full=True, **options)[1][inside].mean())


def sharpness(out: np.ndarray, truth: np.ndarray, inside: np.ndarray) -> float:
    """Mean length of the gradient of the luma over `inside`, over the truth's."""
    mine, right = (np.hypot(*np.gradient(luma(frame)))[inside].mean() for frame in (out, truth))
    return float(mine / right)


def moved_by(image: np.ndarray, out: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The shift (u, v) of `image` that matches `out` best, by least squares on the middle of the green channel."""
    rows, columns = np.mgrid[32 : SIZE - 32, 32 : SIZE - 32].astype(float)
    seen = out[32:-32, 32:-32, 1].astype(float)

    def misfit(d: np.ndarray) -> np.ndarray:
        return (map_coordinates(image[..., 1], [rows - d[1], columns - d[0]], order=5, mode="mirror") - seen).ravel()

    return least_squares(misfit, start, diff_step=1e-3, loss="soft_l1").x


def measure_likeness(methods: dict[str, Magnifier], made: dict[str, list[Scene]]) -> None:
    """Print SSIM by condition, method and AF, and the sharpness at AF 13."""
    for number, (condition, (kind, camera)) in enumerate(CONDITIONS.items()):
        found = {method: [] for method in methods}
        sharp = {method: [] for method in methods}
        for i, scene in enumerate(made[kind]):
            onset, apex = camera(scene, np.random.default_rng([number, i]))
            for method, run in methods.items():
                outs = run(onset, apex, FACTORS)
                pairs = list(zip(outs, scene.truths, strict=True))
                found[method].append([likeness(out, truth, scene.inside) for out, truth in pairs])
                sharp[method].append(sharpness(*pairs[-1], scene.inside))
        print(f"\n{condition}\n")
        print(f"| method | {' | '.join(f'AF {af:g}' for af in FACTORS)} | sharpness at {FACTORS[-1]:g} |")
        print("|---" * (len(FACTORS) + 2) + "|")
        best = np.max([np.mean(rows, axis=0) for rows in found.values()], axis=0)
        for method in methods:
            mean = np.mean(found[method], axis=0)
            cells = [f"**{v:.4f}**" if v == top else f"{v:.4f}" for v, top in zip(mean, best, strict=True)]
            print(f"| {method} | {' | '.join(cells)} | {np.mean(sharp[method]):.3f} |")


def with_exact_motion(onset: np.ndarray, apex: np.ndarray, af: tuple[float, ...]) -> np.ndarray:
    """What `mer` would draw if it knew that all moves by STEP: what interpolation alone leaves of a motion."""
    from mer_pipe.stages.magnify._warp_kernels import draw
    from mer_pipe.stages.magnify.mer import with_share
    from mer_pipe.stages.magnify.spline import spline

    after, before = spline(apex), with_share(spline(onset), np.full(onset.shape[:2], 0.5, np.float32))
    motion = np.broadcast_to(STEP, (SIZE, SIZE, 2)).astype(np.float32)
    out = np.empty((len(af), *apex.shape), np.uint8)
    for row, factor in zip(out, af, strict=True):
        draw(row, after, before, motion, factor, np.float32(0.5))
    return out


def measure_motion(methods: dict[str, Magnifier], names: tuple[str, ...]) -> None:
    """Print false change on still pairs, over that of copying the apex, and the size of the motion over what it should be.

    The last row tells how large a motion the measure finds where the motion is known and only drawn as `mer` draws; its false
    change means nothing.
    """
    methods = methods | {with_exact_motion.__name__: with_exact_motion}
    false = {m: [] for m in methods}
    ratio = {m: [] for m in methods}
    for number, name in enumerate(names):
        image = photograph(name)
        rng = np.random.default_rng([7, number])
        pairs = [(noisy(image, rng, sigma), noisy(image, rng, sigma)) for sigma in STILL]
        whole = np.broadcast_to(STEP, (SIZE, SIZE, 2))
        onset, shifted = noisy(image, rng), noisy(carried(image, whole, 1.0), rng)
        for method, run in methods.items():
            changes = [np.abs(run(a, b, (13.0,))[0] - image).mean() / np.abs(b - image).mean() for a, b in pairs]
            false[method].append(changes)
            outs = run(onset, shifted, FACTORS)
            moves = [moved_by(image, out, af * STEP) for out, af in zip(outs, FACTORS, strict=True)]
            ratio[method].append([m @ STEP / (STEP @ STEP * af) for m, af in zip(moves, FACTORS, strict=True)])
    stills = " | ".join(f"false change, noise {sigma:g}" for sigma in STILL)
    print(f"\n| method | {stills} | {' | '.join(f'motion, AF {af:g}' for af in FACTORS)} |")
    print("|---" * (len(FACTORS) + len(STILL) + 1) + "|")
    for method in methods:
        cells = [f"{v:.2f}" for v in np.mean(false[method], axis=0)]
        cells += [f"{v:.3f}" for v in np.median(ratio[method], axis=0)]
        print(f"| {method} | {' | '.join(cells)} |")


def published_size() -> Magnifier:
    """`learned` at the published size: the package's network has a quarter of its work. Random weights, for its time."""
    import torch
    from learned import published

    from mer_pipe.stages.magnify._packed import Packed

    net = Packed(published())

    def run(onset: np.ndarray, apex: np.ndarray, af: tuple[float, ...]) -> np.ndarray:
        with torch.inference_mode():
            return torch.stack(net(torch.from_numpy(onset), torch.from_numpy(apex), af)).numpy()

    return run


def clock(methods: dict[str, Magnifier], rounds: int = 7) -> None:
    """Print the time of one 224 x 224 colour pair at 12 AFs, the methods interleaved, median and range of `rounds`."""
    rng = np.random.default_rng(21)
    image = photograph("chelsea")
    field = local_motion(rng, 0.8, (12.0, 25.0))
    onset, apex = noisy(image, rng), noisy(carried(image, field, 1.0), rng)
    shifted = noisy(carried(image, np.full((SIZE, SIZE, 2), 0.3), 1.0), rng)
    cases = ((apex, GRID), (shifted, GRID), (shifted, GRID[:1]), (shifted, GRID[:2]))
    timed = {method: run for method, run in methods.items() if method != copy_the_apex.__name__}
    if "learned" in timed:
        timed[PUBLISHED] = published_size()
    times: dict[str, list[list[float]]] = {method: [] for method in timed}
    for round_ in range(rounds + 1):
        for method, run in timed.items():
            took = []
            for target, factors in cases:
                start = time.perf_counter()
                run(onset, target, factors)
                took.append(1e3 * (time.perf_counter() - start))
            if round_:  # the first compiles
                times[method].append(took)
    print("\n| method | ms, local motion, 12 AFs | ms, all moves, 12 AFs | 1 AF | ms for one AF more |")
    print("|---|---|---|---|---|")
    for method, rows in times.items():
        local, all_, one, two = np.transpose(rows)
        cells = [f"{np.median(v):.0f} ({v.min():.0f}-{v.max():.0f})" for v in (local, all_, one)]
        print(f"| {method} | {' | '.join(cells)} | {max(0.0, float(np.median(two - one))):.1f} |")
    for slow in ("learned", PUBLISHED) if "learned" in times else ():
        taken = np.array(times[slow])[:, 0]
        for method, rows in times.items():
            ratio = taken / np.array(rows)[:, 0]
            print(f"{method}: {np.median(ratio):.1f} ({ratio.min():.1f}-{ratio.max():.1f}) times as fast as {slow}")


def draw_strips(methods: dict[str, Magnifier], folder: Path) -> None:
    """Write for each method a strip of onset and AF 1, 2, 4, 6, 8, 10, 13, and the truth, of the astronaut."""
    rng = np.random.default_rng(22)
    image = photograph("astronaut")
    field = local_motion(rng, 0.8, (12.0, 20.0))
    onset, apex = noisy(image, rng), noisy(carried(image, field, 1.0), rng)
    factors = (1.0, *FACTORS)
    rows = {"truth": np.stack([carried(image, field, af) for af in factors])}
    rows |= {method: run(onset, apex, factors) for method, run in methods.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for name, row in rows.items():
        strip = np.concatenate([onset, *np.clip(np.rint(row), 0, 255).astype(np.uint8)], axis=1)
        cv2.imwrite(str(folder / f"{name}.png"), strip[..., ::-1])


def chosen(names: str, weights: Path | None) -> dict[str, Magnifier]:
    """The methods by name, as plain functions of onset, apex and factors."""
    methods: dict[str, Magnifier] = {copy_the_apex.__name__: copy_the_apex}
    for name in names.split(",") if names else METHODS:
        parameters = {}
        if name == "learned" and weights:
            from mer_pipe.stages.weights import file_digest
            from mer_pipe.types import Weights

            parameters["weights"] = Weights(file_digest(str(weights)), str(weights))
        stage = METHODS[name](**parameters)
        methods[name] = partial(
            lambda stage, onset, apex, af: stage(reference=onset, target=apex, af=af)["image"], stage
        )
    return methods


def main() -> None:
    """Run everything and print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default="", help="names, comma between (default: all)")
    parser.add_argument("--seen", action="store_true", help="the photographs on which parameters were chosen instead")
    parser.add_argument("--only", choices=("likeness", "motion", "time"), help="one part of it")
    parser.add_argument("--weights", type=Path, help="checkpoint of the learned method (default: the shipped one)")
    parser.add_argument("--strip", type=Path, help="folder for strips of pictures")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    methods = chosen(options.methods, options.weights)
    if "learned" in methods:
        import torch

        torch.set_num_threads(1)
    names = SEEN if options.seen else HELD_OUT
    print(f"{platform.processor() or platform.machine()}, OpenCV {cv2.__version__}, NumPy {np.__version__}, one thread")
    print(", ".join(names))
    if options.only in (None, "likeness"):
        measure_likeness(methods, scenes(names))
    if options.only in (None, "motion"):
        measure_motion(methods, names)
    if options.only in (None, "time"):
        clock(methods)
    if options.strip:
        draw_strips(methods, options.strip)


if __name__ == "__main__":
    main()
