"""Optical strain: which sigma, and how fast.

    OMP_NUM_THREADS=1 python benchmarks/strain.py [--pairs 16] [--set held-out|tuning]

The strain of an estimated flow is compared with the strain of the true flow (central differences of a smooth field), for
motions of several widths: the mean error over the mean true strain among the tenth of the pixels that strain most, where
too wide a filter flattens, and the correlation over all pixels, where too narrow a filter lets the noise of the flow
through. The peers for speed are the same derivatives with SciPy's gaussian_filter, and np.gradient, the common way, which
filters nothing: beside it stands sigma 0, whose central differences are the same. Speed is CPU time, on float32 flows.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pairs as made

from mer_pipe.stages.flow import tvl1
from mer_pipe.stages.strain import optical_strain

SIGMAS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)


def scipy_strain(flow: np.ndarray, sigma: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    def derivative(field: np.ndarray, order: tuple[int, int]) -> np.ndarray:
        return gaussian_filter(field.astype(np.float64), sigma, order=order, mode="nearest")

    u, v = flow[..., 0], flow[..., 1]
    shear = derivative(u, (1, 0)) + derivative(v, (0, 1))
    return np.sqrt(derivative(u, (0, 1)) ** 2 + derivative(v, (1, 0)) ** 2 + 0.5 * shear**2).astype(np.float32)


def gradient_strain(flow: np.ndarray, sigma: float) -> np.ndarray:
    uy, ux = np.gradient(flow[..., 0])
    vy, vx = np.gradient(flow[..., 1])
    return np.sqrt(ux**2 + vy**2 + 0.5 * (uy + vx) ** 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--set", choices=("held-out", "tuning"), default="held-out")
    given = parser.parse_args()

    import cv2

    cv2.setNumThreads(1)
    held_out = given.set == "held-out"
    photographs, seed = (made.HELD_OUT, 1000) if held_out else (made.TUNING, 100)
    print(f"{given.pairs} {given.set} pairs a row, {made.SIZE} x {made.SIZE}; error in the top tenth, correlation")
    print(f"{'motion, flow':18}" + "".join(f"{'sigma ' + str(sigma):>13}" for sigma in SIGMAS))
    for widths in ((5, 8), (8, 14), (14, 24), (24, 40)):
        stock = made.make(photographs, given.pairs, seed, widths=widths)
        truth = [optical_strain(pair.flow, 0).astype(np.float64) for pair in stock]
        for engine in ("native", "opencv"):
            flows = [tvl1(pair.source, pair.target, engine) for pair in stock]
            row = f"{widths[0]:2}-{widths[1]:2} px, {engine:8}"
            for sigma in SIGMAS:
                found = [optical_strain(flow, sigma) for flow in flows]
                errors = [
                    np.abs(s - t)[t > np.quantile(t, 0.9)].mean() / t[t > np.quantile(t, 0.9)].mean()
                    for s, t in zip(found, truth, strict=True)
                ]
                alike = [np.corrcoef(s.ravel(), t.ravel())[0, 1] for s, t in zip(found, truth, strict=True)]
                row += f"{np.mean(errors):7.3f} {np.mean(alike):5.3f}"
            print(row, flush=True)

    for sigma in (2.0, 0.0):
        optical_strain(stock[0].flow.astype(np.float32), sigma)  # compiling is not timed
    for sigma, name, peer in ((2.0, "SciPy", scipy_strain), (0.0, "np.gradient", gradient_strain)):
        ours, theirs = [], []
        for pair in stock * 3:
            flow = pair.flow.astype(np.float32)
            for solver, seconds in ((optical_strain, ours), (peer, theirs)):
                start = time.thread_time()
                solver(flow, sigma)
                seconds.append(time.thread_time() - start)
        ratio = np.array(theirs) / ours
        print(
            f"speed at sigma {sigma:g}: ours {np.median(ours) * 1e3:.2f} ms, {name} {np.median(theirs) * 1e3:.2f} ms, "
            f"faster by {np.median(ratio):.2f} ({ratio.min():.2f}-{ratio.max():.2f})"
        )


if __name__ == "__main__":
    main()
