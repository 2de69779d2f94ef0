"""Training of the magnifier: what a scene costs, drawn and trained on, by width and precision.

    OMP_NUM_THREADS=1 python benchmarks/train_magnifier.py [--runs 5] [--device cpu]

Steps of 8 scenes of 64 x 64 px, two of them with a twin, one thread, interleaved; the process's own seconds.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np
import torch

from mer_pipe.pretrain import devices
from mer_pipe.pretrain.magnifier import batches, network, optimizer, sources, train
from mer_pipe.pretrain.magnifier.settings import Settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()

    torch.set_num_threads(1)
    device = devices.choose_device(given.device)
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    settings = Settings()
    pool = batches.Pool(sources.photographs(sources.TRAINING), settings, np.random.default_rng(0))
    batch = train._tensors(pool.batch(), device)
    ways = {("drawing", ""): pool.batch}
    for width in (32, 64):
        net = network.first(replace(settings, width=width)).to(device)
        muon = optimizer.Muon(dict(net.named_parameters()), {}, {})
        for precision in ("float32", "bfloat16"):

            def step(net=net, muon=muon, half=precision == "bfloat16") -> None:
                network.loss(net, batch, settings, half).backward()
                muon.step(1, 0.0, 0.0)
                if device.type == "cuda":
                    torch.cuda.synchronize()

            ways[f"training, width {width}", precision] = step
    seconds = {name: [] for name in ways}
    for run in range(given.runs + 1):  # the first is not counted
        for name, way in ways.items():
            start = clock()
            way()
            if run:
                seconds[name].append(clock() - start)
    print("| | precision | ms a scene, median (min-max) | scenes a second |")
    print("|---|---|---|---|")
    for (what, precision), values in seconds.items():
        each = np.array(values) * 1e3 / settings.batch
        print(f"| {what} | {precision} | {np.median(each):.1f} ({each.min():.1f}-{each.max():.1f}) ", end="")
        print(f"| {1e3 / np.median(each):.0f} |")


if __name__ == "__main__":
    main()
