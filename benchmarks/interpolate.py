"""TIM: the closed form against the graph embedding by SVD that Zhou et al. published.

    OMP_NUM_THREADS=1 python benchmarks/interpolate.py [--size 224] [--runs 5]

Both take a uint8 clip to 11 frames; interleaved, one thread. The peer is the published construction in NumPy: centre, SVD,
path-graph embedding, curve, back. It works in float64, since float32 loses the last singular vectors.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from mer_pipe.stages.interpolate import tim


def graph_embedding(clip: np.ndarray, length: int) -> np.ndarray:
    frames = len(clip)
    pixels = clip.reshape(frames, -1).T.astype(np.float64)
    mean = pixels.mean(axis=1, keepdims=True)
    left, sizes, right = np.linalg.svd(pixels - mean, full_matrices=False)
    left, coordinates = left[:, : frames - 1], sizes[: frames - 1, None] * right[: frames - 1]
    k = np.arange(1, frames)

    def curve(p: np.ndarray) -> np.ndarray:
        return np.sin(np.pi * np.outer(p, k) + np.pi * (frames - k) / (2 * frames))

    back = np.linalg.lstsq(curve(np.arange(1, frames + 1) / frames), coordinates.T, rcond=None)[0]
    result = left @ (curve(np.linspace(1 / frames, 1, length)) @ back).T + mean
    return np.clip(np.rint(result.T), 0, 255).astype(np.uint8).reshape(length, *clip.shape[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()

    print(f"{given.size} x {given.size} x 3 uint8 to 11 frames, {given.runs} runs; median (min-max)")
    print(f"{'frames':>6} {'mer-pipe, ms':>20} {'SVD, ms':>26} {'faster by':>18} {'most apart':>11}")
    for frames in (20, 40, 68):
        rng = np.random.default_rng(frames)
        first, second = rng.integers(0, 256, (2, given.size, given.size, 3))
        weight = np.linspace(0, 0.3, frames)[:, None, None, None]
        clip = np.clip((1 - weight) * first + weight * second + rng.normal(0, 1, (frames, *first.shape)), 0, 255)
        clip = clip.astype(np.uint8)
        ours, peer = [], []
        for _ in range(given.runs):
            start = time.perf_counter()
            own = tim(clip, 11)
            ours.append(time.perf_counter() - start)
            start = time.perf_counter()
            other = graph_embedding(clip, 11)
            peer.append(time.perf_counter() - start)
        apart = int(np.abs(own.astype(int) - other).max())
        a, b, ratio = np.array(ours) * 1e3, np.array(peer) * 1e3, np.array(peer) / ours
        cells = (f"{np.median(v):.1f} ({v.min():.1f}-{v.max():.1f})" for v in (a, b, ratio))
        print("{:>6} {:>20} {:>26} {:>18} {:>11}".format(frames, *cells, f"{apart} grey"))


if __name__ == "__main__":
    main()
