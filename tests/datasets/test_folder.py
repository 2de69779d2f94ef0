"""Plain folders of videos and frame folders, with and without a table."""

from __future__ import annotations

import numpy as np
import pytest

from mer_pipe.datasets.apex import motion_curve, strongest_motion
from mer_pipe.datasets.folder import list_clips
from mer_pipe.types import DatasetError
from tests.datasets.conftest import write_clip
from tests.datasets.test_frames import video


def ids(listing) -> list[str]:
    return [s.id for s in listing.samples]


@pytest.fixture
def root(tmp_path):
    write_clip(tmp_path / "anna" / "day1" / "smile", range(9, 15))
    (tmp_path / "ben").mkdir()
    video(tmp_path / "ben" / "frown.avi")
    video(tmp_path / "loose.mkv", code="VP80")
    return tmp_path


def test_subject_and_clip_come_from_the_path(root):
    listing = list_clips(root)
    assert ids(listing) == ["folder/anna/day1__smile", "folder/ben/frown", "folder/unknown/loose"]
    anna, ben, _ = listing.samples
    assert anna.frames.numbers == tuple(range(9, 15))
    assert (anna.fps, ben.fps) == (25.0, 25.0)
    assert "frame rate unknown: taken as 25" in anna.repairs
    assert not any("frame rate" in r for r in ben.repairs)
    assert ben.frames.video
    assert ben.frames.numbers == tuple(range(17))
    assert any("apex estimated by strongest motion" in r for r in ben.repairs)
    assert ben.source["apex_policy"] == "motion"
    assert listing == list_clips(root)


def test_the_middle_policy_decodes_no_image(root):
    (root / "anna/day1/smile/img12.jpg").write_bytes(b"")
    assert list_clips(root, apex_policy="middle").samples[0].apex == 2
    assert [e.id for e in list_clips(root).excluded] == ["folder/anna/day1__smile"]


def test_a_table_gives_marks_labels_and_rates(root):
    (root / "annotations.csv").write_text(
        "Clip,Subject,Onset,Apex,Offset,Emotion,AUs,fps\n"
        "anna/day1/smile,Anna B,10,11,14,happiness,6+12,200\n"
        "ben/frown.avi,,3,,9,disgust,4,\n"
        "ben/frown,,10,,16,anger,,\n"
    )
    listing = list_clips(root)
    anna, second, first = listing.samples
    assert ids(listing) == ["folder/Anna_B/day1__smile", "folder/ben/frown~10", "folder/ben/frown~3"]
    assert (anna.frames.numbers, anna.apex, anna.fps, anna.label, anna.aus) == (
        (10, 11, 12, 13, 14),
        1,
        200.0,
        "happiness",
        "6+12",
    )
    assert anna.repairs == ()
    assert (first.frames.numbers, first.emotion, second.emotion) == (tuple(range(3, 10)), "disgust", "anger")
    assert {e.id: e.reason for e in listing.excluded} == {"folder/unknown/loose": "annotations.csv does not list it"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("../secret,1,2,3", "no such clip"),
        ("/etc,1,2,3", "no such clip"),
        ("anna/day1/smile,1,11,14", "onset 1 is not among the frames 9..14"),
        ("anna/day1/smile,9,8,14", "apex 8 is not among"),
        ("anna/day1/smile,10,9,14", "apex 9 lies outside"),
        ("anna/day1/smile,x,11,14", "onset 'x' is not a frame number"),
        ("anna/day1/smile,14,14,14", "offset 14 is not after onset 14"),
        ("anna/day1/smile,=1,11,14", "is a formula"),
    ],
)
def test_rows_that_cannot_be_used_are_excluded(root, line, reason):
    (root / "marks.csv").write_text(f"clip,onset,apex,offset\n{line}\nben/frown,0,4,9\n")
    listing = list_clips(root, annotations="marks.csv")
    assert ids(listing) == ["folder/ben/frown"]
    assert any(reason in e.reason for e in listing.excluded)
    assert len({e.id for e in listing.excluded}) == len(listing.excluded)


def test_damaged_clips_are_excluded_and_the_rest_goes_on(root):
    (root / "ben/broken.mp4").write_bytes(b"nothing")
    write_clip(root / "carl/gaps", [1, 2, 4, 5])
    write_clip(root / "carl/second", [2, 4, 6, 8])
    write_clip(root / "carl/double", [1, 2])
    write_clip(root / "carl/double", [1], "x{}.png")
    write_clip(root / "carl/unnamed", [1], "photo.jpg")
    write_clip(root / "carl/single", [1])
    listing = list_clips(root, apex_policy="middle", fps=100)
    reasons = {e.id.removeprefix("folder/"): e.reason for e in listing.excluded}
    assert set(reasons) == {"ben/broken", "carl/gaps", "carl/double", "carl/unnamed", "carl/single"}
    assert "missing after frame 2" in reasons["carl/gaps"]
    (second,) = [s for s in listing.samples if s.clip == "second"]
    assert "steps of 2" in second.repairs[0]
    assert second.fps == 100


def test_names_that_fall_together_stay_apart(root):
    video(root / "ben" / "frown.mkv", code="VP80")
    names = [i for i in ids(list_clips(root)) if "frown" in i]
    assert len(set(names)) == 2
    assert all(name.startswith("folder/ben/frown~") for name in names)


def test_wrong_roots_and_options_are_named(root, tmp_path):
    (tmp_path / "empty").mkdir()
    for where, options, reason in (
        (tmp_path / "no", {}, "does not exist"),
        (tmp_path / "empty", {}, "holds no video file"),
        (root, {"apex_policy": "midle"}, "Did you mean middle"),
        (root, {"fps": 0}, "no frame rate"),
        (root, {"annotations": "none.csv"}, "there is no sheet none.csv"),
    ):
        with pytest.raises(DatasetError, match=reason):
            list_clips(where, **options)


def test_strongest_motion_finds_a_local_change_under_flicker_and_drift():
    rng = np.random.default_rng(3)
    ys, xs = np.mgrid[:96, :128].astype(float)
    texture = 120 + 40 * np.sin(xs / 5) * np.cos(ys / 7)
    strength = np.exp(-((np.arange(30) - 19) ** 2) / 30) - np.exp(-(19**2) / 30)
    frames = []
    for t in range(30):
        blob = 12 * strength[t] * np.exp(-((xs - 80) ** 2 + (ys - 40) ** 2) / 60)
        shifted = 120 + 40 * np.sin((xs - 0.01 * t) / 5) * np.cos((ys + 0.008 * t) / 7)
        image = (1 + 0.02 * np.sin(t)) * (shifted + blob) + rng.normal(0, 1, texture.shape)
        frames.append(np.repeat(np.clip(image, 0, 255).astype(np.uint8)[..., None], 3, -1))
    curve = motion_curve(iter(frames))
    assert curve[0] == 0
    assert abs(strongest_motion(curve) - 19) <= 2


def test_the_estimate_is_never_the_onset_itself():
    assert strongest_motion(np.zeros(5)) == 1
    with pytest.raises(ValueError, match="1 frames"):
        strongest_motion(np.zeros(1))
