"""Mapped samples are the bytes that zarr reads; what cannot be mapped says why; damage is an error, never zeros."""

from __future__ import annotations

import errno
import json
import mmap
import pickle
import shutil

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec, ZstdCodec

from mer_pipe.store import mapped, publish
from mer_pipe.store.arrays import NoSuchRow, open_plain
from mer_pipe.store.mapped import Mapped, open_array
from mer_pipe.store.shards import CHECKSUM_BYTES, crc32c, layout_of, offsets
from mer_pipe.types import MachineError, StoreError
from tests.report.made_store import flip_byte, make_store
from tests.store.stores import add_array, seal

CLIPS = 5
ARRAYS = ("magnify/image", "flow_onset/flow", "align/transform", "features_mrn/feature", "travel/distance")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Five clips, two a shard: the last shard is not full."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish, "SHARD_BYTES", 2 * 3 * 112 * 112 * 3)
        groups = ("magnify", "flow_onset", "align", "features_mrn", "travel")
        return make_store(tmp_path_factory.mktemp("made") / "made.zarr", CLIPS, only=groups)


@pytest.fixture
def store(made, tmp_path):
    return shutil.copytree(made, tmp_path / "made.zarr")


def whole(store, name):
    return zarr.open_array(str(store / name), mode="r")[...]


def shards(store, name):
    return sorted(path for path in (store / name / "c").rglob("*") if path.is_file())


@pytest.mark.parametrize("name", ARRAYS)
def test_rows_in_any_order_are_what_zarr_holds(made, name):
    array, rows = open_array(made, name), np.array([4, 0, 0, 3, 1, 2])
    assert array.backend == "mapped"
    wanted = whole(made, name)
    assert (array.shape, array.dtype) == (wanted.shape, wanted.dtype)
    for read in (array, open_plain(made, name)):
        assert read.read(rows).tobytes() == wanted[rows].tobytes()
        assert read.row(3).tobytes() == wanted[3].tobytes()
        assert read.row(3).shape == wanted[3].shape


def test_the_store_of_the_test_has_full_and_unfull_shards_and_unaligned_samples(made):
    assert len(shards(made, "magnify/image")) == 3
    assert open_array(made, "align/transform").place(1)[1] % 8 == 4


def test_a_read_writes_into_the_memory_that_it_is_given(made):
    array = open_array(made, "magnify/image")
    out = np.zeros((2, *array.shape[1:]), array.dtype)
    assert array.read([4, 1], out) is out
    assert (out == whole(made, "magnify/image")[[4, 1]]).all()


@pytest.mark.parametrize(
    "out",
    [np.zeros((1, 16), "f4"), np.zeros((2, 16), "f8"), np.zeros((16, 2), "f4").T],
    ids=["shape", "dtype", "order"],
)
def test_memory_that_does_not_fit_is_refused(made, out):
    with pytest.raises(StoreError, match=r"not contiguous float32 \(2, 16\)"):
        open_array(made, "features_mrn/feature").read([0, 1], out)


def test_a_row_is_a_view_of_the_file_that_cannot_be_written(made):
    array = open_array(made, "magnify/image")
    assert np.shares_memory(array.row(2), array.row(2))
    with pytest.raises(ValueError, match="read-only"):
        array.row(2)[...] = 0


@pytest.mark.parametrize("opened", [open_array, open_plain])
@pytest.mark.parametrize("rows", [[5], [-1], [0, 2**40], [0.0], [True, False], [[0]]])
def test_rows_that_are_not_there_are_refused(made, opened, rows):
    array = opened(made, "travel/distance")
    with pytest.raises(NoSuchRow):
        array.read(rows)
    with pytest.raises(IndexError, match="there are 5, from 0"):
        array.row(5)


def test_no_rows_are_an_empty_array(made):
    assert open_array(made, "magnify/image").read([]).shape == (0, 3, 112, 112, 3)


def test_names_axes_and_backend_are_told(made):
    array = open_array(made, "magnify/image")
    assert array.dims == ("sample", "af", "y", "x", "channel")
    assert "mapped: each sample is one run of raw bytes with a checksum" in repr(array)


@pytest.mark.parametrize("name", ["magnify/nothing", "../made.zarr/magnify/image", "", "magnify"])
def test_a_name_that_is_no_array_is_an_error(made, name):
    with pytest.raises(StoreError, match=r"no array|group of arrays.*inspect"):
        open_array(made, name)


# Damage


def test_a_flipped_bit_in_a_sample_is_found_with_file_clip_and_command(store):
    array = open_array(store, "magnify/image")
    path, begin = array.place(3)
    flip_byte(path, begin + 500)
    for opened in (open_array(store, "magnify/image"), open_plain(store, "magnify/image")):
        with pytest.raises(StoreError, match=r"sample 3 \(demo/sub02/EP01_01\).*mer-pipe verify"):
            opened.read([3])
        with pytest.raises(StoreError, match=r"magnify/image"):
            opened.verify()
        assert opened.read([2]).any()
    with pytest.raises(StoreError, match=r"magnify/image/c/1/0/0/0/0: sample 3 "):
        open_array(store, "magnify/image").row(3)


@settings(max_examples=80, deadline=None)
@given(at=st.integers(0, 10**9), bit=st.integers(0, 7), shard=st.sampled_from([0, 1, 2, -1]))
def test_a_flipped_bit_anywhere_in_a_shard_is_found(made, at, bit, shard):
    """In the samples, their checksums, the index and its checksum alike."""
    name = "align/transform" if shard < 0 else "magnify/image"
    path = shards(made, name)[shard]
    data = path.read_bytes()
    at %= len(data)
    try:
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
        with pytest.raises(StoreError, match="is damaged"):
            open_array(made, name).verify()
    finally:
        path.write_bytes(data)


def test_a_flipped_bit_in_the_metadata_is_found(store):
    path = store / "features_mrn/feature/zarr.json"
    path.write_text(path.read_text().replace('"float32"', '"int32"  '))
    assert path.stat().st_size == mapped.read_facts(store)["files"]["features_mrn/feature/zarr.json"][0]
    with pytest.raises(StoreError, match=r"features_mrn/feature/zarr.json: it differs"):
        open_array(store, "features_mrn/feature")


@pytest.mark.parametrize("keep", [0, 1, 19, 200, -1])
def test_a_shard_cut_short_is_found(store, keep):
    path = shards(store, "align/transform")[0]
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(StoreError, match=r"align/transform/c/0/0/0 has \d+ bytes instead of"):
        open_array(store, "align/transform")
    seal(store)  # even where the store had been published so
    with pytest.raises(StoreError, match="index|empty"):
        open_array(store, "align/transform")


def test_a_shard_that_goes_missing_is_found(store):
    facts = mapped.read_facts(store)
    shards(store, "magnify/image")[1].unlink()
    with pytest.raises(StoreError, match="c/1/0/0/0/0 is missing"):
        open_array(store, "magnify/image")
    with pytest.raises(StoreError, match="cannot read"):
        open_array(store, "magnify/image", facts)
    seal(store)
    with pytest.raises(StoreError, match="c/1/0/0/0/0: it is missing"):
        open_array(store, "magnify/image")


def sealed_index(entries: np.ndarray) -> bytes:
    data = np.ascontiguousarray(entries, "<u8").view(np.uint8).ravel()
    return data.tobytes() + crc32c(data).to_bytes(4, "little")


LAYOUT = layout_of(
    {
        "shape": [7, 3],
        "data_type": "float16",
        "dimension_names": ["sample", "x"],
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4, 3]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": [
            {
                "name": "sharding_indexed",
                "configuration": {
                    "chunk_shape": [1, 3],
                    "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
                    "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
                },
            }
        ],
    }
)
U64 = st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 60), st.sampled_from([10, 20, 30, 2**64 - 1, 2**63 + 10]))


NEAR = st.integers(0, 90)
ENTRY = st.one_of(*[st.tuples(NEAR, st.just(10))] * 4, st.tuples(U64, st.just(10)), st.tuples(NEAR, U64))


@settings(max_examples=600, deadline=None)
@given(entries=st.lists(ENTRY, min_size=4, max_size=4), samples=st.integers(1, 4), end=st.integers(-30, 100))
def test_no_index_leads_out_of_the_file(entries, samples, end):
    """Any numbers with a right checksum: what is accepted lies inside, and no byte belongs to two samples."""
    try:
        starts = offsets(sealed_index(np.array(entries, np.uint64)), LAYOUT, samples, end)
    except ValueError:
        return
    assert len(starts) == samples
    taken = [byte for start in starts.tolist() for byte in range(start, start + 6 + CHECKSUM_BYTES)]
    assert min(taken) >= 0
    assert max(taken) < end
    assert len(set(taken)) == len(taken)


def test_the_index_of_a_store_is_accepted_and_each_fault_is_named():
    good = np.array([[20, 10], [0, 10], [10, 10], [2**64 - 1, 2**64 - 1]], np.uint64)
    assert offsets(sealed_index(good), LAYOUT, 3, 30).tolist() == [20, 0, 10]
    for at, value, what in (
        ((0, 0), 2**64 - 1, "place 0 of its index is missing"),
        ((1, 1), 9, "place 1 of its index does not have 10 bytes"),
        ((2, 0), 21, "place 2 of its index lies outside of the file"),
        ((2, 0), 2**63, "place 2 of its index lies outside of the file"),
        ((2, 0), 9, "overlap"),
    ):
        bad = good.copy()
        bad[at] = value
        with pytest.raises(ValueError, match=what):
            offsets(sealed_index(bad), LAYOUT, 3, 30)
    with pytest.raises(ValueError, match="4 of its index|place 3"):
        offsets(sealed_index(good), LAYOUT, 4, 40)
    with pytest.raises(ValueError, match="checksum"):
        offsets(sealed_index(good)[:-1] + b"\0", LAYOUT, 3, 30)
    with pytest.raises(ValueError, match="67 bytes instead of 68"):
        offsets(sealed_index(good)[:-1], LAYOUT, 3, 30)


@settings(max_examples=60, deadline=None)
@given(row=st.integers(0, 4), column=st.integers(0, 1), value=U64 | st.integers(0, 340))
def test_a_changed_index_of_a_file_gives_an_error_or_what_zarr_reads(made, row, column, value):
    name = "align/transform"
    path = shards(made, name)[0]
    data, layout = path.read_bytes(), layout_of(json.loads((made / name / "zarr.json").read_bytes()))
    index = np.frombuffer(data[-layout.index_bytes : -4], "<u8").reshape(-1, 2).copy()
    index[row, column] = value
    try:
        path.write_bytes(data[: -layout.index_bytes] + sealed_index(index))
        found = open_array(made, name).read(range(CLIPS))
        assert found.tobytes() == whole(made, name).tobytes()
    except StoreError:
        assert data[-layout.index_bytes : -4] != index.tobytes()
    finally:
        path.write_bytes(data)


def test_samples_may_lie_in_any_order(store):
    name = "align/transform"
    path = shards(store, name)[0]
    layout = layout_of(json.loads((store / name / "zarr.json").read_bytes()))
    data, size = path.read_bytes(), layout.sample_bytes + CHECKSUM_BYTES
    index = np.frombuffer(data[-layout.index_bytes : -4], "<u8").reshape(-1, 2).copy()
    runs = [data[start : start + size] for start in index[: layout.samples_in(0), 0].tolist()]
    wanted = whole(store, name)
    order = list(range(len(runs)))[::-1]
    index[: len(runs), 0] = [order.index(i) * size for i in range(len(runs))]
    path.write_bytes(b"".join(runs[i] for i in order) + sealed_index(index))
    seal(store)
    assert (whole(store, name) == wanted).all()
    assert (open_array(store, name).read(range(CLIPS)) == wanted).all()


def test_a_checksum_is_compared_on_the_first_read_alone(made, monkeypatch):
    seen = []
    array = open_array(made, "magnify/image")
    monkeypatch.setattr(mapped, "crc32c", lambda data: seen.append(len(data)) or crc32c(data))
    array.read([1, 3, 1])
    array.row(3)
    assert seen == [array.sample_bytes] * 2
    array.verify()
    array.verify()
    assert len(seen) == CLIPS


# Other layouts

VALUES = np.random.default_rng(0).integers(0, 2**16, (6, 4, 2)).astype("uint16")
RAW = [BytesCodec(), Crc32cCodec()]
OTHERS = {
    "a chunk is (2, 4, 2)": {"chunks": (2, 4, 2), "shards": (6, 4, 2), "compressors": [Crc32cCodec()]},
    "a chunk is (1, 2, 2)": {"chunks": (1, 2, 2), "shards": (6, 4, 2), "compressors": [Crc32cCodec()]},
    "a shard is (3, 8, 2)": {"chunks": (1, 4, 2), "shards": (3, 8, 2), "compressors": [Crc32cCodec()]},
    "bytes, zstd, not bytes and crc32c": {"chunks": (1, 4, 2), "shards": (3, 4, 2), "compressors": [ZstdCodec()]},
    "bytes, not bytes and crc32c": {"chunks": (1, 4, 2), "shards": (3, 4, 2)},
    "codecs are bytes, not sharding_indexed": {"chunks": (1, 4, 2)},
    "codecs are bytes, crc32c, not sharding": {"chunks": (1, 4, 2), "compressors": [Crc32cCodec()]},
    "a sample are not little-endian": {
        "chunks": (3, 4, 2),
        "serializer": ShardingCodec(chunk_shape=(1, 4, 2), codecs=[BytesCodec(endian="big"), Crc32cCodec()]),
    },
    "the index are not little-endian": {
        "chunks": (3, 4, 2),
        "serializer": ShardingCodec(
            chunk_shape=(1, 4, 2), codecs=RAW, index_codecs=[BytesCodec(endian="big"), Crc32cCodec()]
        ),
    },
    "the codecs of the index are bytes": {
        "chunks": (3, 4, 2),
        "serializer": ShardingCodec(chunk_shape=(1, 4, 2), codecs=RAW, index_codecs=[BytesCodec()]),
    },
    "does not stand at its end": {
        "chunks": (3, 4, 2),
        "serializer": ShardingCodec(chunk_shape=(1, 4, 2), codecs=RAW, index_location="start"),
    },
    "not named c/0/0": {
        "chunks": (1, 4, 2),
        "shards": (3, 4, 2),
        "compressors": [Crc32cCodec()],
        "chunk_key_encoding": {"name": "default", "separator": "."},
    },
}


@pytest.mark.parametrize("why", OTHERS)
def test_another_layout_is_read_through_zarr_and_says_why(store, why):
    add_array(store, "other/values", VALUES, **OTHERS[why])
    array = open_array(store, "other/values")
    assert array.backend == "zarr"
    assert why in array.why
    assert array.why.startswith("other/values cannot be mapped: ")
    rows = [5, 0, 0, 3]
    assert (array.shape, array.dtype, array.dims) == (VALUES.shape, VALUES.dtype, ("sample", "a", "b"))
    assert array.read(rows).tobytes() == VALUES[rows].tobytes()
    assert array.row(4).tobytes() == VALUES[4].tobytes()


def test_the_publishers_layout_is_mapped_for_every_dtype_of_one_byte_and_more(store):
    for dtype in ("uint8", "int16", "float16", "float32", "int64"):
        values = VALUES.astype(dtype)
        add_array(store, "x/v", values, chunks=(1, 4, 2), shards=(4, 4, 2), compressors=[Crc32cCodec()])
        array = open_array(store, "x/v")
        assert isinstance(array, Mapped)
        assert array.read(range(6)).tobytes() == values.tobytes()


def test_types_that_are_no_numbers_say_so(store):
    assert "its type is string" in open_array(store, "label").why
    add_array(store, "x/flag", VALUES > 9, chunks=(1, 4, 2))
    assert "its type is bool" in open_array(store, "x/flag").why
    assert open_array(store, "label").row(0) == "happiness"


def test_an_array_without_checksums_is_compared_with_the_stores_digests(store):
    add_array(store, "other/values", VALUES, chunks=(1, 4, 2))
    flip_byte(store / "other/values/c/4/0/0", 3)
    assert (whole(store, "other/values") != VALUES).any()  # zarr notices nothing
    with pytest.raises(StoreError, match=r"other/values/c/4/0/0: it differs from what was published"):
        open_array(store, "other/values")


def test_nothing_is_read_by_oindex(made, monkeypatch):
    monkeypatch.setattr(zarr.Array, "oindex", property(lambda self: pytest.fail("oindex was used")))
    monkeypatch.setattr(zarr.Array, "vindex", property(lambda self: pytest.fail("vindex was used")))
    assert open_plain(made, "magnify/image").read([1, 0]).any()


# Processes


@pytest.mark.parametrize("opened", [open_array, open_plain])
def test_an_array_can_be_sent_to_another_process(made, opened):
    array = opened(made, "flow_onset/flow")
    again = pickle.loads(pickle.dumps(array))
    assert again.backend == array.backend
    assert again.read([4, 2]).tobytes() == array.read([4, 2]).tobytes()


@pytest.mark.parametrize("opened", [open_array, open_plain])
def test_a_store_built_anew_meanwhile_is_noticed(store, tmp_path, opened):
    sent = pickle.dumps(opened(store, "flow_onset/flow"))
    shutil.rmtree(store)
    make_store(store, CLIPS, only=("flow_onset",), bump={0: 1.0})
    with pytest.raises(StoreError, match="was built anew since"):
        pickle.loads(sent)


def test_an_open_array_outlives_the_replacement_of_its_store(store):
    array = open_array(store, "flow_onset/flow")
    wanted = whole(store, "flow_onset/flow")
    make_store(store, CLIPS, only=("flow_onset",), bump={0: 1.0})
    assert array.read(range(CLIPS)).tobytes() == wanted.tobytes()


def test_too_many_files_say_what_to_do(made, monkeypatch):
    def full(*given, **more):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(mmap, "mmap", full)
    with pytest.raises(MachineError, match="ulimit -n"):
        open_array(made, "magnify/image")
