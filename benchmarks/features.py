"""ResNet-18 on the CPU: folded, fused and packed against the plain module.

    OMP_NUM_THREADS=1 python benchmarks/features.py [--runs 20]

One 224 x 224 image at a time, one thread, interleaved, CPU time; seeded random weights. Error is the norm of the
difference from the network in float64 over the norm of that.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from mer_pipe.stages import _folded, resnet
from mer_pipe.types import Weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    given = parser.parse_args()

    torch.set_num_threads(1)
    net = resnet.load(Weights("random:0"))
    folded, near = _folded.Folded(net), _folded.Folded(net, dtype=torch.bfloat16)
    image = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    last = image.contiguous(memory_format=torch.channels_last)
    ways = {
        "plain module": lambda: net(image),
        "plain, channels last": lambda: net(last),
        "mer-pipe": lambda: folded.layer4(folded.layer3(last)),
        "mer-pipe, bfloat16": lambda: near.layer4(near.layer3(last.bfloat16())),
    }
    seconds = {name: [] for name in ways}
    with torch.inference_mode():
        truth = net.double()(image.double())[1]
        net.float()
        error = {}
        for name, way in ways.items():
            way(), way()  # compiling and packing are not timed
            result = way()
            result = result[1] if isinstance(result, tuple) else result
            error[name] = float((result - truth).norm() / truth.norm())
        for _ in range(given.runs):
            for name, way in ways.items():
                start = time.thread_time()
                way()
                seconds[name].append(time.thread_time() - start)
    plain = np.array(seconds["plain module"])
    print(f"{'':22} {'ms, median (min-max)':>24} {'faster by':>18} {'error':>9}")
    for name, values in seconds.items():
        a, ratio = np.array(values) * 1e3, plain / values
        cells = (f"{np.median(v):.{d}f} ({v.min():.{d}f}-{v.max():.{d}f})" for v, d in ((a, 1), (ratio, 2)))
        print("{:22} {:>24} {:>18} {:>9.2e}".format(name, *cells, error[name]))


if __name__ == "__main__":
    main()
