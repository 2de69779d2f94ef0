"""A store as a PyTorch dataset: items, folds, shuffles and workers; and the page that shows them runs."""

from __future__ import annotations

import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler

from mer_pipe import heads
from mer_pipe.heads.dataset import torch_dataset
from mer_pipe.heads.head import Head, Need
from mer_pipe.store.arrays import NoSuchRow
from mer_pipe.store.publish import ArrayPlan, publish
from mer_pipe.types import ArraySpec, RecipeError, StoreError
from tests.report.made_store import make_store

CLIPS = 9
ARRAYS = ("magnify/image", "features_mrn/feature")
PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/feed-your-trainer.md"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Three subjects of three clips; the third of each has no label."""
    groups = ("magnify", "features_mrn", "flow_onset", "strain")
    return make_store(tmp_path_factory.mktemp("dataset") / "made.zarr", CLIPS, only=groups)


@pytest.fixture(scope="module")
def data(store):
    return torch_dataset(store, arrays=ARRAYS)


def held(store, name, rows):
    return torch.from_numpy(zarr.open_array(str(store / name), mode="r")[...][rows])


def assert_own_values(store, data):
    """Every clip's arrays and label are those of the store's row with its name."""
    names, labels = (zarr.open_array(str(store / column), mode="r")[...].tolist() for column in ("sample", "label"))
    for found in (*data, *data.batches(2, shuffle=True)):
        sample = found["sample"]
        rows = names.index(sample) if isinstance(sample, str) else [names.index(name) for name in sample]
        for array in data.feed.sources:
            assert torch.equal(found[array], held(store, array, rows))
        assert np.array(data.classes)[found["label"].numpy()].tolist() == np.array(labels)[rows].tolist()


def samples(loader):
    return [name for batch in loader for name in batch["sample"]]


def test_an_item_is_its_arrays_label_and_names(store, data):
    item = data[2]  # the store's row 3
    assert set(item) == {*ARRAYS, "label", "sample", "subject"}
    for name in ARRAYS:
        assert torch.equal(item[name], held(store, name, 3))
    assert (item["sample"], item["subject"]) == ("demo/sub02/EP01_01", "demo/sub02")
    assert data.classes[item["label"]] == "happiness"
    assert (item["label"].dtype, item["label"].shape) == (torch.int64, ())


def test_clips_without_a_label_are_left_out_and_named(data):
    assert len(data) == 6
    assert data.left_out == ("demo/sub01/EP03_01", "demo/sub02/EP03_01", "demo/sub03/EP03_01")
    assert data.classes == ("happiness", "others")
    assert data.subjects == ("demo/sub01", "demo/sub02", "demo/sub03")


@pytest.mark.parametrize("index", [[4, 0, 0], np.array([4, 0, 0]), torch.tensor([4, 0, 0])])
def test_several_indices_are_one_batch(store, data, index):
    batch = data[index]
    assert torch.equal(batch["magnify/image"], held(store, "magnify/image", [6, 0, 0]))
    assert batch["label"].tolist() == [0, 0, 0]
    assert batch["sample"] == ["demo/sub03/EP01_01", "demo/sub01/EP01_01", "demo/sub01/EP01_01"]


def test_an_index_counts_from_the_end_and_ends(data):
    assert data[-1]["sample"] == data[5]["sample"]
    assert data[torch.tensor(1)]["sample"] == data[1]["sample"]
    for wrong in (6, -7, [0, 6]):
        with pytest.raises(NoSuchRow):
            data[wrong]
    assert len(list(data)) == 6  # Python's own loop stops at the IndexError


def test_rows_of_the_store_can_be_chosen(store):
    data = torch_dataset(store, arrays=ARRAYS, rows=[7, 2, 0])
    assert [item["sample"] for item in data] == ["demo/sub03/EP02_01", "demo/sub01/EP01_01"]
    assert data.left_out == ("demo/sub01/EP03_01",)
    assert data.subjects == ("demo/sub01", "demo/sub03")
    assert_own_values(store, data)
    with pytest.raises(NoSuchRow):
        torch_dataset(store, arrays=ARRAYS, rows=[9])


def test_a_split_leaves_one_subject_out(store, data):
    train, test = data.split(leave_out="demo/sub02")
    assert test.subjects == ("demo/sub02",)
    assert train.subjects == ("demo/sub01", "demo/sub03")
    assert sorted(samples([train[[0, 1, 2, 3]], test[[0, 1]]])) == sorted(samples([data[range(6)]]))
    assert train.classes == test.classes == data.classes
    inner, left = train.split("demo/sub03")
    assert (inner.subjects, left.subjects) == (("demo/sub01",), ("demo/sub03",))
    for part in (train, test, inner, left):
        assert_own_values(store, part)
    assert train.feed is data.feed  # nothing is opened again


def test_a_subject_that_is_not_there_is_an_error(data):
    with pytest.raises(RecipeError, match=r"no clip is of subject 'sub02' \(did you mean demo/sub02\?\)"):
        data.split("sub02")
    train, _ = data.split("demo/sub02")
    with pytest.raises(RecipeError, match="no clip is of subject 'demo/sub02'"):
        train.split("demo/sub02")


@pytest.mark.parametrize("backend", ["mapped", "resident", "zarr"])
def test_batches_hold_every_clip_once_and_the_right_one(store, backend):
    data = torch_dataset(store, arrays=ARRAYS, backend=backend)
    batches = list(data.batches(4, shuffle=True, seed=3))
    assert [len(batch["label"]) for batch in batches] == [4, 2]
    by_name = {item["sample"]: item for item in data}
    assert sorted(samples(batches)) == sorted(by_name)
    for batch in batches:
        for i, name in enumerate(batch["sample"]):
            assert torch.equal(batch["magnify/image"][i], by_name[name]["magnify/image"])
            assert batch["label"][i] == by_name[name]["label"]
            assert batch["subject"][i] == by_name[name]["subject"]


def test_a_shuffle_is_its_seeds(data):
    orders = {seed: samples(data.batches(4, shuffle=True, seed=seed)) for seed in range(6)}
    torch.manual_seed(99)  # the default generator has no part in it
    state = torch.get_rng_state()
    assert all(samples(data.batches(4, shuffle=True, seed=seed)) == order for seed, order in orders.items())
    assert torch.equal(torch.get_rng_state(), state)
    assert len({tuple(order) for order in orders.values()}) > 3
    assert samples(data.batches(4)) == [item["sample"] for item in data]


def test_a_batch_size_below_one_is_refused(data):
    with pytest.raises(RecipeError, match="batch_size=0"):
        data.batches(0)


@pytest.mark.parametrize(("backend", "context"), [("mapped", "fork"), ("zarr", "fork"), ("mapped", "spawn")])
def test_workers_open_the_store_themselves(store, backend, context):
    data = torch_dataset(store, arrays=ARRAYS, backend=backend)
    data[0]  # the parent's files are open when it forks
    loader = DataLoader(data, batch_size=4, num_workers=1, multiprocessing_context=context)
    batches = list(loader)
    assert torch.equal(torch.cat([batch["magnify/image"] for batch in batches]), data[range(6)]["magnify/image"])
    assert torch.cat([batch["label"] for batch in batches]).tolist() == data[range(6)]["label"].tolist()
    assert samples(batches) == data[range(6)]["sample"]


def test_a_loader_can_take_whole_batches(data):
    loader = DataLoader(data, batch_size=None, sampler=BatchSampler(SequentialSampler(data), 4, drop_last=False))
    assert [len(batch["sample"]) for batch in loader] == [4, 2]
    assert samples(loader) == data[range(6)]["sample"]


def test_a_fetch_of_several_items_is_one_read(data, monkeypatch):
    asked = []
    read = data.feed.read
    monkeypatch.setattr(data.feed, "read", lambda rows: asked.append(len(rows)) or read(rows))
    list(DataLoader(data, batch_size=4))
    assert asked == [4, 2]


def test_it_survives_pickling_without_its_files(store):
    data = torch_dataset(store, arrays=ARRAYS)
    sent = pickle.dumps(data)
    assert len(sent) < 60_000
    again = pickle.loads(sent)
    assert torch.equal(again[1]["magnify/image"], data[1]["magnify/image"])
    assert (again.classes, again.subjects) == (data.classes, data.subjects)


def test_a_worker_notices_a_store_that_was_built_anew(store, tmp_path):
    copy = shutil.copytree(store, tmp_path / "made.zarr")
    sent = pickle.dumps(torch_dataset(copy, arrays=ARRAYS))
    make_store(copy, CLIPS, only=("magnify", "features_mrn"), edit={0: {"label": "others"}})
    with pytest.raises(StoreError, match="was built anew since"):
        pickle.loads(sent)[0]


def test_a_worker_cannot_fill_another_device(store, monkeypatch):
    data = torch_dataset(store, arrays=ARRAYS)
    path, checksum, names, _, backend = data._opened._asked
    data._opened._asked = (path, checksum, names, torch.device("cuda", 0), backend)
    data._opened._feed = None
    monkeypatch.setattr("mer_pipe.heads.dataset.get_worker_info", lambda: "a worker")
    with pytest.raises(RecipeError, match="worker cannot bring clips onto cuda:0.*pin_memory=True"):
        data[0]


class ToyHead(Head):
    name, title = "toy", "Toy"

    @property
    def needs(self):
        return (Need("strain/strain", "ruan"), Need("flow_onset/flow", "ruan"))


def test_a_head_brings_its_arrays(store, monkeypatch):
    monkeypatch.setitem(heads.HEADS, "toy", (__name__, "ToyHead"))
    data = torch_dataset(store, head="toy")
    assert list(data[0])[:2] == ["strain/strain", "flow_onset/flow"]
    with pytest.raises(RecipeError, match=r"there is no head 'toyy' \(did you mean toy\?\)"):
        torch_dataset(store, head="toyy")


def test_values_that_are_not_finite_are_refused(tmp_path):
    make_store(tmp_path / "made.zarr", 4, kinds={1: "broken"}, only=("flow_onset",))
    with pytest.raises(StoreError, match="flow_onset/flow of demo/sub01/EP02_01"):
        torch_dataset(tmp_path / "made.zarr", arrays=("flow_onset/flow",))
    assert len(torch_dataset(tmp_path / "made.zarr", arrays=("flow_onset/flow",), rows=[0, 3])) == 2


def test_it_tells_what_it_is(data):
    assert repr(data).startswith(
        "<6 clips of 3 subjects, 2 classes: <feed of magnify/image, features_mrn/feature on cpu"
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU")
def test_batches_arrive_on_the_gpu(store):
    data = torch_dataset(store, arrays=ARRAYS, device="cuda")
    for batch in data.batches(4, shuffle=True):
        assert batch["magnify/image"].device.type == batch["label"].device.type == "cuda"
        wanted = torch_dataset(store, arrays=ARRAYS)
        by_name = {item["sample"]: item for item in wanted}
        for i, name in enumerate(batch["sample"]):
            assert torch.equal(batch["magnify/image"][i].cpu(), by_name[name]["magnify/image"])


def publish_like_the_demo(path):
    """As many clips, subjects and classes as the demo's store, with the axes of its arrays and smaller images."""
    labels = ("happiness", "disgust", "surprise", "repression", "others", "disgust")
    rows = [
        {
            "sample": f"demo/sub{i // 6 + 1:02d}/EP{i // 3 % 2 + 1:02d}_{i % 3 + 1:02d}",
            "database": "demo",
            "subject": f"demo/sub{i // 6 + 1:02d}",
            "label": labels[i % 6],
            "aus": "",
        }
        for i in range(24)
    ]
    rng = np.random.default_rng(0)
    vectors = rng.random((24, 12, 1024)).astype("float16")
    images = rng.integers(0, 256, (24, 12, 8, 8, 3), np.uint8)
    axes = {"features_mrn/vector": (vectors, ("feature",)), "magnify/image": (images, ("y", "x", "channel"))}
    plans = []
    for name, (values, dims) in axes.items():
        group, _, array = name.partition("/")
        cells = tuple(tuple((f"{name}|{clip}|{place}", array) for place in range(12)) for clip in range(24))
        spec = ArraySpec(dims, values.dtype.name)
        plans.append(ArrayPlan(group, array, {"af": tuple(map(float, range(2, 14)))}, spec, spec.dtype, cells, {}))

    def read(key):
        name, clip, place = key.split("|")
        return {name.partition("/")[2]: axes[name][0][int(clip), int(place)]}

    publish(path, rows, plans, {"database": "demo"}, read)


def test_the_page_prints_what_it_shows(tmp_path):
    """Its Python blocks run one after the other; the blocks without a language are what they print."""
    publish_like_the_demo(tmp_path / "demo.zarr")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", PAGE.read_text(), re.S | re.M)
    code = "\n".join(body for language, body in blocks if language == "python")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "".join(body for language, body in blocks if not language)
