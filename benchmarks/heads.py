"""What a training step of each head costs, and how much of it is reading the clips.

    OMP_NUM_THREADS=1 python benchmarks/heads.py STORE [--heads mrn,aman] [--steps 3] [--set mrn.layers=2]

One process, one thread on a CPU, each head's own settings and batch size unless --set changes them. A step is loss, gradients
and update; reading is timed apart, on the same rows, as the trainer reads them (on a CPU it happens while the step before is
computed). "LOSO" is what all folds of the store would take with one process: steps an epoch x epochs x folds.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path

import numpy as np
import torch

from mer_pipe.heads import HEADS, head_of
from mer_pipe.heads.clips import StoreClips
from mer_pipe.heads.feeding import open_feed
from mer_pipe.heads.protocols import make_folds
from mer_pipe.heads.table import read_table
from mer_pipe.heads.training import _optimizer, seed_all
from mer_pipe.recipes import with_values
from mer_pipe.types import StoreError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--heads", default=",".join(name for name in HEADS if name != "probe"))
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="HEAD.KEY=VALUE", dest="values")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'':8} {'batch':>5} {'step, s':>24} {'reading, s':>24} {'reading':>8} {'epoch, s':>9} {'LOSO, h':>8}")
    for name in given.heads.split(","):
        own = dict(v.removeprefix(f"{name}.").split("=", 1) for v in given.values if v.startswith(f"{name}."))
        try:
            print(_row(name, own, given), flush=True)
        except StoreError as error:
            print(f"{name:8} skipped: {error.message}")


def _row(name: str, own: dict[str, str], given: argparse.Namespace) -> str:
    head = with_values(head_of(name), own)
    device = torch.device(given.device)
    table = read_table(given.store, head.needs)
    feed = open_feed(given.store, tuple(need.array for need in head.needs), device)
    folds = make_folds("loso", table.subjects, table.databases, table.labels)
    clips = StoreClips(feed, table, folds[0].train)
    seed_all("benchmark", name)
    network = head.network(table.inputs).to(device)
    head.prepare(network, clips)
    network.train()
    optimizer = _optimizer(dataclasses.replace(head.training, lr=1e-6), network)
    size = min(head.training.batch, len(clips))
    reading, steps = [], []
    for turn in range(given.steps + 1):
        positions = torch.randperm(len(clips))[:size]
        begun = time.perf_counter()
        batch = clips.batch(positions)
        _wait(device)
        read = time.perf_counter()
        loss = head.loss(network, batch, clips)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        _wait(device)
        if turn:  # the first step builds what later ones use again
            reading.append(read - begun)
            steps.append(time.perf_counter() - read)
    epoch = np.median(steps) * len(clips) / size
    whole = epoch * head.training.epochs * len(folds) / 3600
    share = np.median(np.array(reading) / (np.array(reading) + steps))
    spans = (f"{np.median(v):.3f} ({min(v):.3f}-{max(v):.3f})" for v in (steps, reading))
    return "{:8} {:5} {:>24} {:>24} {:7.1%} {:9.1f} {:8.2f}".format(name, size, *spans, share, epoch, whole)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
