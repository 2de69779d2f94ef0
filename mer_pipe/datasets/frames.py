"""Decode the frames of a clip: image files or one video, always as (height, width, 3) uint8 RGB."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mer_pipe.types import ClipError, Frames

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")

# A frame beyond this is a damaged header or a decompression bomb: 8K UHD is 33 million pixels.
_MOST_PIXELS = 64_000_000
# Matroska stores no frame count: FFmpeg estimates one from duration x rate, which longer sound makes too high.
_ESTIMATES = (".mkv", ".webm")


def load(frames: Frames, positions: Sequence[int]) -> list[np.ndarray]:
    """Decode the frames at `positions`, in the order asked.

    Parameters
    ----------
    frames : where the clip's frames are.
    positions : positions in `frames`, from 0, in any order; repeats are allowed.

    Returns
    -------
    One (height, width, 3) uint8 RGB array a position, 0..255, all of one size; do not write into it, it may be read
    only. Orientation metadata (EXIF, video rotation) is applied, so that a face stands as it does in a viewer. A gray
    image file is held once: its three channels are one plane in memory (stride 0), which `crop` then resamples once.

    Raises
    ------
    IndexError : a position lies outside `frames`.
    ClipError : a file is missing, damaged, cut short, not an 8-bit image, or of another size than the others.
    """
    positions = [int(p) for p in positions]
    for p in positions:
        if not 0 <= p < len(frames):
            raise IndexError(f"position {p} is outside a clip of {len(frames)} frames")
    if not positions:
        return []
    if frames.video:
        return _load_video(frames.files[0], [frames.numbers[p] for p in positions])
    decoded = {p: _load_image(frames.files[p]) for p in sorted(set(positions))}
    first = min(decoded)
    for p, image in decoded.items():
        _require_same_size(image, _short(frames.files[p]), decoded[first], _short(frames.files[first]))
    return [decoded[p] for p in positions]


def probe_video(path: str | os.PathLike[str]) -> tuple[int, float]:
    """Count a video's frames by decoding all of them, and read its frame rate.

    Returns
    -------
    frame_count : frames that really decode, 1 or more.
    fps : frames per second as the container states it; 0.0 where it states none.

    Raises
    ------
    ClipError : the file is missing, is no video, holds no frame, or ends well before its header says.
    """
    path = os.fspath(path)
    capture = _open_video(path)
    try:
        import cv2

        promised, fps = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
        count = 0
        while capture.grab():
            count += 1
    finally:
        capture.release()
    if count == 0:
        raise ClipError(f"{_short(path)} holds no frame that can be decoded", "Replace the file by a whole copy.")
    slack = 0.05 * promised if path.lower().endswith(_ESTIMATES) else 0
    if promised - count > max(2, slack):
        raise ClipError(
            f"{_short(path)} promises {promised:.0f} frames in its header, but only {count} decode: it is cut short, "
            "damaged or partly hidden by an edit list",
            "Replace the file by a whole copy, or write it anew: ffmpeg -i IN OUT.mp4.",
        )
    return count, float(fps) if np.isfinite(fps) and 0 < fps < 1e5 else 0.0


def each(frames: Frames) -> Iterator[np.ndarray]:
    """Decode all frames of a clip one after another, as `load` does, holding one at a time."""
    first = None
    for name, image in _named(frames):
        first = first or (image, name)
        _require_same_size(image, name, *first)
        yield image


def _named(frames: Frames) -> Iterator[tuple[str, np.ndarray]]:
    if frames.video:
        for index, image in _walk(frames.files[0], set(frames.numbers)):
            yield f"frame {index} of {_short(frames.files[0])}", image
    else:
        for path in frames.files:
            yield _short(path), _load_image(path)


def _load_video(path: str, indexes: list[int]) -> list[np.ndarray]:
    decoded = dict(_walk(path, set(indexes)))
    first = min(decoded)
    for index, image in decoded.items():
        _require_same_size(image, f"frame {index} of {_short(path)}", decoded[first], f"frame {first}")
    return [decoded[i] for i in indexes]


def _walk(path: str, wanted: set[int]) -> Iterator[tuple[int, np.ndarray]]:
    # Always from the start: seeking is exact in some containers only, and a wrong frame looks like a right one.
    capture = _open_video(path)
    import cv2  # not before: _open_video says how much FFmpeg logs

    try:
        for index in range(max(wanted) + 1):
            if not capture.grab():
                raise ClipError(
                    f"{_short(path)} ends after {index} frames, but frame {max(wanted)} (counted from 0) was asked for",
                    "Replace the file by a whole copy, or correct the annotated frame numbers.",
                )
            if index in wanted:
                good, bgr = capture.retrieve()
                if not good or bgr is None or bgr.ndim != 3 or bgr.dtype != np.uint8:
                    raise ClipError(f"frame {index} of {_short(path)} cannot be decoded", "Replace the file.")
                yield index, cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    finally:
        capture.release()


def _open_video(path: str):
    _require_file(path)
    # FFmpeg and OpenCV write to stderr on their own for a damaged file; the exceptions here report what went wrong.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    import cv2

    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        # The FFmpeg backend alone: others take a "%03d" in a name for a sequence of images.
        capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if not capture.isOpened():
        capture.release()
        raise ClipError(
            f"{_short(path)} cannot be opened as a video: it is damaged or of an unknown kind",
            "Replace the file by a whole copy, or write it anew: ffmpeg -i IN OUT.mp4.",
        )
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    return capture


def _load_image(path: str) -> np.ndarray:
    _require_file(path)
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="PIL")
            with Image.open(path, formats=("JPEG", "PNG", "BMP", "TIFF")) as image:
                _require_plain(image, path)
                image.load()
                # In place and as a view: the copies took more time than decoding.
                ImageOps.exif_transpose(image, in_place=True)
                if image.mode == "L":
                    return np.broadcast_to(np.asarray(image)[..., None], (image.height, image.width, 3))
                return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    except UnidentifiedImageError:
        raise ClipError(
            f"{_short(path)} is not a readable JPEG, PNG, BMP or TIFF image", "Replace the file by a whole copy."
        ) from None
    except ClipError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, OverflowError, Image.DecompressionBombError) as error:
        # Pillow raises SyntaxError for broken PNG chunks, OSError for truncated data, ValueError for broken headers.
        raise ClipError(
            f"{_short(path)} cannot be decoded: {_reason(error, path)}", "Replace the file by a whole copy."
        ) from None


def _require_plain(image, path: str) -> None:
    """Refuse images whose values have no agreed way to 8-bit RGB, before their pixels are read."""
    if image.width * image.height > _MOST_PIXELS:
        raise ClipError(f"{_short(path)} claims {image.width} x {image.height} pixels, which is no video frame")
    # Pillow reads a 16-bit RGB file as mode "RGB" and drops the low bytes silently; only the raw mode tells.
    raw = " ".join(str(tile[3]) for tile in image.tile)
    if image.mode.startswith(("I", "F")) or ";16" in raw or ";12" in raw:
        raise ClipError(
            f"{_short(path)} has more than 8 bits a channel",
            "Convert the frames to 8 bits with a scale of your choice: any guess made here could flatten the motion.",
        )
    if image.mode not in ("1", "L", "P", "RGB"):
        raise ClipError(
            f"{_short(path)} has colour mode {image.mode}", "Convert the frames to plain 8-bit RGB or gray images."
        )
    if "transparency" in image.info:
        raise ClipError(f"{_short(path)} has transparent pixels", "Convert the frames to plain RGB or gray images.")
    if image.format != "MPO" and getattr(image, "n_frames", 1) != 1:
        raise ClipError(f"{_short(path)} holds {image.n_frames} pages", "Export one file a frame.")


def _require_file(path: str) -> None:
    if not os.path.isfile(path):
        what = "is not a plain file" if os.path.lexists(path) else "is missing"
        raise ClipError(f"{_short(path)} {what}", "Check the database folder, or copy the file again.")


def _reason(error: Exception, path: str) -> str:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return reason.replace(path, _short(path))


def _short(path: str) -> str:
    """The file as messages name it: with its folder, without the rest of the user's disk."""
    path = Path(path)
    return f"{path.parent.name}/{path.name}" if path.parent.name else path.name


def _require_same_size(image: np.ndarray, name: str, first: np.ndarray, first_name: str) -> None:
    if image.shape != first.shape:
        raise ClipError(
            f"{name} is {_size(image)}, but {first_name} of the same clip is {_size(first)}",
            "Export the clip again with one frame size.",
        )


def _size(image: np.ndarray) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"
