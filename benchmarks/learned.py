"""Learned magnification on the CPU: encoded once, packed and rearranged, against the plain module for every AF.

    OMP_NUM_THREADS=1 python benchmarks/learned.py [--runs 7] [--weights CHECKPOINT] [--width 64]

One 224 x 224 colour pair at 12 AFs, one thread, interleaved, CPU time. "naive" is what published scripts do: the module as
it is trained, in its usual layout, called with both frames for every AF. Weights are those in the package, others with
--weights, or random ones of a width. Differences are from the naive result, in grey levels.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from mer_pipe.stages.magnify import _packed, network
from mer_pipe.stages.magnify.dialects import DIALECTS, Shape
from mer_pipe.stages.magnify.learned import shipped
from mer_pipe.stages.weights import file_digest
from mer_pipe.types import Weights

FACTORS = tuple(float(af) for af in range(2, 14))


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """Two (224, 224, 3) uint8 frames of the contrast of faces, the second moved by a fraction of a pixel."""
    rng = np.random.default_rng(0)
    rows, columns = np.fft.fftfreq(224)[:, None], np.fft.fftfreq(224)[None]
    waves = np.fft.fft2(rng.standard_normal((3, 224, 224))) / np.maximum(np.hypot(rows, columns), 1 / 224) ** 1.3
    moved = waves * np.exp(-2j * np.pi * (0.4 * columns + 0.2 * rows))
    frames = np.moveaxis(np.fft.ifft2([waves, moved]).real, 1, 3)
    levels = 128 + 40 * frames / frames.std() + rng.normal(0, 1, frames.shape)
    return tuple(torch.from_numpy(frame.clip(0, 255).round().astype(np.uint8)) for frame in levels)


def naive(net: network.Network, reference: torch.Tensor, target: torch.Tensor) -> list[torch.Tensor]:
    """One magnified image for each AF, everything computed for each."""
    images = []
    for af in FACTORS:
        a, b = (net.scaled(frame).contiguous() for frame in (reference, target))
        texture, shape_b = net.encoder(b)
        _, shape_a = net.encoder(a)
        base = shape_b if net.dialect.base == "target" else shape_a
        factor = af - 1 if net.dialect.excess else af
        images.append(net.levels(net.decoder(texture, net.manipulator(shape_b - shape_a, base, factor))))
    return images


def published(width: int = 64) -> network.Network:
    """The network of Oh et al. at a width, 64 as published, with random weights: for its speed alone."""
    torch.manual_seed(0)
    shape = Shape(bias=False, kernel=7, shape_conv=True, texture_up=True, extra=False, width=width)
    net = network.Network(DIALECTS[0], shape).eval().requires_grad_(False)
    return net.to(memory_format=torch.channels_last)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--weights", type=Path, help="a checkpoint instead of the weights in the package")
    parser.add_argument("--width", type=int, help="random weights of this width instead, 64 as published")
    given = parser.parse_args()

    torch.set_num_threads(1)
    if given.width:
        last = published(given.width)
    else:
        own = given.weights
        last = network.load(Weights(file_digest(str(own)), str(own)) if own else shipped())
    plain = network.Network(last.dialect, last.shape).eval().requires_grad_(False)
    plain.load_state_dict(last.state_dict())
    exact, near = _packed.Packed(last), _packed.Packed(last, torch.bfloat16)
    frames = pair()
    ways = {
        "naive": lambda: naive(plain, *frames),
        "encoded once, channels last": lambda: last(*frames, FACTORS),
        "mer-pipe": lambda: exact(*frames, FACTORS),
        "mer-pipe, bfloat16": lambda: near(*frames, FACTORS),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    with torch.inference_mode():
        made = {name: torch.stack(way()).float() for name, way in ways.items()}  # compiles and packs, untimed
        for _ in range(given.runs):
            for name, way in ways.items():
                start = time.thread_time()
                way()
                seconds[name].append(time.thread_time() - start)
    first = np.array(seconds["naive"])
    print(f"{'':28} {'ms, median (min-max)':>26} {'faster by':>18} {'mean, largest difference':>26}")
    for name, values in seconds.items():
        a, ratio = np.array(values) * 1e3, first / values
        cells = (f"{np.median(v):.{d}f} ({v.min():.{d}f}-{v.max():.{d}f})" for v, d in ((a, 0), (ratio, 2)))
        apart = (made[name] - made["naive"]).abs()
        print("{:28} {:>26} {:>18} {:>18.4f}, {:.0f}".format(name, *cells, float(apart.mean()), float(apart.max())))


if __name__ == "__main__":
    main()
