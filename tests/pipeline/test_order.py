"""Which frames a build decodes, how often, and in what order a clip's cells are made."""

from __future__ import annotations

import random
import weakref
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from mer_pipe.datasets.frames import load as load_images
from mer_pipe.pipeline.events import Failed, Settled, Started
from mer_pipe.pipeline.graph import Graph
from mer_pipe.pipeline.nodes import Frame, FrameSource, Node, Product, Value
from mer_pipe.pipeline.order import in_order
from mer_pipe.pipeline.runner import Job, run
from mer_pipe.recipes import BUILT_IN, find_models, wire
from mer_pipe.stages.align import AlignNone
from mer_pipe.stages.crop import Crop
from mer_pipe.store.cache import Cache
from mer_pipe.types import Frames, Sample
from tests import toy

LENGTH = 10


class Counting:
    """`toy.load`, counting how often each frame is decoded and how many decoded ones were there at once."""

    def __init__(self):
        self.times: Counter[int] = Counter()
        self.most = 0
        self._alive: list[weakref.ref] = []

    def __call__(self, frames, positions):
        images = toy.load(frames, positions)
        self.times.update(positions)
        self._alive = [r for r in self._alive if r() is not None] + [weakref.ref(image) for image in images]
        self.most = max(self.most, len(self._alive))
        return images


def two_sizes(sample: Sample, published=("small", "large")) -> Graph:
    """Two crops of every frame, at most 4 frames a call, with a node between them that reads no frame."""
    clip = tuple(float(i) for i in range(LENGTH))
    nodes = [
        Node("first", toy.Cut(6), {"frame": Frame(0)}),
        Node("small", toy.Cut(4), {"frame": Frame()}, {"frame": clip}),
        Node(
            "grow",
            toy.Grow(),
            {name: Value("small", "image", {"frame": at}) for name, at in (("reference", 0.0), ("target", 5.0))},
            {"af": (2.0,)},
        ),
        Node("large", toy.Cut(5), {"frame": Frame()}, {"frame": clip}),
    ]
    every = tuple((i,) for i in clip)
    products = [
        Product("first", "image", "first", "image", {}, ((),)),
        Product("grow", "image", "grow", "image", {"af": (2.0,)}, ((2.0,),)),
        *(Product(name, "image", name, "image", {"frame": clip}, every) for name in published),
    ]
    return Graph(sample, nodes, products, str)


def made_with(graph: Graph, cache, load) -> tuple[Settled | Failed, list[str]]:
    told: list[str] = []
    digests = {i: str(i) for i in range(LENGTH)}
    outcome = run(
        Job.of(graph, digests, cache, load), lambda e: told.append(e.node) if isinstance(e, Started) else None
    )
    return outcome, told


@pytest.fixture
def sample(tmp_path):
    return toy.make_sample(tmp_path / "data", 1, 1, frames=LENGTH)


def test_a_frame_is_decoded_once_for_all_that_read_it(sample, tmp_path):
    load = Counting()
    outcome, told = made_with(two_sizes(sample), tmp_path / "cache", load)
    assert isinstance(outcome, Settled)
    assert load.times == dict.fromkeys(range(LENGTH), 1)
    assert told == ["first", *("small", "large") * 3, "grow"]


def test_no_more_frames_are_held_than_one_call_reads(sample, tmp_path):
    load = Counting()
    made_with(two_sizes(sample), tmp_path / "cache", load)
    assert load.most == toy.Cut.most


def test_a_frame_that_one_size_has_already_is_decoded_for_the_other_alone(sample, tmp_path):
    made_with(two_sizes(sample), tmp_path / "cache", toy.load)
    cache = Cache(tmp_path / "cache")
    graph = two_sizes(sample)
    for name, at in (("large", 2.0), ("large", 7.0), ("small", 7.0)):
        cache.discard(graph.cell(name, (at,)).key)
    load = Counting()
    made_with(graph, tmp_path / "cache", load)
    assert load.times == {2: 1, 7: 1}


def test_sharing_frames_changes_no_byte(sample, tmp_path):
    made_with(two_sizes(sample), tmp_path / "together", toy.load)
    for published in (("small",), ("large",)):
        made_with(two_sizes(sample, published), tmp_path / "apart", toy.load)
    entries = [toy.tree_bytes(tmp_path / name / "entries") for name in ("together", "apart")]
    assert len(entries[0]) == 2 * LENGTH + 2
    assert entries[0] == entries[1]


def test_a_frame_of_another_size_is_named_though_the_onset_is_held(tmp_path):
    from PIL import Image

    files = tuple(str(tmp_path / f"{i}.png") for i in range(2))
    for file, width in zip(files, (24, 20), strict=True):
        Image.fromarray(np.zeros((16, width, 3), np.uint8)).save(file)
    sample = Sample("x", "s", "c", Frames(files, (1, 2)), 0, 1, 1, 200.0)
    nodes = [
        Node("align", AlignNone(), {"frame": Frame(0)}),
        Node("crop", Crop(16), {"frame": Frame(), "transform": Value("align", "transform")}, {"frame": (0.0, 1.0)}),
    ]
    graph = Graph(sample, nodes, [Product("crop", "image", "crop", "image", {}, ((0.0,), (1.0,)))], str)
    failed, _ = made_with(graph, tmp_path / "cache", load_images)
    assert isinstance(failed, Failed)
    assert f"{tmp_path.name}/1.png is 20 x 16, but {tmp_path.name}/0.png" in failed.reason


def clip_graph(*systems: str) -> Graph:
    sample = Sample("x", "s", "c", Frames(("f",) * 130, tuple(range(130))), 3, 60, 120, 200.0)
    recipe = replace(BUILT_IN["demo"], systems=systems)
    return wire(recipe, find_models(recipe), sample, str)


@pytest.mark.parametrize(
    ("systems", "positions"),
    [
        (("mrn",), {3, 60, 120}),
        (("uamrn",), {3, 60, 120}),
        (("ruan",), {3, 60, 120}),
        (("aman",), set(range(3, 121))),
        (("msmmt",), set(range(3, 121))),
        (("mrn", "msmmt"), set(range(3, 121))),
    ],
)
def test_a_system_reads_no_frame_that_it_does_not_need(systems, positions):
    sources = [s for cell in clip_graph(*systems).cells.values() for s in cell.sources.values()]
    assert {s.position for s in sources if isinstance(s, FrameSource)} == positions


def test_every_cell_comes_once_and_after_its_inputs():
    graph = clip_graph("aman", "mrn", "ruan", "msmmt")
    chance = random.Random(0)
    for share in (0.0, 0.5, 0.9):
        there = {key for key in graph.cells if chance.random() < share}
        needed = graph.needed(there.__contains__)
        made = set(graph.cells) - set(needed)
        for call in in_order(graph.nodes, needed.values()):
            assert len({cell.node.name for cell in call}) == 1
            for cell in call:
                assert set(cell.input_keys()) <= made
                assert cell.key not in made
            made |= {cell.key for cell in call}
        assert made == set(graph.cells)
