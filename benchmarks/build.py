"""A whole build against a straightforward peer script: every array of all five systems, clip by clip.

    OMP_NUM_THREADS=1 python benchmarks/build.py [--clips 6] [--magnifier flow|learned] [--dis fine|medium] [--quick]

The demo database (synthetic faces) is built by mer-pipe and by `peer.py`, interleaved: each clip goes through both in
turn, and every other clip through the peer first. One process, one thread, float32. mer-pipe's seconds are all that a
build takes: planning with digests, reading and writing its cache with fsync, publishing the store (plan and publish in
equal shares a clip). The peer's are its computations and one np.save an array, without fsync. One clip, not counted, warms
both up. With `learned` the peer magnifies by the network that published scripts use, here with random values, since only
its time counts; mer-pipe does so once by its default and once by the same network. Both solve the same rank pooling
problem. CPU time is that of the process, so it holds no waiting for the disk and less of other work on the machine.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import peer
import torch

from mer_pipe import api
from mer_pipe.datasets.frames import load
from mer_pipe.pipeline.events import Event, Failed, Made
from mer_pipe.pipeline.plan import ClipPlan
from mer_pipe.pipeline.runner import Job, run
from mer_pipe.recipes import with_values
from mer_pipe.stages.resnet import random_state

STAGES = {  # row of the table: nodes of the graph
    "align": ("align",),
    "crop": ("crop", "crop_msmmt"),
    "magnify": ("magnify", "magnify_aman", "gray"),
    "for the report": ("travel", "scene"),
    "features": ("features_mrn", "features_aman"),
    "TIM": ("interpolate",),
    "flow": ("flow_onset", "flow_offset", "flow_evm"),
    "strain": ("strain", "strain_evm", "motion"),
    "clip magnification": ("evm",),
    "rank pooling": ("dynamic",),
    "write, publish": (),
}
OWN = ("align", "travel", "scene")  # groups of the store that the peer leaves out


def build_clip(clip: ClipPlan, cache: Path) -> Counter[str]:
    """Seconds of each stage of one clip, cache included."""
    row = {node: stage for stage, nodes in STAGES.items() for node in nodes}
    seconds: Counter[str] = Counter()

    def tell(event: Event) -> None:
        if isinstance(event, Made):
            seconds[row.get(event.node, "other")] += event.seconds

    begun = time.perf_counter()
    outcome = run(Job.of(clip.graph, clip.digests, cache, load), tell)
    if isinstance(outcome, Failed):
        raise SystemExit(str(outcome))
    seconds["the rest"] = time.perf_counter() - begun - seconds.total()
    return seconds


def same_arrays(store: Path, arrays: list[dict[str, np.ndarray]]) -> None:
    """Stop unless the peer made what the store holds: names, shapes, types; and faces and features of the same clips."""
    import zarr

    root = zarr.open_group(store, mode="r")
    held = {path: array for path, array in root.members(max_depth=None) if isinstance(array, zarr.Array)}
    wanted = {p: a for p, a in held.items() if "/" in p and p.split("/")[1] not in ("af", "frame", "mark")}
    for path, array in wanted.items():
        if path.startswith(OWN):
            continue
        for row, made in enumerate(arrays):
            found = made[path]
            if (found.shape, found.dtype) != (array.shape[1:], array.dtype):
                raise SystemExit(f"{path}: {found.dtype} {found.shape}, the store {array.dtype} {array.shape[1:]}")
            if path == "crop/image":
                apart = np.abs(found.astype(float) - array[row]).mean()
                if apart > 8:
                    raise SystemExit(f"{path}: clip {row} differs by {apart:.1f} grey levels: not the same face")
            if path == "features_mrn/vector":
                alike = np.corrcoef(found.astype(float).ravel(), array[row].astype(float).ravel())[0, 1]
                if alike < 0.9:
                    raise SystemExit(f"{path}: clip {row} correlates by {alike:.2f}: not the same features")


def magnifiers(given: argparse.Namespace, place: Path) -> tuple[dict[str, dict[str, str]], peer.Magnifier]:
    """Recipe values of each of our columns, and the peer's magnifier."""
    if given.magnifier == "flow":
        return {"mer-pipe": {}}, peer.by_dis(given.dis == "fine")
    from safetensors.torch import save_file

    torch.manual_seed(0)
    net = peer.MagNet().eval()
    save_file(net.state_dict(), place / "random.safetensors")
    learned = {"magnify.method": "learned", "magnify.weights": str(place / "random.safetensors")}
    return {"mer-pipe": {}, "same network": learned}, peer.by_network(net)


def warm_up(request: api.Request, count: int, place: Path, net: peer.ResNet, magnify: peer.Magnifier) -> None:
    """Compile, import and pack everything once, with few AFs."""
    few = {"aman.frames": 2, "aman.af": (2.0,), "mrn.af": (2.0,), "ruan.af": 2.0}
    recipe = with_values(request.recipe, few)
    request = replace(request, recipe=recipe, cache=place / "warm", limit=count + 1)
    clip = api.prepare(request).plan.clips[-1]
    build_clip(clip, request.cache)
    peer.build_clip(clip.sample, recipe, net, magnify, place / "peer")


def publish(request: api.Request) -> float:
    """Publish what is in the cache; the seconds."""
    finished = api.prepare(request)
    begun = time.perf_counter()
    built = api.build(finished)
    if not built.changed or built.made:
        raise SystemExit(f"publishing made cells again: {dict(built.made)}")
    return time.perf_counter() - begun


def table(columns: dict[str, list[Counter[str]]]) -> None:
    """Seconds of each stage, and how many times longer the peer takes than each of ours: median (min-max) over clips."""
    theirs = columns["peer"]
    ours = [name for name in columns if name != "peer"]
    heads = [*columns, *(f"{name} is faster by" for name in ours)]
    print(f"{'seconds a clip':22}" + "".join(f" {head:>26}" for head in heads))
    rows = {stage: (stage,) for stage in (*STAGES, "other", "plan", "the rest")}
    wall = tuple(rows)
    rows |= {"whole build": wall, "whole build, CPU time": ("CPU",)}
    rows |= {f"without {out}": tuple(s for s in wall if s != out) for out in ("rank pooling", "magnify", "features")}
    for row, stages in rows.items():
        sums = {name: np.array([sum(clip[s] for s in stages) for clip in side]) for name, side in columns.items()}
        cells = [spread(values) if values.any() else "" for values in sums.values()]
        both = [sums[name].all() and sums["peer"].all() for name in ours]
        cells += [spread(sums["peer"] / sums[n], 1) if b else "" for n, b in zip(ours, both, strict=True)]
        if any(cells):
            print(f"{row:22}" + "".join(f" {cell:>26}" for cell in cells))
    total = {name: sum(sum(clip[s] for s in wall) for clip in side) for name, side in columns.items()}
    for name in ours:
        print(f"all {len(theirs)} clips together: {name} is faster by {total['peer'] / total[name]:.1f}")


def spread(values: np.ndarray, digits: int = 3) -> str:
    return f"{np.median(values):.{digits}f} ({np.min(values):.{digits}f}-{np.max(values):.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--magnifier", choices=("flow", "learned"), default="flow")
    parser.add_argument("--dis", choices=("fine", "medium"), default="fine", help="settings of the peer's flow")
    parser.add_argument("--quick", action="store_true", help="two clips; one with the network")
    given = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        raise SystemExit("start it with OMP_NUM_THREADS=1: NumPy's threads are set before it is imported")
    count = (2 if given.magnifier == "flow" else 1) if given.quick else given.clips

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
    net = peer.ResNet().eval()
    net.load_state_dict({k: v for k, v in random_state(0).items() if not k.startswith("layer4")})

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        ours, magnify = magnifiers(given, place)
        requests, plans = {}, {}
        columns: dict[str, list[Counter[str]]] = {name: [] for name in (*ours, "peer")}
        for i, (name, values) in enumerate(ours.items()):
            own = place / str(i)
            request = api.make_request("demo", store=own / "demo.zarr", cache=own / "cache", values=values)
            requests[name] = replace(request, limit=count)
            warm_up(request, count, own, net, magnify)
            begun = time.perf_counter()
            plans[name] = api.prepare(requests[name]).plan, time.perf_counter() - begun

        arrays = []
        recipe = requests["mer-pipe"].recipe
        for i in range(count):
            for name in list(columns)[:: 1 if i % 2 == 0 else -1]:
                begun = time.process_time()
                if name == "peer":
                    sample = plans["mer-pipe"][0].clips[i].sample
                    made, seconds = peer.build_clip(sample, recipe, net, magnify, place / "peer" / str(i))
                    arrays.append(made)
                else:
                    seconds = build_clip(plans[name][0].clips[i], requests[name].cache)
                seconds["CPU"] = time.process_time() - begun
                columns[name].append(seconds)
        for name, request in requests.items():
            begun = time.process_time()
            taken = publish(request)
            cpu = time.process_time() - begun
            for seconds in columns[name]:
                seconds["plan"], seconds["write, publish"] = plans[name][1] / count, taken / count
                seconds["CPU"] += cpu / count
            same_arrays(request.store, arrays)

    samples = [clip.sample for clip in plans["mer-pipe"][0].clips]
    frames = [sample.offset - sample.onset + 1 for sample in samples]
    how = f"DIS flow, {given.dis}" if given.magnifier == "flow" else "the network of Oh et al."
    print(f"{count} clips of {min(frames)}-{max(frames)} frames; the peer magnifies by {how}, a full pass for every AF")
    table(columns)


if __name__ == "__main__":
    main()
