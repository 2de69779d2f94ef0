"""A training step of `mer-pipe pretrain`, and what an epoch of FER+ takes at that pace.

    OMP_NUM_THREADS=1 python benchmarks/pretrain.py [--runs 5] [--device cpu]

One step is all that a batch costs: enlarging and changing the faces, network, loss, gradient, optimizer. Random faces; time
does not depend on them. On the CPU the process's own seconds are counted, and the shortest of the runs, so that other work on
the machine shows less. An epoch is 28,709 images, FER2013's Training; FER+ leaves some out.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from mer_pipe.pretrain import devices, network, train
from mer_pipe.pretrain.parts import Part
from mer_pipe.pretrain.settings import Settings

IMAGES = 28709
BATCH = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()

    torch.set_num_threads(1)
    device = devices.choose_device(given.device)
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (BATCH, 48, 48), dtype=np.uint8)
    part = Part(faces, np.eye(8, dtype=np.float32)[rng.integers(0, 8, BATCH)], np.arange(BATCH))
    print(f"{'side':>4} {'precision':10} {'ms an image':>12} {'an epoch of FER+':>18}")
    for side in (96, 224):
        for precision in ("float32", "bfloat16"):
            settings = Settings(epochs=1000, last_epochs=0, size=side, precision=precision, batch=BATCH)
            net = network.first(0).to(device)
            optimizer = train.optimizer_of(net, settings)
            shortest = float("inf")
            for run in range(given.runs + 1):
                begun = clock()
                train.epoch_of(net, optimizer, part, settings, 1, lambda event: None)
                if run:  # the first one warms up
                    shortest = min(shortest, clock() - begun)
            whole = shortest / BATCH * IMAGES / 60
            print(f"{side:4} {precision:10} {shortest / BATCH * 1e3:12.1f} {whole:14.1f} min", flush=True)


if __name__ == "__main__":
    main()
