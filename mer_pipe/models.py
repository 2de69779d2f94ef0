"""Where model files come from: a path, the user's models folder, or a download whose sha256 is pinned here."""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from mer_pipe.types import ModelError, Weights


@dataclass(frozen=True)
class KnownModel:
    """A public model file that mer-pipe can fetch.

    Attributes
    ----------
    file : name of the file in the models folder.
    purpose : the stage that reads it, and what for.
    option : the command-line option that takes another path for it.
    url, size, sha256 : where it is published, its bytes and their digest.
    licence : SPDX name.
    """

    file: str
    purpose: str
    option: str
    url: str
    size: int
    sha256: str
    licence: str


KNOWN: dict[str, KnownModel] = {
    "face_landmarker": KnownModel(
        file="face_landmarker.task",
        purpose="align by 68 landmarks (MediaPipe)",
        option="--landmarker",
        url="https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task",
        size=3758596,
        sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
        licence="Apache-2.0",
    ),
}


@dataclass(frozen=True)
class ModelStatus:
    """What is known of one model on this machine.

    Attributes
    ----------
    name, purpose, licence, url, sha256 : from the table of known models.
    path : where the file is, or would be put.
    state : "ready", "absent", or "damaged" (the file's digest is not the published one).
    """

    name: str
    purpose: str
    licence: str
    url: str
    sha256: str
    path: str
    state: str


def folder() -> Path:
    """The user's models folder: $MERPIPE_MODELS, else mer-pipe/models in the user's cache folder."""
    if own := os.environ.get("MERPIPE_MODELS"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "mer-pipe" / "models"


def weights_from(path: str | os.PathLike[str]) -> Weights:
    """Any model file as Weights: its absolute path and the sha256 of its bytes. ModelError where it cannot be read."""
    file = Path(path).expanduser().resolve()
    try:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"cannot read the model file {file}: {error.strerror}", "Check the path.") from None
    return Weights(f"sha256:{digest}", str(file))


def find(name: str, path: str | os.PathLike[str] | None = None, *, download: bool = True) -> Weights:
    """The model called `name`: from `path` if given, else from the models folder, else downloaded into it.

    A file at an explicit `path` may be another release than the published one: its own digest goes into the key, so its
    results never mix with another's. A file in the models folder must have the pinned digest.

    Raises
    ------
    ModelError : `name` is not known; the file has another digest; or it is nowhere and cannot be downloaded.
    """
    if path is not None:
        return weights_from(path)
    known = _known(name)
    target = folder() / known.file
    if target.is_file():
        weights = weights_from(target)
        if weights.digest != f"sha256:{known.sha256}":
            raise ModelError(
                f"{target} is damaged: its {weights.digest} is not the published sha256:{known.sha256}",
                "Delete the file, and it is fetched again.",
            )
        return weights
    three_ways = (
        f"Give its path with {known.option}, or put the file at {target}, or allow the download from {known.url}"
    )
    if not download:
        raise ModelError(f"the model {name} is not on this machine", three_ways + ".")
    try:
        return _download(known, target)
    except (OSError, ValueError) as error:
        reason = error if isinstance(error, urllib.error.HTTPError) else getattr(error, "reason", None) or error
        raise ModelError(f"the model {name} could not be downloaded: {reason}", three_ways + ".") from None


def status() -> tuple[ModelStatus, ...]:
    """One row for each known model, in the order of the table. Downloads nothing."""
    rows = []
    for name, known in KNOWN.items():
        target = folder() / known.file
        state = "absent"
        if target.is_file():
            state = "ready" if weights_from(target).digest == f"sha256:{known.sha256}" else "damaged"
        rows.append(ModelStatus(name, known.purpose, known.licence, known.url, known.sha256, str(target), state))
    return tuple(rows)


def _known(name: str) -> KnownModel:
    if name not in KNOWN:
        raise ModelError(f"no model is called {name!r}", f"Known models: {', '.join(KNOWN)}.")
    return KNOWN[name]


def _download(known: KnownModel, target: Path) -> Weights:
    """Fetch into a temporary file beside `target`, check it, rename it. Nothing stays behind when any step fails."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{known.file}.")
    try:
        with os.fdopen(handle, "wb") as out, urllib.request.urlopen(known.url, timeout=30) as answer:
            digest, got = hashlib.sha256(), 0
            while block := answer.read(1 << 16):
                got += len(block)
                if got > known.size:  # an error page or another release: do not fill the disk with it
                    break
                digest.update(block)
                out.write(block)
            out.flush()
            os.fsync(out.fileno())
        if got != known.size or digest.hexdigest() != known.sha256:
            raise ValueError(f"{known.url} does not hold the published {known.size} bytes, sha256:{known.sha256}")
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return Weights(f"sha256:{known.sha256}", str(target.resolve()))
