"""Arrays leave the store bit by bit: as .npz, in tar shards, beside a folder of pictures."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

from mer_pipe.export.plan import prepare
from mer_pipe.export.settings import ExportError, Settings
from tests.export import reading
from tests.report.made_store import make_store

SOME = ("flow_onset/flow", "crop", "features_mrn/feature")


def test_npz_files_hold_the_stores_arrays(store, exported):
    out, _ = exported("numpy", arrays=SOME)
    told = reading.rows(out)
    assert [row["label"] for row in told] == ["happiness", "others"] * 3
    for name in ("flow_onset/flow", "crop/image", "features_mrn/feature"):
        truth = reading.of_store(store, name)
        for row in told:
            with np.load(out / row["file"], allow_pickle=False) as found:
                assert set(found.files) == {"flow_onset/flow", "crop/image", "features_mrn/feature"}
                assert found[name].dtype == truth[row["sample"]].dtype
                assert np.array_equal(found[name], truth[row["sample"]])


def test_the_sidecar_names_axes_and_their_values(exported):
    out, _ = exported("numpy", arrays=("crop",))
    told = json.loads((out / "export.json").read_text())
    crop = told["arrays"]["crop/image"]
    assert crop["dims"] == ["mark", "y", "x", "channel"]
    assert crop["shape"] == [3, 112, 112, 3]
    assert crop["coordinates"] == {"mark": ["onset", "apex", "offset"]}
    assert told["store"]["contents"] == "c" * 64
    assert told["store"]["excluded"] == told["store"]["failed"] == 1


def test_shards_hold_the_stores_arrays(store, exported):
    out, _ = exported("webdataset", arrays=SOME)
    truth = {name: reading.of_store(store, name) for name in ("flow_onset/flow", "crop/image")}
    told = reading.rows(out)
    samples = reading.webdataset(sorted(out.glob("*.tar")))
    assert [key for key, _ in samples] == [row["key"] for row in told]
    for (_, parts), row in zip(samples, told, strict=True):
        own = json.loads(parts["json"])
        assert own["sample"] == row["sample"]
        assert int(parts["cls"]) == own["class"] == int(row["class"])
        assert set(parts) == {"cls", "json", "flow_onset.flow.npy", "crop.image.npy", "features_mrn.feature.npy"}
        for name in truth:
            found = np.load(io.BytesIO(parts[f"{name.replace('/', '.')}.npy"]), allow_pickle=False)
            assert np.array_equal(found, truth[name][row["sample"]])
            assert found.dtype == truth[name][row["sample"]].dtype


def test_a_clip_lies_in_one_shard_and_shards_keep_their_size(exported):
    """u, v, strain and the three of motion take 0.29 MiB a clip: a shard of 1 MiB holds three."""
    out, _ = exported("webdataset", arrays=("flow_onset", "motion", "strain"), shard=1)
    shards = sorted(out.glob("*.tar"))
    assert [path.name for path in shards] == [f"{number:06d}.tar" for number in range(2)]
    assert all(path.stat().st_size <= 1 << 20 for path in shards)
    rows = reading.rows(out)
    for path in shards:
        keys = [key for key, _ in reading.webdataset([path])]
        assert keys == [row["key"] for row in rows if row["shard"] == path.name]
        assert len(keys) == 3


def test_a_key_has_no_dot(tmp_path, exported):
    """webdataset ends a key at the first dot: "spNO.1_a" and "spNO.2_a" would be one clip of CAS(ME)^3."""
    edit = {
        clip: {"sample": f"casme3/spNO.{clip}/a", "subject": f"casme3/spNO.{clip}", "clip": "a", "label": "fear"}
        for clip in range(3)
    }
    dotted = make_store(tmp_path / "dotted.zarr", 3, only=("strain",), edit=edit)
    out, _ = exported("webdataset", of=dotted, arrays=("strain",))
    samples = reading.webdataset([out / "000000.tar"])
    assert [key for key, _ in samples] == ["spNO_0_a", "spNO_1_a", "spNO_2_a"]


def test_an_imagefolder_tells_of_every_picture(store, exported):
    out, _ = exported("huggingface", arrays=("flow_onset",))
    lines = [json.loads(line) for line in (out / "train/metadata.jsonl").read_text().splitlines()]
    assert {line["file_name"] for line in lines} == {path.name for path in (out / "train").glob("*.png")}
    motion, flow = reading.motion_of(store), reading.of_store(store, "flow_onset/flow")
    for line in lines:
        levels = np.asarray(Image.open(out / "train" / line["file_name"])).astype(float)
        for at, name in enumerate(("u", "v", "strain")):
            want = motion[line["sample"]][..., at].reshape(28, 4, 28, 4).mean(axis=(1, 3))
            found = line[f"{name}_offset"] + line[f"{name}_step"] * levels[..., at]
            assert np.abs(found - want).max() <= line[f"{name}_step"] / 2 * (1 + 1e-6)
        assert np.array_equal(np.load(out / line["flow_onset/flow"]), flow[line["sample"]])
        assert (line["subject"], line["onset"], line["apex"]) == (f"demo/{line['fold']}", 10, 20)


def test_an_array_that_is_not_there_is_named_with_one_that_is(store):
    with pytest.raises(ExportError, match=r"no array 'flow_onset/flw' \(did you mean flow_onset/flow\?\)"):
        prepare(store, Settings("numpy", arrays=("flow_onset/flw",)))
    with pytest.raises(ExportError, match=r"numpy needs the arrays.*the store holds crop/image, "):
        prepare(store, Settings("numpy"))


def test_all_stands_for_every_array_once(store):
    plan = prepare(store, Settings("numpy", arrays=("strain", "all")))
    names = [array.name for array in plan.arrays]
    assert names[0] == "strain/strain"
    assert sorted(names) == sorted(plan.source.arrays) == sorted(set(names))
