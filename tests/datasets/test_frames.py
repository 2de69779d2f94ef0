"""Decoding frames: exact, upright, 8 bits, and an error for everything else."""

from __future__ import annotations

import hashlib
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mer_pipe.datasets.frames import each, load, probe_video
from mer_pipe.types import ClipError, Frames


def picture(seed=0, size=(24, 32)) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (size[0] // 4, size[1] // 4, 3))
    return np.kron(coarse, np.ones((4, 4, 1))).astype(np.uint8)


def one(path: Path) -> np.ndarray:
    return load(Frames((str(path),), (0,)), [0])[0]


def video(path: Path, frames=17, code="MJPG", size=(24, 32)) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*code), 25, size[::-1])
    assert writer.isOpened()
    for i in range(frames):
        writer.write(np.full((*size, 3), 10 * i, np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_a_lossless_frame_comes_back_bit_by_bit(tmp_path, suffix):
    Image.fromarray(picture()).save(tmp_path / f"1.{suffix}")
    assert np.array_equal(one(tmp_path / f"1.{suffix}"), picture())


def test_a_gray_frame_is_replicated(tmp_path):
    Image.fromarray(picture()[..., 0]).save(tmp_path / "1.png")
    image = one(tmp_path / "1.png")
    assert image.shape == (24, 32, 3)
    assert (image == picture()[..., :1]).all()
    assert image.strides[2] == 0  # one plane in memory, which crop resamples once


def test_a_gray_jpeg_is_the_one_that_pillow_makes_rgb_of(tmp_path):
    Image.fromarray(picture()[..., 0]).save(tmp_path / "1.jpg")
    with Image.open(tmp_path / "1.jpg") as image:
        assert np.array_equal(one(tmp_path / "1.jpg"), np.asarray(image.convert("RGB")))


def test_palettes_and_bits_become_rgb(tmp_path):
    for mode in ("P", "1"):
        image = Image.fromarray(picture()).convert(mode)
        image.save(tmp_path / f"{mode}.png")
        assert np.array_equal(one(tmp_path / f"{mode}.png"), np.asarray(image.convert("RGB")))


def test_positions_come_in_the_order_asked_and_may_repeat(tmp_path):
    for i in range(4):
        Image.fromarray(picture(i)).save(tmp_path / f"{i}.png")
    frames = Frames(tuple(str(tmp_path / f"{i}.png") for i in range(4)), (5, 6, 7, 8))
    got = load(frames, [3, 0, 3])
    assert all(np.array_equal(a, picture(i)) for a, i in zip(got, (3, 0, 3), strict=True))
    assert load(frames, []) == []
    with pytest.raises(IndexError, match="4 frames"):
        load(frames, [4])


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "tif"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_frame_cut_short_is_an_error_and_nothing_is_printed(tmp_path, capfd, suffix, share):
    path = tmp_path / f"clip/1.{suffix}"
    path.parent.mkdir()
    Image.fromarray(picture(size=(120, 160))).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ClipError, match=f"clip/1.{suffix}") as caught:
        one(path)
    assert str(tmp_path) not in str(caught.value)
    assert caught.value.fix
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["deep.png", "deep.tif", "gray.png"])
def test_more_than_8_bits_are_refused_rather_than_guessed(tmp_path, name):
    deep = picture().astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / name), deep[..., 0] if name.startswith("gray") else deep)
    with pytest.raises(ClipError, match="more than 8 bits"):
        one(tmp_path / name)


def test_transparency_pages_and_strange_files_are_refused(tmp_path):
    Image.fromarray(np.dstack([picture(), picture()[..., 0]])).save(tmp_path / "a.png")
    Image.fromarray(picture()).save(tmp_path / "b.tif", save_all=True, append_images=[Image.fromarray(picture(1))])
    (tmp_path / "c.png").write_text("no image")
    (tmp_path / "d.png").mkdir()
    for name, why in (
        ("a.png", "RGBA"), ("b.tif", "2 pages"), ("c.png", "not a readable"), ("d.png", "not a plain"), ("e.png", "missing")
    ):  # fmt: skip
        with pytest.raises(ClipError, match=why):
            one(tmp_path / name)


def test_the_orientation_tag_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture()).save(tmp_path / "1.png", exif=exif)
    assert np.array_equal(one(tmp_path / "1.png"), np.rot90(picture(), -1))
    Image.fromarray(picture()[..., 0]).save(tmp_path / "2.png", exif=exif)
    assert np.array_equal(one(tmp_path / "2.png"), np.rot90(picture()[..., :1].repeat(3, -1), -1))


def test_frames_of_two_sizes_in_one_clip_are_an_error(tmp_path):
    for i, size in enumerate([(24, 32), (24, 28)]):
        Image.fromarray(picture(size=size)).save(tmp_path / f"{i}.png")
    frames = Frames(tuple(str(tmp_path / f"{i}.png") for i in range(2)), (0, 1))
    for read in (lambda: load(frames, [0, 1]), lambda: list(each(frames))):
        with pytest.raises(ClipError, match=r"1\.png is 28 x 24.* 32 x 24"):
            read()


@pytest.mark.parametrize(("name", "code"), [("v.avi", "MJPG"), ("v.mp4", "mp4v"), ("v.mkv", "VP80")])
def test_a_video_gives_the_frames_asked_for(tmp_path, name, code):
    path = video(tmp_path / name, code=code)
    assert probe_video(path) == (17, 25.0)
    frames = Frames((str(path),), tuple(range(3, 15)), video=True)
    got = load(frames, [11, 0])
    assert [round(float(g.mean()) / 10) for g in got] == [14, 3]
    assert [round(float(g.mean()) / 10) for g in each(frames)] == list(range(3, 15))


def test_a_video_with_a_pattern_in_its_name_is_one_video(tmp_path):
    assert probe_video(video(tmp_path / "take%03d.avi"))[0] == 17


def test_a_damaged_video_is_an_error(tmp_path):
    path = video(tmp_path / "v.avi", size=(480, 640))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ClipError, match="promises 17 frames in its header, but only"):
        probe_video(path)
    with pytest.raises(ClipError, match="ends after"):
        load(Frames((str(path),), tuple(range(17)), video=True), [16])
    (tmp_path / "w.mp4").write_bytes(b"nothing" * 100)
    with pytest.raises(ClipError, match="cannot be opened"):
        probe_video(tmp_path / "w.mp4")
    with pytest.raises(ClipError, match="missing"):
        probe_video(tmp_path / "x.mp4")


def test_reading_a_damaged_video_prints_nothing(tmp_path):
    # In a process of its own: FFmpeg takes its log level once, and the tests above have written videos with it.
    (tmp_path / "v.mp4").write_bytes(video(tmp_path / "v.avi", code="mp4v").read_bytes()[:4000])
    (tmp_path / "w.mp4").write_bytes(bytes.fromhex("0000001c66747970") + b"isom" + bytes(500))
    code = (
        "import sys; from mer_pipe.datasets.frames import probe_video; from mer_pipe.types import ClipError\n"
        "for path in sys.argv[1:]:\n  try: probe_video(path)\n  except ClipError: pass\n  else: sys.exit(path)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "v.mp4"), str(tmp_path / "w.mp4")], capture_output=True, text=True
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_the_rotation_in_a_videos_header_is_applied(tmp_path):
    path = video(tmp_path / "v.mp4", code="mp4v")
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # the matrix of a version 0 track header
    assert struct.unpack(">9i", data[at : at + 36])[0] == 1 << 16
    data[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    assert load(Frames((str(path),), (0,), video=True), [0])[0].shape == (32, 24, 3)


@pytest.mark.parametrize(("name", "count"), [("pexels_face.mp4", 472), ("short_face.mp4", 72)])
def test_any_frame_of_a_real_video_is_the_one_met_by_reading_on(shared, name, count):
    path = shared / "real" / "video" / name
    assert probe_video(path)[0] == count
    frames = Frames((str(path),), tuple(range(count)), video=True)
    digests = [hashlib.sha256(image).digest() for image in each(frames)]
    asked = [count - 1, 0, count // 2, 7]
    assert [hashlib.sha256(image).digest() for image in load(frames, asked)] == [digests[i] for i in asked]
