"""Real faces on film: upright, centred, and growing motion. Needs the shared media and the landmark model."""

from __future__ import annotations

import numpy as np
import pytest

import mer_pipe
from mer_pipe import api

CLIPS = {"pexels_face": (231, 235, 240), "short_face": (9, 12, 16)}
"""Onset, apex, offset of short intervals with little head motion."""


@pytest.fixture(scope="module")
def store(shared, tmp_path_factory):
    model = shared / "models" / "face_landmarker.task"
    if not model.exists():
        pytest.skip(f"no landmark model at {model}")
    place = tmp_path_factory.mktemp("real")
    rows = [f"{name}.mp4,{name},{','.join(map(str, marks))}" for name, marks in CLIPS.items()]
    (place / "marks.csv").write_text("clip,subject,onset,apex,offset\n" + "\n".join(rows) + "\n")
    request = api.make_request(
        "folder",
        shared / "real" / "video",
        store=place / "real.zarr",
        cache=place / "cache",
        values={"dataset.annotations": str(place / "marks.csv"), "mrn.af": "2,6,10"},
        only=("mrn", "ruan"),
        landmarker=str(model),
    )
    built = api.build(api.prepare(request))
    assert not built.failed
    return mer_pipe.open(built.store)


def test_faces_are_upright_and_centred_in_the_crop(store, shared):
    from mer_pipe.models import weights_from
    from mer_pipe.stages.landmarks import landmarks_68

    model = weights_from(shared / "models" / "face_landmarker.task")
    for image in store["crop/image"].sel(mark="onset").values:
        points = landmarks_68(image, model)
        eyes = np.array([points[36:42].mean(0), points[42:48].mean(0)])
        tilt = np.degrees(np.arctan2(*(eyes[1] - eyes[0])[::-1]))
        assert abs(tilt) < 3
        np.testing.assert_allclose(eyes / 224, [(0.34, 0.34), (0.66, 0.34)], atol=0.02)
        assert points.min() > 0
        assert points.max() < 223  # brows and chin are inside


def test_the_af_strip_shows_the_motion_growing(store):
    """The motion of each magnified image, measured by a flow other than the one that magnified, follows AF."""
    for row in range(2):
        onset, apex, _ = store["crop/image"][row].values
        face = np.s_[50:200, 50:175]
        distance = [
            np.percentile(np.hypot(*np.moveaxis(mer_pipe.tvl1(onset, image)[face], -1, 0)), 90)
            for image in (apex, *store["magnify/image"][row].values)
        ]
        assert distance[0] > 0.1
        assert np.all(np.diff(distance) > 0)
        for af, moved in zip((2, 6, 10), distance[1:], strict=True):
            assert moved / distance[0] == pytest.approx(af, rel=0.35)


def test_a_head_that_moves_is_followed_within_half_a_pixel(shared):
    """Half a second of a face that nods: the motion of its middle, by a flow that did not register it."""
    import cv2

    from mer_pipe.models import weights_from
    from mer_pipe.stages.align import AlignLandmarks
    from mer_pipe.stages.crop import crop
    from mer_pipe.stages.register import following, head_motion

    model = shared / "models" / "face_landmarker.task"
    if not model.exists():
        pytest.skip(f"no landmark model at {model}")
    film = cv2.VideoCapture(str(shared / "real" / "video" / "short_face.mp4"))
    frames = [film.read()[1][..., ::-1].copy() for _ in range(16)]
    transform = AlignLandmarks(weights_from(model))(frame=frames[0])["transform"]
    onset, apex = crop([frames[0], frames[15]], transform)
    followed = crop([frames[15]], following(transform, head_motion(onset, [apex])[0], 224))[0]
    face = np.s_[50:190, 60:165]

    def moves(image):
        return np.median(np.hypot(*np.moveaxis(mer_pipe.tvl1(onset, image)[face], -1, 0)))

    assert moves(apex) > 4
    assert moves(followed) < 0.5
