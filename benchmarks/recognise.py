"""What the heads learn on a generated database: magnified, not magnified, and with shuffled labels.

    OMP_NUM_THREADS=1 python benchmarks/recognise.py FOLDER [--weights FILE] [--heads probe,mrn] [--seeds 3] [--print]
    OMP_NUM_THREADS=1 python benchmarks/recognise.py FOLDER --magnifiers mer,flow,phase [--weights FILE]

The second compares magnifiers by what a linear probe recognises. FOLDER keeps the stores and all runs; what is there already
is not made again, so that it can be stopped, and seeds can be added later. With several seeds the table tells their mean and
standard deviation. 8 generated people, 13 clips each, five classes, crops of 128 and 112 px. Everything is smaller than in the
papers, so that two CPU cores do it in about two hours: see `SIZES`. Crops follow the head, whose drift of half
a pixel a magnifier would take for an expression. Four folds of two people each; no setting was chosen by a
prediction of a test clip. The figures say that a head can learn from the store it reads. They say nothing of recognition on
real faces.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

DATABASE = "--dataset demo --set dataset.subjects=8 --set dataset.clips=13 --set register.method=similarity"
PICTURES = f"{DATABASE} --set crop.size=112 --only ruan,msmmt --set msmmt.size=128"
STORES = {
    "features": f"{DATABASE} --set crop.size=128 --only mrn,aman --set mrn.af=1..13 --set aman.frames=3 --set aman.af=1,5,9",
    "pictures": f"{PICTURES} --set ruan.target=magnified --set msmmt.magnifier=mer",
    "papers": PICTURES,
    "plain": f"{PICTURES} --set ruan.target=magnified --set msmmt.magnifier=mer --set ruan.af=1 --set evm.af=1",
}
"""Ruan's flows end at the magnified apex, as the paper has it on SAMM, and MSMMT's clip is magnified by mer; "papers" has flows
to the filmed apex, as the paper has it on CASME II, and the Eulerian clip. AF 1 is the identity: plain is as filmed."""

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


def of_heads(folder: Path, heads: list[str], weights: str, seeds: int) -> tuple[list[str], list[str]]:
    """Commands that build the stores and train the heads, and the runs that they leave."""
    commands, runs = [], []
    for name in STORES:
        if not any((name == "features") == (head in MAGNIFIED) for head in heads):
            continue
        with_features = f" --set features.weights={shlex.quote(weights)}" if name == "features" else ""
        commands.append(f"build {STORES[name]}{with_features} --store {folder / name}.zarr")
    for head in heads:
        af = MAGNIFIED.get(head, "")
        for kind in ("magnified", "plain", "shuffled") if af else ("magnified", "papers", "plain", "shuffled"):
            store = "features" if af else kind if kind in STORES else "pictures"
            out = folder / f"{head}-{kind}"
            factors = f" --set af={'1' if kind == 'plain' else af}" if af else ""
            shuffle = " --shuffle-labels" if kind == "shuffled" else ""
            if head == "aman" and not weights.startswith("random:"):
                factors += f" --set weights={shlex.quote(weights)}"
            commands.append(
                f"train --head {head} --store {folder / store}.zarr --protocol kfold --folds 4 "
                f"--seeds {seeds} --out {out}{factors}{shuffle} {SIZES[head]}"
            )
            runs.append(str(out))
    return commands, runs


def of_magnifiers(folder: Path, methods: list[str], weights: str) -> tuple[list[str], list[str]]:
    """Commands that build a store by each method and train a probe on AF 2 to 13 of it, and on the apex as it is."""
    commands, runs = [], []
    for method in methods:
        store = folder / f"probed-{method}.zarr"
        commands.append(
            f"build {DATABASE} --set crop.size=128 --only mrn --set mrn.af=1..13 --set magnify.method={method} "
            f"--set features.weights={shlex.quote(weights)} --store {store}"
        )
        kinds = {"": "2..13", "-apex": "1"} if method == methods[0] else {"": "2..13"}
        for kind, af in kinds.items():
            out = folder / f"probe-{method}{kind}"
            commands.append(f"train --head probe --store {store} --protocol kfold --folds 4 --out {out} --set af={af}")
            runs.append(str(out))
    return commands, runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", default="random:0", help="features.weights of the stores")
    parser.add_argument("--heads", default=",".join(SIZES))
    parser.add_argument("--magnifiers", help="compare these by a probe instead")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="whole runs of each head, seeds 0 to N-1")
    parser.add_argument("--print", action="store_true", dest="only_print", help="print the commands and run none")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.magnifiers:
        commands, runs = of_magnifiers(given.folder, given.magnifiers.split(","), given.weights)
    else:
        commands, runs = of_heads(given.folder, given.heads.split(","), given.weights, given.seeds)
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
