"""Every feed brings the bytes that zarr holds; which one is taken is told; what cannot be had names what can."""

from __future__ import annotations

import shutil
import threading

import numpy as np
import pytest
import torch
import zarr
from hypothesis import given
from hypothesis import strategies as st

from mer_pipe.heads import batch_memory, direct, feeding, feeds
from mer_pipe.heads.clips import StoreClips
from mer_pipe.heads.direct import GdsFeed
from mer_pipe.heads.feeding import choose, open_feed, open_sources
from mer_pipe.heads.feeds import HostFeed, ResidentFeed, finite
from mer_pipe.heads.pinned import CudaLane, PinnedFeed
from mer_pipe.heads.table import read_table
from mer_pipe.store import publish
from mer_pipe.store.arrays import NoSuchRow
from mer_pipe.types import MachineError, RecipeError, StoreError
from tests.report.made_store import flip_byte, make_store
from tests.store.stores import add_array

CPU = torch.device("cpu")
CLIPS = 7
ARRAYS = ("magnify/image", "flow_onset/flow", "align/transform", "travel/distance")
ROWS = ([3, 0, 6], [1], [], [5, 5, 2, 4], [0, 1, 2, 3, 4, 5, 6], [6])
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Seven clips, two a shard; clips 2 and 5 have no label, clip 5 holds NaN and infinities."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish, "SHARD_BYTES", 2 * 3 * 112 * 112 * 3)
        path = tmp_path_factory.mktemp("feeding") / "made.zarr"
        return make_store(path, CLIPS, kinds={5: "broken"}, only=("magnify", "flow_onset", "align", "travel"))


def held(store, name):
    return zarr.open_array(str(store / name), mode="r")[...]


def assert_same(store, rows, found):
    assert tuple(found) == ARRAYS
    for name, tensor in found.items():
        wanted = held(store, name)[np.array(rows, int)]
        assert str(tensor.dtype) == f"torch.{wanted.dtype}"
        assert tuple(tensor.shape) == wanted.shape
        assert tensor.cpu().numpy().tobytes() == wanted.tobytes()


class SlowLane:
    """A device whose copies end as late as they may: when somebody waits for them, or when all is over."""

    device = CPU

    def __init__(self):
        self.under_way, self.handed, self.log = {}, [], []

    def host(self, shape, dtype):
        self.log.append(f"host {shape[0]}")
        return torch.empty(shape, dtype=dtype)

    def send(self, held):
        sent = {name: torch.full_like(buffer, 99) for name, buffer in held.items()}
        ticket = len(self.log)
        self.log.append("send")
        self.under_way[ticket] = (sent, held)
        return sent, ticket

    def wait(self, ticket):
        self.log.append("wait")
        sent, buffers = self.under_way.pop(ticket)
        for name, buffer in buffers.items():
            sent[name].copy_(buffer)

    def hand_over(self, sent, ticket):
        self.handed.append(ticket)

    def end(self):
        for ticket in list(self.under_way):
            self.wait(ticket)


class DirectFile:
    """What ``torch.cuda.gds.GdsFile`` does, into the host's memory."""

    def __init__(self, name, flags):
        self.name = name

    def load_storage(self, storage, offset):
        with open(self.name, "rb") as file:
            file.seek(offset)
            data = np.frombuffer(file.read(storage.nbytes()), np.uint8)
        storage.copy_(torch.from_numpy(data.copy()).untyped_storage())


def gds_feed(store, open_file=DirectFile, arrays=ARRAYS):
    return GdsFeed(open_sources(store, arrays), CPU, "", open_file)


# The same bytes


@pytest.mark.parametrize("backend", ["auto", "mapped", "zarr", "resident"])
@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_every_backend_reads_what_zarr_holds(store, backend, kind):
    feed = open_feed(store, ARRAYS, "cpu", backend)
    assert feed.backend == ("mapped" if backend == "auto" else backend)
    assert len(feed) == CLIPS
    for rows in ROWS:
        assert_same(store, rows, feed.read(kind(rows)))


@pytest.mark.parametrize("backend", ["mapped", "zarr", "resident"])
def test_batches_come_in_order_and_are_the_same(store, backend):
    feed = open_feed(store, ARRAYS, "cpu", backend)
    found = list(feed.batches(iter(ROWS)))
    assert len(found) == len(ROWS)
    for rows, batch in zip(ROWS, found, strict=True):
        assert_same(store, rows, batch)


def test_batches_of_nothing_are_none(store):
    assert list(open_feed(store, ARRAYS).batches([])) == []


def test_direct_reads_go_to_the_right_places(store):
    feed = gds_feed(store)
    for rows, batch in zip(ROWS, feed.batches(ROWS), strict=True):
        assert_same(store, rows, batch)
    assert_same(store, [4, 0], feed.read([4, 0]))


@pytest.mark.parametrize("large", [batch_memory.LARGE, 1])
def test_a_batch_is_not_overwritten_by_the_next_ones(store, monkeypatch, large):
    monkeypatch.setattr(batch_memory, "LARGE", large)
    for feed in (open_feed(store, ARRAYS), gds_feed(store)):
        first, *_ = list(feed.batches(ROWS))
        assert_same(store, ROWS[0], first)


def test_batches_in_memory_that_is_used_again_hold_the_same_bytes(store, monkeypatch):
    monkeypatch.setattr(batch_memory, "LARGE", 1)
    seen = []
    for rows, batch in zip(ROWS * 4, open_feed(store, ARRAYS).batches(ROWS * 4), strict=True):
        assert_same(store, rows, batch)
        seen.append(batch["magnify/image"].data_ptr())
    assert len(set(seen)) < len(seen)


def test_a_pinned_buffer_is_not_written_before_its_copy_has_ended(store):
    lane = SlowLane()
    feed = PinnedFeed(open_sources(store, ARRAYS), lane, "")
    found = list(feed.batches(ROWS * 2))
    found.append(feed.read([2, 3]))
    lane.end()
    for rows, batch in zip([*ROWS, *ROWS, [2, 3]], found, strict=True):
        assert_same(store, rows, batch)
    assert len(lane.handed) == len(found)  # each was made ready for the stream that uses it


def test_without_waiting_the_slow_device_would_get_the_wrong_bytes(store, monkeypatch):
    """The test above can fail."""
    lane = SlowLane()
    monkeypatch.setattr(lane, "wait", lambda ticket: None)
    found = list(PinnedFeed(open_sources(store, ARRAYS), lane, "").batches([[0], [1], [2], [3]]))
    monkeypatch.undo()
    lane.end()
    wanted = held(store, "magnify/image")
    assert (found[0]["magnify/image"].numpy() == wanted[[2]]).all()
    assert (wanted[0] != wanted[2]).any()


def test_two_buffers_are_taken_in_turn_and_only_grow(store):
    lane = SlowLane()
    feed = PinnedFeed(open_sources(store, ("travel/distance",)), lane, "")
    list(feed.batches([[0], [1], [2, 3], [4], [5], [0, 1, 2]]))
    assert lane.log == [
        *("host 1", "send"),
        *("host 1", "send"),
        *("wait", "host 2", "send"),
        *("wait", "send"),
        *("wait", "send"),
        *("wait", "host 3", "send"),
    ]


@pytest.mark.parametrize("backend", ["mapped", "pinned"])
def test_the_next_batch_is_asked_for_before_the_one_before_is_used(store, backend):
    feed = open_feed(store, ARRAYS) if backend == "mapped" else PinnedFeed(open_sources(store, ARRAYS), SlowLane(), "")
    asked = []

    def rows():
        for row in range(4):
            asked.append(row)
            yield [row]

    seen = [len(asked) for _ in feed.batches(rows())]
    assert seen == [2, 3, 4, 4]


def test_damage_found_ahead_is_told_by_the_batch_that_has_it(store, tmp_path):
    damaged = shutil.copytree(store, tmp_path / "made.zarr")
    path, begin = open_sources(damaged, ("magnify/image",))["magnify/image"].place(3)
    flip_byte(path, begin)
    batches = open_feed(damaged, ARRAYS).batches([[0], [3], [1]])
    assert next(batches)["magnify/image"].any()
    with pytest.raises(StoreError, match=r"sample 3 \(demo/sub02/EP01_01\)"):
        next(batches)


def test_a_loop_that_ends_early_leaves_no_thread(store):
    before = threading.active_count()
    batches = open_feed(store, ARRAYS).batches([[row] for row in range(CLIPS)])
    next(batches)
    batches.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("backend", ["mapped", "zarr", "resident"])
def test_rows_that_are_not_there_are_refused(store, backend):
    feed = open_feed(store, ARRAYS, "cpu", backend)
    for rows in ([7], [-1], torch.tensor([0, 9]), [0.5]):
        with pytest.raises(NoSuchRow):
            feed.read(rows)
    with pytest.raises(NoSuchRow):
        list(feed.batches([[0], [7]]))


# Which backend


def test_a_store_that_cannot_be_mapped_is_read_through_zarr_and_says_so(store, tmp_path):
    other = shutil.copytree(store, tmp_path / "made.zarr")
    values = np.arange(14, dtype="float32").reshape(7, 2)
    add_array(other, "x/v", values, chunks=(7, 2))
    feed = open_feed(other, ("magnify/image", "x/v"))
    assert feed.backend == "zarr"
    assert feed.why == "x/v cannot be mapped: its codecs are bytes, not sharding_indexed alone"
    assert feed.read([6, 1])["x/v"].tolist() == values[[6, 1]].tolist()
    with pytest.raises(StoreError, match="backend mapped: x/v cannot be mapped.*Take backend=zarr"):
        open_feed(other, ("x/v",), "cpu", "mapped")
    assert ResidentFeed(feed.sources, CPU, "").read([3])["x/v"].tolist() == values[[3]].tolist()


GIB = 2**30
WHY = "x/v cannot be mapped"


@pytest.mark.parametrize(
    ("kind", "size", "free", "unmapped", "gds", "options"),
    [
        ("cpu", 99 * GIB, 1, "", True, ("mapped",)),
        ("cpu", 1, None, WHY, False, ("zarr",)),
        ("cuda", 4 * GIB, 8 * GIB, "", True, ("resident", "pinned")),
        ("cuda", 4 * GIB + 1, 8 * GIB, "", False, ("pinned",)),
        ("cuda", 4 * GIB + 1, 8 * GIB, "", True, ("gds", "pinned")),
        ("cuda", 4 * GIB + 1, 8 * GIB, WHY, True, ("pinned",)),
        ("cuda", 1, None, "", False, ("pinned",)),
        ("mps", 1, None, "", False, ("pageable",)),
        ("mps", 1, None, WHY, False, ("zarr",)),
    ],
)
def test_auto_takes_what_fits(kind, size, free, unmapped, gds, options):
    assert choose(kind, size, free, unmapped, gds)[0] == options


def test_auto_tells_the_sizes_that_it_went_by():
    assert choose("cuda", 4 * GIB, 6 * GIB, "", False)[1] == "the arrays take 4.00 GiB of 6.00 GiB free"


def test_auto_goes_on_where_a_backend_fails_and_says_so(store, monkeypatch):
    """Free memory is a guess until it has been taken."""
    monkeypatch.setattr(feeding, "choose", lambda *given: (("resident", "mapped"), "it seemed to fit"))

    def too_little(*given, **more):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(feeds.torch, "empty", too_little)
    feed = open_feed(store, ARRAYS)
    monkeypatch.undo()
    assert isinstance(feed, HostFeed)
    assert feed.why.startswith("it seemed to fit; resident was tried: magnify/image takes 0.00 GiB, more than is free")


@pytest.mark.parametrize(
    ("backend", "error", "told"),
    [
        ("pinned", RecipeError, "backend pinned is not for cpu. Take backend=mapped|take backend=mapped"),
        ("gds", RecipeError, "take backend=mapped"),
        ("pageable", RecipeError, "take backend=mapped"),
        ("fastest", RecipeError, "there is no backend 'fastest'"),
    ],
)
def test_a_backend_that_is_none_for_the_device_names_one_that_is(store, backend, error, told):
    with pytest.raises(error, match=f"(?i){told}"):
        open_feed(store, ARRAYS, "cpu", backend)


def test_resident_arrays_that_do_not_fit_name_a_backend_that_does(store, monkeypatch):
    monkeypatch.setattr(feeding, "free_bytes", lambda device: 1000)
    with pytest.raises(MachineError, match="0.00 GiB are free on cpu.*backend=mapped"):
        open_feed(store, ARRAYS, "cpu", "resident")


def test_free_memory_of_the_host_is_told():
    assert GIB / 8 < feeding.free_bytes(CPU) < 2**46


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_an_error(store):
    with pytest.raises(MachineError, match="device cuda is not there: PyTorch sees 0 GPUs"):
        open_feed(store, ARRAYS, "cuda")


def test_what_is_no_device_or_no_array_of_clips_is_an_error(store):
    with pytest.raises(RecipeError, match="there is no device 'gpu'"):
        open_feed(store, ARRAYS, "gpu")
    with pytest.raises(RecipeError, match="no array was named"):
        open_feed(store, ())
    with pytest.raises(StoreError, match="magnify/af of .* lies along af, not along the clips"):
        open_feed(store, ("magnify/af",))
    with pytest.raises(StoreError, match="label holds .*, which is no tensor"):
        open_feed(store, ("label",))


def test_direct_reads_that_fail_or_lie_are_an_error(store):
    class Refusing(DirectFile):
        def load_storage(self, storage, offset):
            raise RuntimeError("cuFileRead failed: 5027")

    class Lying(DirectFile):
        def load_storage(self, storage, offset):
            super().load_storage(storage, offset + 4)

    with pytest.raises(MachineError, match="cannot read .*magnify/image/c/0/.*5027.*backend=pinned"):
        gds_feed(store, Refusing)
    with pytest.raises(MachineError, match="reads magnify/image wrongly"):
        gds_feed(store, Lying)


def test_direct_reads_are_checked_on_the_host_first(store, tmp_path):
    damaged = shutil.copytree(store, tmp_path / "made.zarr")
    feed = gds_feed(damaged)
    path, begin = open_sources(damaged, ("magnify/image",))["magnify/image"].place(3)
    flip_byte(path, begin)
    with pytest.raises(StoreError, match="sample 3 .*checksum"):
        feed.read([3])


@pytest.mark.skipif(direct.has_gds(), reason="this machine has GPUDirect Storage")
def test_without_the_driver_direct_reads_are_refused_by_name(store):
    sources = open_sources(store, ARRAYS)
    with pytest.raises(MachineError, match="no GPUDirect Storage.*backend=pinned"):
        feeding.check_asked("gds", torch.device("cuda"), 1, 1, sources)


# Values


@given(
    st.sampled_from(["float16", "float32", "float64"]),
    st.lists(st.integers(0, 2**64 - 1), max_size=5),
    st.sampled_from([None, np.inf, -np.inf, np.nan, -np.nan]),
)
def test_finite_is_what_numpy_says(dtype, bits, special):
    size = np.dtype(dtype).itemsize
    values = np.array([b % 2 ** (8 * size) for b in bits], f"u{size}").view(dtype)
    if special is not None:
        values = np.append(values, np.array(special, dtype))
    assert finite(values) == bool(np.isfinite(values).all())


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_largest_numbers_are_finite(dtype):
    top = np.finfo(dtype).max
    assert finite(np.array([[top, -top], [0.0, -0.0]], dtype))
    assert finite(np.array(top, dtype))


def test_values_that_are_not_finite_name_clip_and_array(tmp_path):
    make_store(tmp_path / "made.zarr", 4, kinds={3: "broken"}, only=("flow_onset", "magnify"))
    table = read_table(tmp_path / "made.zarr")
    feed = open_feed(tmp_path / "made.zarr", ("magnify/image", "flow_onset/flow"))
    with pytest.raises(StoreError, match="flow_onset/flow of demo/sub02/EP01_01 holds values that are not finite"):
        StoreClips(feed, table)
    assert len(StoreClips(feed, table, [0, 1])) == 2


def test_a_clip_that_is_not_trained_on_may_hold_what_it_likes(store):
    """Clip 5 is broken and has no label."""
    assert len(StoreClips(open_feed(store, ARRAYS), read_table(store))) == 5


def test_values_are_looked_at_once(store, monkeypatch):
    seen = []
    monkeypatch.setattr(feeds, "finite", lambda array: seen.append(1) or True)
    feed, table = open_feed(store, ("magnify/image", "travel/distance")), read_table(store)
    for fold in range(5):
        StoreClips(feed, table, [place for place in range(5) if place != fold])
    assert len(seen) == 5  # the floating-point array's five clips


# Clips


@pytest.mark.parametrize("backend", ["mapped", "resident", "zarr"])
def test_a_batch_is_the_clips_at_its_positions(store, backend):
    table = read_table(store)
    clips = StoreClips(open_feed(store, ARRAYS, "cpu", backend), table, (4, 0, 2))
    assert clips.samples == ("demo/sub03/EP01_01", "demo/sub01/EP01_01", "demo/sub02/EP01_01")
    assert clips.labels.tolist() == [table.labels[4], table.labels[0], table.labels[2]]
    assert clips.labels.dtype == torch.int64
    asked = [torch.tensor([2, 0, 0]), torch.tensor([1])]
    for batch, positions in zip([*map(clips.batch, asked), *clips.batches(asked)], asked * 2, strict=True):
        assert_same(store, [(6, 0, 3)[p] for p in positions], batch.arrays)
        assert batch.positions.tolist() == positions.tolist()
        assert batch.labels.tolist() == clips.labels[positions].tolist()
        assert torch.equal(batch.units, clips.units[positions])
        assert batch.units.dtype == torch.float32
        assert len(batch) == len(positions)


def test_the_table_and_the_arrays_of_two_stores_are_not_mixed(store, tmp_path):
    """A build may replace the store between the two."""
    table = read_table(store)
    make_store(tmp_path / "other.zarr", CLIPS, only=("travel",), edit={0: {"label": "others"}})
    with pytest.raises(StoreError, match="was built anew since its table was read"):
        StoreClips(open_feed(tmp_path / "other.zarr", ("travel/distance",)), table)


def test_units_go_with_their_clips(store):
    clips = StoreClips(open_feed(store, ("travel/distance",)), read_table(store), [1, 0])
    assert clips.units.tolist() == [[1, 0, 0], [0, 1, 1]]  # L4; 6+12


def test_positions_beyond_the_fold_are_refused(store):
    """No clip of another fold can be reached by a wrong number."""
    clips = StoreClips(open_feed(store, ("travel/distance",)), read_table(store), [0, 1])
    for wrong in (2, -1):
        with pytest.raises(NoSuchRow):
            clips.batch(torch.tensor([wrong]))
    with pytest.raises(NoSuchRow):
        StoreClips(open_feed(store, ("travel/distance",)), read_table(store), [5])


# With a GPU


@needs_gpu
@pytest.mark.parametrize("backend", ["auto", "resident", "pinned", "pageable", "zarr"])
def test_every_backend_brings_the_same_bytes_onto_a_gpu(store, backend):
    feed = open_feed(store, ARRAYS, "cuda", backend)
    assert feed.backend == ("resident" if backend == "auto" else backend)
    for rows, batch in zip(ROWS * 20, feed.batches(ROWS * 20), strict=True):
        assert batch["magnify/image"].device.type == "cuda"
        assert_same(store, rows, batch)
    assert_same(store, [4, 0], feed.read(torch.tensor([4, 0], device="cuda")))


@needs_gpu
def test_pinned_batches_are_right_while_the_gpu_is_busy(store):
    """Work that is queued before a batch is used delays it; buffers must wait for their copies all the same."""
    feed = PinnedFeed(open_sources(store, ARRAYS), CudaLane(torch.device("cuda", 0)), "")
    load = torch.rand(4096, 4096, device="cuda")
    kept = []
    for batch in feed.batches(ROWS * 30):
        for _ in range(4):
            load = load @ load / load.abs().max()
        kept.append({name: tensor.clone() for name, tensor in batch.items()})
    torch.cuda.synchronize()
    for rows, batch in zip(ROWS * 30, kept, strict=True):
        assert_same(store, rows, batch)


@needs_gpu
@pytest.mark.skipif(not direct.has_gds(), reason="no GPUDirect Storage")
def test_gpudirect_brings_the_same_bytes_onto_a_gpu(store):
    feed = open_feed(store, ARRAYS, "cuda", "gds")
    for rows, batch in zip(ROWS * 5, feed.batches(ROWS * 5), strict=True):
        assert_same(store, rows, batch)


@needs_gpu
def test_clips_are_reached_by_positions_on_the_gpu(store):
    table = read_table(store)
    for backend in ("resident", "pinned"):
        clips = StoreClips(open_feed(store, ARRAYS, "cuda", backend), table, (4, 0, 2))
        batch = clips.batch(torch.tensor([2, 0], device="cuda"))
        assert batch.labels.device.type == "cuda"
        assert_same(store, [3, 6], batch.arrays)
