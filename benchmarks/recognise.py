"""What the heads learn on a generated database: magnified, not magnified, and with shuffled labels.

    OMP_NUM_THREADS=1 python benchmarks/recognise.py FOLDER [--weights FILE] [--heads probe,mrn] [--seeds 3] [--print]

FOLDER keeps the three stores and all runs; what is there already is not made again, so that it can be stopped, and seeds can be
added later. With several seeds the table tells their mean and standard deviation. 8 generated people, 13 clips each, five
classes, crops of 128 and 112 px. Everything is smaller than in the papers, so that two CPU cores do it in about an hour: see
`SIZES`. Four folds of two people each; no setting was chosen by a prediction of a test clip. The figures say that a head can
learn from the store it reads. They say nothing of recognition on real faces.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

DATABASE = "--dataset demo --set dataset.subjects=8 --set dataset.clips=13"
STORES = {
    "features": f"{DATABASE} --set crop.size=128 --only mrn,aman --set mrn.af=1..13 --set aman.frames=3 --set aman.af=1,5,9",
    "pictures": f"{DATABASE} --set crop.size=112 --only ruan,msmmt --set msmmt.size=128",
    "plain": f"{DATABASE} --set crop.size=112 --only ruan,msmmt --set msmmt.size=128 --set ruan.af=1 --set evm.af=1",
}
"""AF 1 is the identity: the plain store's clip is the filmed one."""

SIZES = {
    "probe": "",
    "mrn": "--set layers=2 --set feed_forward=1024",
    "uamrn": "--set layers=2 --set feed_forward=1024 --set passes=3",
    "aman": "--set training.epochs=15 --set training.precision=bfloat16",
    "ruan": "--set training.epochs=30 --set training.batch=32 --set training.lr=1e-3",
    "msmmt": "--set depth=4 --set width=192 --set heads=3 --set hidden=192 --set training.epochs=60 --set training.lr=5e-4 "
             "--set training.batch=26",
}  # fmt: skip
MAGNIFIED = {"probe": "2..13", "mrn": "2..13", "uamrn": "2..13", "aman": "1,5,9"}
"""Factors of the heads that read several; the plain run takes AF 1 alone, from the same store."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", default="random:0", help="features.weights of the stores")
    parser.add_argument("--heads", default=",".join(SIZES))
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="whole runs of each head, seeds 0 to N-1")
    parser.add_argument("--print", action="store_true", dest="only_print", help="print the commands and run none")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    commands = []
    heads = given.heads.split(",")
    for name in STORES:
        if not any((name == "features") == (head in MAGNIFIED) for head in heads):
            continue
        with_features = f" --set features.weights={shlex.quote(given.weights)}" if name == "features" else ""
        commands.append(f"build {STORES[name]}{with_features} --store {given.folder / name}.zarr")
    runs = []
    for head in heads:
        for kind in ("magnified", "plain", "shuffled"):
            af = MAGNIFIED.get(head, "")
            store = "features" if af else "pictures"
            if kind == "plain":
                store, af = (store, "1") if af else ("plain", "")
            out = given.folder / f"{head}-{kind}"
            factors = f" --set af={af}" if af else ""
            shuffle = " --shuffle-labels" if kind == "shuffled" else ""
            if head == "aman" and not given.weights.startswith("random:"):
                factors += f" --set weights={shlex.quote(given.weights)}"
            commands.append(
                f"train --head {head} --store {given.folder / store}.zarr --protocol kfold --folds 4 "
                f"--seeds {given.seeds} --out {out}{factors}{shuffle} {SIZES[head]}"
            )
            runs.append(str(out))
    for command in commands:
        print(f"mer-pipe {command}", flush=True)
        if not given.only_print:
            subprocess.run(
                [sys.executable, "-m", "mer_pipe.cli", *shlex.split(command)], check=True, stdout=subprocess.DEVNULL
            )
    if not given.only_print:
        subprocess.run([sys.executable, "-m", "mer_pipe.cli", "evaluate", *runs], check=True)


if __name__ == "__main__":
    main()
