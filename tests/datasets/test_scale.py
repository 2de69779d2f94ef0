"""A tree of ten thousand clips is listed in seconds and in a memory that its frames' paths explain."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

SUBJECTS, CLIPS, FRAMES = 100, 100, 20
HEADER = ("Subject", "Filename", "Onset Frame", "Apex Frame", "Offset Frame", "Action Units", "Estimated Emotion")

CODE = """
import json, resource, sys, time
from mer_pipe.datasets import list_clips
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
listing = list_clips(sys.argv[1], sys.argv[2])
taken = time.perf_counter() - start
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
frames = sum(len(s.frames) for s in listing.samples)
print(json.dumps([len(listing.samples), frames, taken, grown / 1024]))
"""


def make(root: Path, database: str) -> None:
    """Folders that are links to others: as many entries to list, at a fraction of the files to make."""
    tree, person, clip = {
        "casme2": ("CASME2_RAW_selected", "sub{:02d}", "EP{1:02d}_01"),
        "samm": ("SAMM", "{:03d}", "{0:03d}_{1}_1"),
    }[database]
    frames = root / "frames"
    frames.mkdir()
    for number in range(FRAMES):
        (frames / f"img{number + 1}.jpg").touch()
    (root / tree).mkdir()
    rows, first = [], None
    for subject in range(1, SUBJECTS + 1):
        folder = root / tree / person.format(subject)
        names = [clip.format(subject, number) for number in range(1, CLIPS + 1)]
        rows += [(subject, name, 1, 8, FRAMES, "4+7", "happiness") for name in names]
        if first is not None and "{0" not in clip:
            folder.symlink_to(first, target_is_directory=True)
            continue
        first = folder
        folder.mkdir()
        for name in names:
            (folder / name).symlink_to(frames, target_is_directory=True)
    with open(root / "codes.csv", "w", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])


@pytest.mark.parametrize("database", ["casme2", pytest.param("samm", marks=pytest.mark.slow)])
def test_ten_thousand_clips_take_seconds_and_little_memory(tmp_path, database):
    make(tmp_path, database)
    run = subprocess.run([sys.executable, "-c", CODE, database, str(tmp_path)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    clips, frames, seconds, megabytes = json.loads(run.stdout)
    assert (clips, frames) == (SUBJECTS * CLIPS, SUBJECTS * CLIPS * FRAMES)
    assert seconds < 20  # about 2 on one core; other work may run beside the tests
    assert megabytes < 200  # about 50: the paths of 200,000 frames
