"""Facial landmarks: MediaPipe's 478-point mesh, and the 68-point convention taken from it by an index map."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from mer_pipe.types import ClipError, MachineError, ModelError, Weights

MESH_68: tuple[int, ...] = (
    *(127, 93, 132, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 361, 323, 356),  # 0-16 jaw
    *(46, 63, 105, 66, 107),  # 17-21 brow on the picture's left
    *(336, 296, 334, 293, 276),  # 22-26 brow on the picture's right
    *(168, 197, 5, 4),  # 27-30 nose bridge
    *(240, 97, 2, 326, 460),  # 31-35 nose base
    *(33, 160, 158, 133, 153, 144),  # 36-41 eye on the picture's left: outer corner, upper lid, inner corner, lower lid
    *(362, 385, 387, 263, 373, 380),  # 42-47 eye on the picture's right: inner corner first
    *(61, 40, 37, 0, 267, 270, 291, 405, 314, 17, 84, 181),  # 48-59 outer lip
    *(78, 82, 13, 312, 308, 317, 14, 87),  # 60-67 inner lip
)
"""Mesh vertex for each of the 68 points of the iBUG 300-W convention. How it was chosen: docs/align.md."""

_MOST_FACES = 8
_lock = threading.RLock()


def landmarks_68(frame: np.ndarray, model: Weights) -> np.ndarray:
    """The 68 landmarks of the main face of a frame.

    The main face is the one of most area whose centre lies nearest the frame's: the largest value of
    box area x (1 - distance of the centres / half the frame's diagonal).

    Parameters
    ----------
    frame : (H, W, 3) uint8 RGB.
    model : MediaPipe face_landmarker.task (see `mer_pipe.models.find`).

    Returns
    -------
    (68, 2) float32: x, y in px of the frame, pixel centres at integers; points may lie outside the frame.

    Raises
    ------
    ClipError : no face is found. ModelError : the model cannot be loaded, or is not the file its digest says.
    """
    faces = meshes(frame, model)
    if not len(faces):
        height, width = frame.shape[:2]
        raise ClipError(
            f"no face found in the onset frame ({height}x{width})",
            "Look at the frame: faces turned aside, tilted by more than 75 degrees or smaller than a tenth of the frame "
            "are not found. Use align.method=none for frames that are already cropped to the face.",
        )
    return faces[main_face(faces, frame.shape)][list(MESH_68)].astype(np.float32)


def meshes(frame: np.ndarray, model: Weights) -> np.ndarray:
    """All faces that MediaPipe finds in a frame: (faces, 478, 2) float64, x and y in px, pixel centres at integers.

    MediaPipe looks at the whole frame in 128 x 128 px and so misses a face below about a sixth of a wide frame. A frame
    in which it finds none is searched again in overlapping squares of its shorter side, then of half of it; the main
    face found there is looked at once more in a square of its own, so that no edge of a square cuts it.
    """
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise ClipError(f"the onset frame is {frame.dtype} of shape {frame.shape}, not uint8 of shape (H, W, 3)")
    landmarker = _landmarker(model)
    faces = _detect(landmarker, frame)
    shorter = min(frame.shape[:2])
    for side in (shorter, shorter // 2):
        if len(faces) or side < 64:
            return faces
        steps = [np.linspace(0, n - side, max(1, -(-2 * (n - side) // side) + 1)) for n in frame.shape[:2]]
        found = [_detect(landmarker, frame, int(x), int(y), side) for y in steps[0] for x in steps[1]]
        faces = np.concatenate(found)
        if len(faces):
            face = faces[main_face(faces, frame.shape)]
            low, high = face.min(0), face.max(0)
            side = int(2 * (high - low).max())
            x, y = np.maximum((low + high - side) / 2, 0).astype(int).tolist()
            again = _detect(landmarker, frame, x, y, side)
            faces = again if len(again) else face[None]
    return faces


def _detect(landmarker: Any, frame: np.ndarray, x: int = 0, y: int = 0, side: int | None = None) -> np.ndarray:
    """The faces within a square of a frame (all of it by default): (faces, 478, 2) in px of the frame."""
    import mediapipe

    part = frame if side is None else frame[y : y + side, x : x + side]
    picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(part))
    with _lock:
        found = landmarker.detect(picture).face_landmarks
    points = np.array([[(point.x, point.y) for point in face] for face in found], np.float64).reshape(-1, 478, 2)
    # MediaPipe divides by the size with pixel edges at 0 and 1; ours has pixel centres at integers.
    return points * part.shape[1::-1] - 0.5 + (x, y)


def main_face(faces: np.ndarray, shape: tuple[int, ...]) -> int:
    """Index of the face of most area nearest the centre of a frame of `shape`; faces (n, points, 2) in px."""
    low, high = faces.min(1), faces.max(1)
    area = (high - low).prod(1)
    half = np.array([shape[1], shape[0]]) / 2
    off_centre = np.hypot(*((low + high) / 2 - half).T) / np.hypot(*half)
    return int(np.argmax(area * (1 - np.minimum(off_centre, 1))))


@functools.lru_cache(maxsize=2)
def _load(digest: str, path: str | None, process: int) -> Any:
    if path is None:
        raise ModelError(f"the face landmarker has no file ({digest})", "Give the path of a face_landmarker.task.")
    try:
        with open(path, "rb") as stream:
            content = stream.read()
    except OSError as error:
        raise ModelError(f"cannot read the face landmarker {path}: {error.strerror}", "Check the path.") from None
    if (actual := f"sha256:{hashlib.sha256(content).hexdigest()}") != digest:
        raise ModelError(f"{path} has changed: it is {actual}, not {digest}", "Start the build again, or restore it.")
    with _stderr_kept() as noise:
        try:
            from mediapipe.tasks.python import BaseOptions
            from mediapipe.tasks.python.vision import FaceLandmarker, FaceLandmarkerOptions

            landmarker = FaceLandmarker.create_from_options(
                FaceLandmarkerOptions(
                    base_options=BaseOptions(model_asset_buffer=content, delegate=BaseOptions.Delegate.CPU),
                    num_faces=_MOST_FACES,
                )
            )
            # Part of the graph starts, and logs, only with the first detection.
            _detect(landmarker, np.zeros((64, 64, 3), np.uint8))
        except (ImportError, OSError) as error:
            raise MachineError.from_import(error) from None
        except (RuntimeError, ValueError) as error:
            lines = (*str(error).splitlines(), *noise(), "")
            raise ModelError(
                f"{path} is not a MediaPipe face landmarker: {lines[0]}", "Use face_landmarker.task."
            ) from None
    # Its __del__ raises at interpreter shutdown, when its thread is already gone, and atexit is too late as well:
    # one more reference keeps __del__ from running, and the end of the process frees the rest.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(landmarker))
    return landmarker


def _landmarker(model: Weights) -> Any:
    """One landmarker a process and model."""
    with _lock:
        return _load(model.digest, model.path, os.getpid())  # its thread does not survive a fork


@contextlib.contextmanager
def _stderr_kept() -> Iterator[Any]:
    """Send file descriptor 2 to a temporary file for a moment: native libraries log there, past sys.stderr. Yields a reader."""
    with tempfile.TemporaryFile() as kept:

        def lines() -> list[str]:
            kept.seek(0)
            return kept.read().decode(errors="replace").splitlines()

        sys.stderr.flush()
        saved = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(saved, 2)
            os.close(saved)
