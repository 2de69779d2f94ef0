"""A whole build against a straightforward peer script: every array of all five systems, clip by clip.

    OMP_NUM_THREADS=1 python benchmarks/build.py [--clips 6] [--magnifier flow|learned] [--dis fine|medium] [--bfloat16]
                                                 [--quick]

The demo database (synthetic faces) is built by mer-pipe and by `peer.py`, interleaved: each clip goes through both in
turn, and every other clip through the peer first. Each side has one process, so that it meets no memory that the other
has torn up, and one thread; the two never work at once. All in float32, unless `--bfloat16` is given.

mer-pipe's seconds are all that a build takes: planning with digests, reading and writing its cache with fsync, publishing
the store (plan and publish in equal shares a clip). The peer's are its computations and one np.save an array, without
fsync. One clip, not counted, warms both up. CPU time is that of the process: it holds no waiting for the disk and less of
other work on the machine.

With `learned` the peer magnifies by the network that published scripts use, here with random values, since only its time
counts; mer-pipe does so once by its default and once by the same network. Both solve the same rank pooling problem.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import peer
import torch
from peer_networks import MagNet, ResNet
from safetensors.torch import load_file, save_file

from mer_pipe import api
from mer_pipe.datasets.frames import load
from mer_pipe.pipeline.events import Event, Failed, Made
from mer_pipe.pipeline.plan import ClipPlan, Plan
from mer_pipe.pipeline.runner import Job, run
from mer_pipe.recipes import Recipe, with_values
from mer_pipe.stages.resnet import random_state
from mer_pipe.types import Sample

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
OWN = ("align", "travel", "scene", "dynamic/gap")  # what of the store the peer leaves out


def start() -> None:
    """Begin the process of one side."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")


def build_clip(job: Job) -> Counter[str]:
    """Seconds of each stage of one clip, cache included."""
    row = {node: stage for stage, nodes in STAGES.items() for node in nodes}
    seconds: Counter[str] = Counter()

    def tell(event: Event) -> None:
        if isinstance(event, Made):
            seconds[row.get(event.node, "other")] += event.seconds

    begun, cpu = time.perf_counter(), time.process_time()
    outcome = run(job, tell)
    if isinstance(outcome, Failed):
        raise SystemExit(str(outcome))
    seconds["the rest"] = time.perf_counter() - begun - seconds.total()
    seconds["CPU"] = time.process_time() - cpu
    return seconds


def build_peers(
    sample: Sample, recipe: Recipe, magnifier: str, network: Path, folder: Path
) -> tuple[dict[str, np.ndarray], Counter[str]]:
    """The peer's arrays of one clip and its seconds."""
    nets = resnet(), peer_magnifier(magnifier, network)
    cpu = time.process_time()
    arrays, seconds = peer.build_clip(sample, recipe, *nets, folder)
    seconds["CPU"] = time.process_time() - cpu
    return arrays, seconds


@lru_cache
def resnet() -> ResNet:
    """The peer's network with the values that the demo's recipe has."""
    net = ResNet().eval()
    net.load_state_dict({k: v for k, v in random_state(0).items() if not k.startswith("layer4")})
    return net


@lru_cache
def peer_magnifier(magnifier: str, network: Path) -> peer.Magnifier:
    if magnifier != "learned":
        return peer.by_dis(magnifier == "fine")
    net = MagNet().eval()
    net.load_state_dict(load_file(network))
    return peer.by_network(net)


def publish(request: api.Request) -> Counter[str]:
    """Publish what is in the cache; the seconds."""
    finished = api.prepare(request)
    begun, cpu = time.perf_counter(), time.process_time()
    built = api.build(finished)
    if not built.changed or built.made:
        raise SystemExit(f"publishing made cells again: {dict(built.made)}")
    return Counter({"write, publish": time.perf_counter() - begun, "CPU": time.process_time() - cpu})


def plan(request: api.Request) -> tuple[Plan, Counter[str]]:
    begun, cpu = time.perf_counter(), time.process_time()
    prepared = api.prepare(request)
    return prepared.plan, Counter({"plan": time.perf_counter() - begun, "CPU": time.process_time() - cpu})


def same_arrays(store: Path, arrays: list[dict[str, np.ndarray]], same_magnifier: bool) -> None:
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
            if path == "features_mrn/vector" and same_magnifier:
                alike = np.corrcoef(found.astype(float).ravel(), array[row].astype(float).ravel())[0, 1]
                if alike < 0.9:
                    raise SystemExit(f"{path}: clip {row} correlates by {alike:.2f}: not the same features")


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
    parser.add_argument("--bfloat16", action="store_true", help="our features in bfloat16; the peer's stay in float32")
    parser.add_argument("--quick", action="store_true", help="two clips; one with the network")
    given = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        raise SystemExit("start it with OMP_NUM_THREADS=1: NumPy's threads are set before it is imported")
    count = (2 if given.magnifier == "flow" else 1) if given.quick else given.clips

    learned = given.magnifier == "learned"
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        network = place / "random.safetensors"
        recipes = {"mer-pipe": {"features.precision": "bfloat16" if given.bfloat16 else "float32"}}
        if learned:
            torch.manual_seed(0)
            save_file(MagNet().state_dict(), network)
            recipes["same network"] = {"magnify.method": "learned", "magnify.weights": str(network)}
        requests = {
            name: api.make_request(
                "demo", store=place / name / "demo.zarr", cache=place / name / "cache", values=values
            )
            for name, values in recipes.items()
        }
        side = {name: ProcessPoolExecutor(1, get_context("spawn"), start) for name in (*requests, "peer")}
        columns: dict[str, list[Counter[str]]] = {name: [] for name in side}
        how = "learned" if learned else given.dis

        def run_peer(sample: Sample, recipe: Recipe, folder: str) -> tuple[dict[str, np.ndarray], Counter[str]]:
            return side["peer"].submit(build_peers, sample, recipe, how, network, place / folder).result()

        def run_ours(name: str, clip: ClipPlan, cache: Path) -> Counter[str]:
            return side[name].submit(build_clip, Job.of(clip.graph, clip.digests, cache, load)).result()

        # Compile, import and pack everything once, with few AFs, on a clip that is not counted.
        few = {"aman.frames": 2, "aman.af": (2.0,), "mrn.af": (2.0,), "ruan.af": 2.0}
        for name, request in requests.items():
            small = replace(request, recipe=with_values(request.recipe, few), cache=place / "warm", limit=count + 1)
            clip = api.prepare(small).plan.clips[-1]
            run_ours(name, clip, small.cache)
            run_peer(clip.sample, small.recipe, "warm peer")

        plans, once, arrays = {}, {}, []
        for name, request in requests.items():
            requests[name] = replace(request, limit=count)
            plans[name], once[name] = plan(requests[name])
        clips = plans["mer-pipe"].clips
        for i, clip in enumerate(clips):
            for name in list(columns)[:: 1 if i % 2 == 0 else -1]:
                if name == "peer":
                    made, seconds = run_peer(clip.sample, requests["mer-pipe"].recipe, str(i))
                    arrays.append(made)
                else:
                    seconds = run_ours(name, plans[name].clips[i], requests[name].cache)
                columns[name].append(seconds)
        for name, request in requests.items():
            once[name] += side[name].submit(publish, request).result()
            same_arrays(request.store, arrays, learned == (name == "same network"))
            for seconds in columns[name]:
                seconds.update({stage: value / count for stage, value in once[name].items()})
        for executor in side.values():
            executor.shutdown()

    frames = [clip.sample.offset - clip.sample.onset + 1 for clip in clips]
    how = "the network of Oh et al." if learned else f"DIS flow, {given.dis}"
    print(f"{count} clips of {min(frames)}-{max(frames)} frames; the peer magnifies by {how}, a full pass for every AF")
    table(columns)


if __name__ == "__main__":
    main()
