"""An export appears whole or not at all, over nothing, and with the same bytes every time."""

from __future__ import annotations

import json
import os
import re
import shutil

import pytest

from mer_pipe.export import pictures
from mer_pipe.export.plan import prepare
from mer_pipe.export.settings import ExportError, Settings
from mer_pipe.export.write import summary, write
from mer_pipe.types import StoreError
from tests.export import reading
from tests.report.made_store import flip_byte, make_store, shard_of

EVERY = {
    "pictures": {},
    "numpy": {"arrays": ("flow_onset", "crop")},
    "webdataset": {"arrays": ("flow_onset", "crop"), "shard": 1},
    "huggingface": {"arrays": ("crop",)},
}


@pytest.mark.parametrize("format", EVERY)
def test_two_exports_are_the_same_bytes(format, exported, store, tmp_path):
    """From another place, at another time: an export tells where it came from, never when or where it was made."""
    one, _ = exported(format, out="one", **EVERY[format])
    shutil.copytree(store, tmp_path / "moved/elsewhere.zarr")
    os.utime(tmp_path / "moved/elsewhere.zarr", (0, 0))
    two, _ = exported(format, out="two", of=tmp_path / "moved/elsewhere.zarr", **EVERY[format])
    first = reading.tree(one)
    assert first == reading.tree(two)
    assert not any(str(tmp_path).encode() in data for data in first.values())


@pytest.mark.parametrize("format", EVERY)
def test_every_clip_is_exported_or_listed(format, exported, store):
    out, plan = exported(format, **EVERY[format])
    told = json.loads((out / "export.json").read_text())
    written = [row["sample"] for row in reading.rows(out)]
    left = [entry["sample"] for entry in told["left_out"]]
    assert sorted(written + left) == sorted(reading.of_store(store, "strain/strain"))
    assert [name[-7:] for name in left] == ["EP03_01"] * 3
    assert any("has no label: 3 clips: demo/sub01/EP03_01" in line for line in summary(plan, out, True))


def test_nothing_is_overwritten(exported, store, tmp_path):
    out, plan = exported("pictures")
    before = reading.tree(out)
    with pytest.raises(ExportError, match=r"exists and is not empty.*new folder with -o"):
        write(plan, out)
    assert reading.tree(out) == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ExportError, match="exists and is not empty"):
        write(plan, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    write(plan, tmp_path / "empty")
    assert reading.tree(tmp_path / "empty") == before


def test_a_link_to_an_empty_folder_is_followed(store, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    write(prepare(store, Settings("pictures", layout="flat")), tmp_path / "out")
    assert sorted(os.listdir(tmp_path / "disk")) == ["export.json", "labels.csv", "pictures"]


def test_a_folder_that_fills_meanwhile_is_kept(store, tmp_path):
    plan = prepare(store, Settings("pictures", layout="flat"))

    def meddle(done: int, total: int) -> None:
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "out/theirs").write_text("theirs")

    with pytest.raises(ExportError, match="was filled while"):
        write(plan, tmp_path / "out", meddle)
    assert os.listdir(tmp_path) == ["out"]
    assert os.listdir(tmp_path / "out") == ["theirs"]


def test_an_export_that_fails_leaves_nothing(store, tmp_path, monkeypatch):
    plan, png = prepare(store, Settings("pictures")), pictures.png
    calls = []

    def full(image):
        calls.append(image)
        if len(calls) > 3:
            raise OSError(28, "No space left on device")
        return png(image)

    monkeypatch.setattr(pictures, "png", full)
    with pytest.raises(ExportError, match="the disk is full"):
        write(plan, tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_what_a_killed_export_left_is_swept(exported, tmp_path):
    import socket
    import subprocess
    import sys

    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    left = tmp_path / f".out.{socket.gethostname()}.{done.pid}.00000000.tmp"
    left.mkdir()
    exported("pictures", layout="flat")
    assert os.listdir(tmp_path) == ["out"]


def test_the_store_is_never_written_into(tmp_path):
    own = make_store(tmp_path / "own.zarr", 6, only=("flow_onset", "strain"))
    plan = prepare(own, Settings("pictures"))
    for place in (own, own / "export"):
        with pytest.raises(ExportError, match="inside the store"):
            write(plan, place)


def test_a_damaged_array_names_the_clip_and_the_check(tmp_path):
    damaged = make_store(tmp_path / "damaged.zarr", 6, only=("flow_onset", "strain"))
    flip_byte(shard_of(damaged, "flow_onset/flow"), 1000)
    with pytest.raises(StoreError, match=r"flow_onset/flow of demo/sub01/EP01_01 cannot be read.*mer-pipe verify"):
        write(prepare(damaged, Settings("pictures")), tmp_path / "out")
    assert os.listdir(tmp_path) == ["damaged.zarr"]


def test_values_that_are_not_finite_are_refused(tmp_path):
    broken = make_store(tmp_path / "broken.zarr", 6, only=("flow_onset", "strain"), kinds={1: "broken"})
    with pytest.raises(StoreError, match=r"flow_onset/flow of demo/sub01/EP02_01 holds values that are not finite"):
        write(prepare(broken, Settings("pictures")), tmp_path / "out")


def test_a_place_that_holds_no_store_is_told(tmp_path):
    with pytest.raises(StoreError, match="there is no store"):
        prepare(tmp_path / "none.zarr", Settings("pictures"))


def test_an_fps_that_is_not_known_is_empty(tmp_path, exported):
    unknown = make_store(tmp_path / "nan.zarr", 6, only=("flow_onset", "strain"), edit={0: {"fps": float("nan")}})
    out, _ = exported("huggingface", of=unknown)
    assert reading.rows(out)[0]["fps"] == ""
    assert json.loads((out / "train/metadata.jsonl").read_text().splitlines()[0])["fps"] is None


@pytest.mark.parametrize("format", EVERY)
def test_one_clip_is_held_at_a_time(format, exported, monkeypatch):
    """Every array is read once, and those of a clip one after the other."""
    from mer_pipe.export.clips import Source

    read, seen = Source.read, []
    monkeypatch.setattr(
        Source, "read", lambda self, name, clip: seen.append((clip.row, name)) or read(self, name, clip)
    )
    exported(format, **EVERY[format])
    assert len(seen) == len(set(seen))
    assert [row for row, _ in seen] == sorted(row for row, _ in seen)


@pytest.mark.parametrize("what", ["format", "classes", "layout", "order", "source"])
def test_a_setting_that_is_none_is_refused_with_those_that_are(store, what):
    with pytest.raises(ExportError, match=rf"there is no {what} 'x'. Take one of"):
        prepare(store, Settings(**({"format": "pictures"} | {what: "x"})))


def test_a_summary_says_what_is_where(store, tmp_path):
    plan = prepare(store, Settings("pictures", layout="htnet", classes="3"))
    first, second = summary(plan, "OUT", False)
    assert re.match(r"would write to OUT: 9 clips of 3 subjects, 36 pictures in datasets,", first)
    assert second == "classes: 0 negative (4), 1 positive (5), 2 surprise (0)"
