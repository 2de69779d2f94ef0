"""Rank pooling: our exact solvers against scikit-learn's liblinear on the same problems.

    OMP_NUM_THREADS=1 python benchmarks/dynamic.py [--size 112] [--runs 3]

Clips of a photograph that twitches, with noise; interleaved, one thread, CPU time. The peers are LinearSVR (squared
epsilon-insensitive loss, no bias) on the normalised running means, and LinearSVC (hinge) on all pair differences, with the
tolerance that scikit-learn takes by default. Excess is the value of the problem at a solver's image over the dual bound of
our solution, relative to that bound: how far from the minimum it stopped. All times start from the uint8 clip.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
import pairs as made

from mer_pipe.stages.dynamic import rank_pool


def running_means(clip: np.ndarray) -> np.ndarray:
    flat = clip.reshape(len(clip), -1) / 255.0
    return np.cumsum(flat, axis=0) / np.arange(1, len(clip) + 1)[:, None]


def pair_differences(means: np.ndarray) -> np.ndarray:
    first, last = np.triu_indices(len(means), 1)
    return means[last] - means[first]


def unit_rows(means: np.ndarray) -> np.ndarray:
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def sklearn_svr(clip: np.ndarray) -> np.ndarray:
    from sklearn.svm import LinearSVR

    model = LinearSVR(C=1.0, epsilon=0.1, loss="squared_epsilon_insensitive", fit_intercept=False, dual=True)
    return model.fit(unit_rows(running_means(clip)), np.arange(1, len(clip) + 1)).coef_


def sklearn_ranksvm(clip: np.ndarray) -> np.ndarray:
    from sklearn.svm import LinearSVC

    pairs = pair_differences(running_means(clip))
    # Two classes are required: every other pair the other way round, which is the same hinge.
    sign = np.where(np.arange(len(pairs)) % 2, -1, 1)
    model = LinearSVC(C=1 / len(pairs), loss="hinge", fit_intercept=False, dual=True, max_iter=20000)
    return model.fit(pairs * sign[:, None], sign).coef_[0]


def svr_value(image: np.ndarray, clip: np.ndarray) -> float:
    loss = np.maximum(0, np.abs(np.arange(1, len(clip) + 1) - unit_rows(running_means(clip)) @ image) - 0.1)
    return float(0.5 * image @ image + loss @ loss)


def ranksvm_value(image: np.ndarray, clip: np.ndarray) -> float:
    projected = running_means(clip) @ image
    first, last = np.triu_indices(len(clip), 1)
    return float(0.5 * image @ image + np.maximum(0, 1 - projected[last] + projected[first]).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)  # liblinear says when it stops early; so does the excess

    cases = (("svr", sklearn_svr, svr_value, (20, 68, 150)), ("ranksvm", sklearn_ranksvm, ranksvm_value, (10, 20, 40)))
    print(f"{given.size} x {given.size} x 3, {given.runs} runs; median (min-max)")
    heads = ("method", "frames", "ours, ms", "scikit-learn, ms", "faster by", "our gap", "our excess", "its excess")
    print("{:8} {:>6} {:>18} {:>26} {:>18} {:>8} {:>10} {:>10}".format(*heads))
    for method, peer, value, lengths in cases:
        for frames in lengths:
            clip = made.clip("chelsea", frames, frames, given.size)
            ours, theirs = [], []
            peer(clip[:3]), rank_pool(clip[:3], method)  # neither imports nor compiling are timed
            for _ in range(given.runs):
                start = time.thread_time()
                image, gap = rank_pool(clip, method, return_gap=True)
                ours.append(time.thread_time() - start)
                start = time.thread_time()
                other = peer(clip)
                theirs.append(time.thread_time() - start)
            least = value(image.ravel().astype(np.float64), clip)
            bound = least - gap * (max(1.0, least) if method == "svr" else 1.0)
            a, b, ratio = np.array(ours) * 1e3, np.array(theirs) * 1e3, np.array(theirs) / ours
            cells = [f"{np.median(v):.1f} ({v.min():.1f}-{v.max():.1f})" for v in (a, b, ratio)]
            cells += [f"{gap:.0e}", f"{least / bound - 1:.0e}", f"{value(other, clip) / bound - 1:.0e}"]
            print("{:8} {:>6} {:>18} {:>26} {:>18} {:>8} {:>10} {:>10}".format(method, frames, *cells), flush=True)
    for frames in (68, 150):
        clip = made.clip("chelsea", frames, frames)
        for method in ("ranksvm", "svr", "approximate"):
            rank_pool(clip[:3], method)
            seconds = []
            for _ in range(given.runs):
                start = time.thread_time()
                _, gap = rank_pool(clip, method, return_gap=True)
                seconds.append(time.thread_time() - start)
            print(f"224 x 224 x 3, {frames:3} frames, {method:11}: {np.median(seconds) * 1e3:6.1f} ms, gap {gap:.0e}")


if __name__ == "__main__":
    main()
