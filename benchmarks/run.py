"""Run the benchmarks and write docs/benchmarks.md from what they print.

    python benchmarks/run.py [--only flow,build] [--title "TV-L1 flow on two cores"] [--quick]

Each script runs in a process of its own with one thread, one after the other. `--only` runs some, and `--title` one section
of the page; the other sections stay as they are. The goals are judged from the printed tables; one whose number is not found
there is an error.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import re
import shlex
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

from mer_pipe.pipeline.threads import ONE_THREAD
from mer_pipe.stages._precision import has_bfloat16

HOUSE = Path(__file__).resolve().parents[1]
PAGE = HOUSE / "docs/benchmarks.md"
LIBRARIES = (
    *("numpy", "opencv-contrib-python", "scikit-image", "scipy", "scikit-learn", "numba", "torch", "mediapipe", "zarr"),
    *("dask", "pillow"),
)
NUMBER = r"(\d[\d.e+-]*)"


@dataclass(frozen=True)
class Goal:
    """One goal, and where the number stands in the printed table.

    what : the quantity. pattern : its first group is the number. at_least : the goal; else `at_most`. over : what the
    number is divided by: a pattern too.
    """

    what: str
    pattern: str
    at_least: float | None = None
    at_most: float | None = None
    over: str = ""

    def row(self, printed: str) -> str:
        value = _found(self.pattern, printed) / (_found(self.over, printed) if self.over else 1.0)
        if self.at_least is not None:
            met, goal = value >= self.at_least, f">= {self.at_least:g}"
        else:
            met, goal = value <= self.at_most, f"<= {self.at_most:g}"
        return f"| {self.what} | {goal} | {value:.3g} | {'reached' if met else '**missed**'} |"


@dataclass(frozen=True)
class Section:
    """One part of the page: the command after `python benchmarks/`, what `--quick` adds, its goals, and a note.

    One with `bfloat16` is left out on a processor that has no instructions for it: it would measure an emulation.
    """

    title: str
    command: str
    quick: str = ""
    goals: tuple[Goal, ...] = ()
    note: str = ""
    bfloat16: bool = False

    @property
    def name(self) -> str:
        return self.command.split(".py")[0]


def _found(pattern: str, printed: str) -> float:
    match = re.search(pattern, printed, re.M)
    if match is None:
        raise SystemExit(
            f"the table has nothing like {pattern!r}: the goal and the script have drifted apart\n{printed}"
        )
    return float(match[1])


def _last(label: str, columns_after: int = 0) -> str:
    """Pattern: the median of the last "median (min-max)" of the line that starts with `label`, less some columns."""
    cell = r"[\d.e+-]+ \([^)]*\)"
    return rf"^{label} .*?{NUMBER} \([^)]*\)" + rf"\s+{cell}" * columns_after + r"[^()\n]*$"


def _within(table: str, label: str) -> str:
    """Pattern: the last "median (min-max)" of the line that starts with `label`, in the table that starts with `table`."""
    return rf"^{table}[\s\S]*?^{label}.* {NUMBER} \([^)]*\)"


SECTIONS = (
    Section(
        "Whole build",
        "build.py",
        "--quick",
        (Goal("whole build, peer with a DIS pass for every AF: times faster", _last("whole build"), 8),),
        "About half of ours is the network of the features; the rows without a stage show what each stage does to the "
        "ratio. Ours is slower in three. Its crop filters "
        "where the peer cuts at whole px, decodes each frame once a size, and keeps every face in the cache; the row of "
        "the strain holds its write to the cache; its write is a checked and synced store. Where other work ran on the "
        "cores, read the row of the CPU time: it is disturbed less. On an AMD EPYC it was 4.6 times, with version 1 of the "
        "magnifier.",
    ),
    Section(
        "Whole build, the peer with OpenCV's preset of DIS",
        "build.py --dis medium --clips 2",
        "--quick",
        (Goal("whole build, peer with a cheap DIS pass for every AF: times faster", _last("whole build"), 8),),
    ),
    Section(
        "Whole build, features in bfloat16",
        "build.py --bfloat16 --clips 2",
        "--quick",
        (Goal("whole build with features in bfloat16, peer in float32: times faster", _last("whole build"), 30),),
        "The goal is from a machine with AMX; others have twice the speed of float32 at most.",
        bfloat16=True,
    ),
    Section(
        "Whole build, the peer with the learned magnifier",
        "build.py --magnifier learned --clips 2",
        "--quick",
        (
            Goal("whole build, peer with the published network, ours with its default: times faster",
                 _last("whole build", 1), 8),
            Goal("the same, both with that network: times faster", _last("whole build"), 8),
        ),
        "Published scripts magnify by this network, and most of the peer's time goes there. By default ours replaces "
        "it by another method, so the first ratio compares two ways to arrays of the same shapes, not two runs of one "
        "algorithm; the second compares those. On an AMD EPYC they were 10.4 and 2.9.",
    ),
    Section(
        "Scaling",
        "scaling.py",
        "--quick",
        (Goal("two workers against one, a clip more: times faster", rf"a clip more: {NUMBER} \([^)]*\)$", 1.8),),
        '"others" is how many of the cores other work used meanwhile: with two workers on two cores, a speed-up can be read '
        "only where that is near 0. On an AMD EPYC it was 1.74, at 1.12 s a clip more for one worker.",
    ),
    Section(
        "Command line",
        "commands.py",
        "--quick",
        (
            Goal("mer-pipe -h, median: s", rf"^mer-pipe -h +[\d.]+ +{NUMBER}", at_most=0.25),
            Goal("build of the demo with nothing to do, median: s", rf"nothing to do +[\d.]+ +{NUMBER}", at_most=1),
        ),
        "Seconds depend on the machine: on an AMD EPYC of twice the speed these were 0.09 s and 0.88 s.",
    ),
    Section(
        "Planning 250 clips",
        "plan.py",
        goals=(Goal("plan of 250 clips with nothing to do, median: s", rf"median {NUMBER} s", at_most=1),),
        note="On an AMD EPYC of twice the speed it was 0.96 s.",
    ),
    Section(
        "TV-L1 flow",
        "flow.py",
        "--pairs 4",
        (
            Goal("TV-L1 against OpenCV's DualTVL1: times faster", _last("OpenCV"), 40),
            Goal("TV-L1 against scikit-image: times faster", _last("skimage"), 30),
            Goal("its endpoint error over OpenCV's", rf"^mer-pipe native +{NUMBER}", at_most=0.85,
                 over=rf"^OpenCV +{NUMBER}"),
            Goal("share of pairs with less error than OpenCV", rf"^OpenCV .* {NUMBER} of \d+$", 0.8,
                 over=rf"^OpenCV .* of {NUMBER}$"),
            Goal("its endpoint error on a brighter target: px", rf"^mer-pipe native +[\d.]+ +{NUMBER}", at_most=0.12),
        ),
    ),
    Section("TV-L1 flow where the face keeps still", "flow.py --still --pairs 12", "--pairs 4"),
    Section(
        "TV-L1 flow on a stereo pair of Middlebury",
        "flow_stereo.py",
        note="Not what any of them is for here, and no parameter was chosen on it. On the smallest pictures OpenCV errs "
        "least; on larger ones, where motion is larger, it loses its way.",
    ),
    Section(
        "TV-L1 flow on two cores",
        "flow.py --two",
        "--pairs 4",
        (Goal("TV-L1, two threads against one: times faster", rf"^two threads against one: times faster {NUMBER}", 1.8),),
        '"others" is how many of the cores other work used meanwhile.',
    ),
    Section(
        "Optical strain",
        "strain.py --pairs 4",
        "--pairs 1",
        (Goal("strain at sigma 0 against np.gradient: times faster", rf"np.gradient .* faster by {NUMBER}", 3),),
    ),
    Section(
        "Rank pooling",
        "dynamic.py",
        "--runs 1",
        (
            Goal("SVR, 68 frames, against scikit-learn's LinearSVR: times faster", _last("svr +68"), 40),
            Goal("RankSVM, 20 frames, against scikit-learn's LinearSVC: times faster", _last("ranksvm +20"), 80),
        ),
    ),
    Section(
        "TIM", "interpolate.py", "--runs 2", (Goal("TIM, 68 frames, against the SVD: times faster", _last(" +68"), 50),)
    ),
    Section(
        "ResNet-18",
        "features.py",
        "--runs 5",
        (Goal("ResNet-18 against the eager module: times faster", _last("mer-pipe "), 1.6),
         Goal("its relative error against float64", rf"^mer-pipe  .* {NUMBER}$", at_most=1e-6)),
    ),
    Section(
        "Magnifiers",
        "magnify.py --only time",
        "--methods mer,learned",
        (
            Goal("mer against the published network, 12 AFs: times faster", rf"^mer: {NUMBER} .*published size$", 20),
            Goal("flow against the published network, 12 AFs: times faster", rf"^flow: {NUMBER} .*published size$", 20),
        ),
        '"learned" is the network in the package, which has a quarter of the work of the published one; the latter has '
        "random weights here. Both run as mer-pipe runs them: encoded once, packed.",
    ),
    Section(
        "Learned magnification, the network in the package",
        "learned.py",
        "--runs 3",
        (Goal("learned against a plain pass for every AF: times faster", rf"^mer-pipe  .*\) +{NUMBER} \([^)]*\) ", 2),),
    ),
    Section(
        "Learned magnification, the published size",
        "learned.py --width 64 --runs 5",
        "--runs 2",
        (Goal("the same at the published size: times faster", rf"^mer-pipe  .*\) +{NUMBER} \([^)]*\) ", 2),),
        "Where the processor has no bfloat16 instructions, bfloat16 is emulated, and slower than float32.",
    ),
    Section("Align and crop", "align.py --crop-only"),
    Section(
        "Reading a store",
        "reading.py",
        "--quick",
        (
            Goal("mapped reading of magnified images: of memcpy", _within("magnify", "mapped  "), 0.9),
            Goal("mapped reading of feature maps: of memcpy", _within("features_aman", "mapped  "), 0.9),
            Goal("mapped reading of MRN's vectors: of memcpy", _within("features_mrn", "mapped  "), 0.9),
            Goal("the same against zarr, images: times faster", _within("magnify", "mapped against"), 5),
            Goal("the same against zarr, feature maps: times faster", _within("features_aman", "mapped against"), 5),
        ),
        "A batch of MRN's vectors is small (0.4 MB): there checks and calls of Python take some 4 us beside a copy of 12. The "
        "reader that comes first to a row finds it in no cache, and pays for that. On an AMD EPYC, where Python's calls take "
        "half as long, MRN's vectors came at 1.04.",
    ),
)  # fmt: skip


def measure(section: Section, quick: bool) -> str:
    """The page's section: heading, command, what it printed, and its goals' rows."""
    script, *options = shlex.split(section.command + (f" {section.quick}" if quick else ""))
    command = shlex.join([f"benchmarks/{script}", *options])
    print(f"python {command}", flush=True)
    before = os.getloadavg()[0]
    environment = os.environ | ONE_THREAD
    done = subprocess.run(
        [sys.executable, *shlex.split(command)],
        cwd=HOUSE,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"python {command} ended with {done.returncode}")
    printed = "\n".join(line.rstrip() for line in done.stdout.strip("\n").splitlines())
    load = f"Load average {before:.1f} before and {os.getloadavg()[0]:.1f} after, on {os.cpu_count()} cores."
    text = f"## {section.title}\n\n`OMP_NUM_THREADS=1 python {command}`\n\n```text\n{printed}\n```\n\n{load}\n"
    if section.note:
        text += f"\n{textwrap.fill(section.note, 120, break_on_hyphens=False)}\n"
    if section.goals:
        text += "\n| goal | wanted | median | |\n|---|---|---|---|\n"
        text += "".join(goal.row(printed) + "\n" for goal in section.goals)
    print(text, flush=True)
    return text


def old_sections() -> dict[str, str]:
    """What the page holds, by heading."""
    if not PAGE.exists():
        return {}
    parts = re.split(r"^(?=## )", PAGE.read_text(), flags=re.M)[1:]
    return {part.partition("\n")[0][3:]: part.rstrip() + "\n" for part in parts}


def machine() -> str:
    """Processor, cores, memory and versions."""
    info = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    return textwrap.fill(
        f"{model[1] if model else platform.machine()}, {os.cpu_count()} (virtual) cores, {memory:.0f} GiB; "
        f"{platform.system()}; Python {platform.python_version()}; {versions}.",
        120,
    )


HEAD = """<!-- Written by `python benchmarks/run.py`. Do not edit. -->

# Benchmarks

What the benchmark scripts printed on one machine. `python benchmarks/run.py` measures all again and rewrites this page;
`python benchmarks/run.py --only flow,build` measures some of it. `pip install -e '.[bench]'` brings the peers.

{machine}

Every solver has one thread. Peers run in turn with ours on each input; ratios are taken input by input and told as median
(min-max). The machine is shared, and other work was running on it: times in seconds carry that noise, ratios less of it.
Strain, rank pooling and ResNet-18 are told in CPU time.
All inputs are synthetic (the generated demo faces) or photographs with synthetic motion: no figure here says anything of
recognition. Goals were set from prototypes, partly on another machine, before the code was written; those that are
missed say so. The build with features in bfloat16 is left out where the processor has no instructions for it.

[Magnification](magnification.md), [motion](motion.md) and [align](align.md) tell what the figures mean, and hold those
that are not about speed.

"""


def page(sections: dict[str, str]) -> str:
    goals = [
        line
        for text in sections.values()
        for line in text.splitlines()
        if line.endswith(("| reached |", "**missed** |"))
    ]
    table = "## Goals\n\n| goal | wanted | median | |\n|---|---|---|---|\n" + "\n".join(goals) + "\n"
    return HEAD.format(machine=machine()) + "\n".join([table, *sections.values()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="names of scripts, as flow,build")
    parser.add_argument("--title", action="append", default=[], help="heading of one section; may be repeated")
    parser.add_argument("--quick", action="store_true", help="small sizes, printed only: the page stays as it is")
    given = parser.parse_args()
    names = list(dict.fromkeys(section.name for section in SECTIONS))
    chosen = given.only.split(",") if given.only else [] if given.title else names
    if unknown := [name for name in chosen if name not in names]:
        raise SystemExit(f"there is no benchmark {unknown[0]!r}; there are {', '.join(names)}")

    if unknown := [title for title in given.title if title not in {section.title for section in SECTIONS}]:
        raise SystemExit(f"there is no section {unknown[0]!r}")

    kept = old_sections()
    for section in SECTIONS:
        if section.name in chosen or section.title in given.title:
            if section.bfloat16 and not has_bfloat16():
                kept.pop(section.title, None)
                print(f"left out, for want of bfloat16 instructions: {section.title}", flush=True)
                continue
            text = measure(section, given.quick)
            if given.quick:
                continue
            kept[section.title] = text
            # After each, so that an interrupted run keeps what it measured.
            PAGE.write_text(page({s.title: kept[s.title] for s in SECTIONS if s.title in kept}))


if __name__ == "__main__":
    main()
