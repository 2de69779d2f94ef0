"""The words that every room of mer-pipe shares: clips, array contracts, stages, errors. NumPy, when an array is at hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import numpy as np


APT_LINE = "apt-get install -y libgl1 libglib2.0-0 libegl1 libgles2"
"""What a slim Debian lacks for OpenCV and MediaPipe; they bring libxcb1 with them."""


class MerError(Exception):
    """An error that a user can act on: one line of what happened, one of what to do next.

    Attributes
    ----------
    message : what happened, with the offending value.
    fix : what to do next; empty when the message says it already.
    """

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message, fix)
        self.message = " ".join(str(message).split())
        self.fix = " ".join(str(fix).split())

    def __str__(self) -> str:
        return sentences(self.message, self.fix)


def sentences(message: str, fix: str = "") -> str:
    """What happened and what to do, as one line of sentences; a command or a key at the start of `fix` stays as it is."""
    if not fix:
        return message
    first = fix.split()[0].rstrip(",;:")
    if first.isalpha() and first.islower():
        fix = fix[0].upper() + fix[1:]
    return f"{message.rstrip('.')}. {fix}"


class RecipeError(MerError):
    """A recipe, or one of its values, cannot be used."""


class DatasetError(MerError):
    """A database folder or its annotation sheet cannot be used."""


class ClipError(MerError):
    """One clip cannot pass one stage; the other clips are not concerned."""


class ModelError(MerError):
    """A model or checkpoint file is absent, damaged, of an unknown kind or unsafe to load."""


class StoreError(MerError):
    """A cache entry or a published store is absent, damaged or of another format."""


class TrainingError(MerError):
    """A head cannot be trained or judged: too few subjects or classes, values that are not finite, another run's folder."""


class MachineError(MerError):
    """This machine lacks a library that every clip would need: the build stops."""

    @classmethod
    def from_import(cls, error: ImportError | OSError) -> MachineError:
        """The error of a failed import: a system library that is missing, or a package."""
        said = " ".join(str(error).split())
        if ".so" in said:
            return cls(f"a system library is missing: {said}", f"on Debian or Ubuntu: {APT_LINE}")
        return cls(f"a package cannot be imported: {said}", "see mer-pipe doctor")


@dataclass(frozen=True)
class Frames:
    """Where the frames of one clip are, in time order. Nothing is read until a stage asks for it.

    Attributes
    ----------
    files : absolute paths: one image file a frame, or exactly one video file.
    numbers : one integer a frame: the number in the image's file name, or the index in the video (from 0).
    video : whether `files` is one video.
    """

    files: tuple[str, ...]
    numbers: tuple[int, ...]
    video: bool = False

    def __post_init__(self) -> None:
        if len(self.files) != (1 if self.video else len(self.numbers)):
            raise ValueError(f"{len(self.files)} files for {len(self.numbers)} frames")

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True)
class Sample:
    """One annotated clip that can be processed.

    Attributes
    ----------
    id : "database/subject/clip", unique in a build; built of the three fields below.
    database, subject, clip : as mer-pipe names them ("casme2", "sub01", "EP02_01f").
    frames : the frames from the first to the last that may be read, onset and offset included.
    onset, apex, offset : positions in `frames`, from 0; onset <= apex <= offset.
    fps : frames per second.
    emotion : the label as the sheet writes it; "" where there is none.
    label : the class under the class set in use; "" where the clip is outside it.
    aus : action units as the sheet writes them, one string; "" where there are none.
    repairs : what was corrected or guessed, a sentence each; empty for most clips.
    source : what the row came from (sheet name, sheet version, sheet sha256, apex policy ...), strings only.
    """

    database: str
    subject: str
    clip: str
    frames: Frames
    onset: int
    apex: int
    offset: int
    fps: float
    emotion: str = ""
    label: str = ""
    aus: str = ""
    repairs: tuple[str, ...] = ()
    source: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.onset <= self.apex <= self.offset < len(self.frames):
            raise ValueError(
                f"{self.id}: onset {self.onset}, apex {self.apex}, offset {self.offset} do not order within "
                f"{len(self.frames)} frames"
            )

    @property
    def id(self) -> str:
        return f"{self.database}/{self.subject}/{self.clip}"


@dataclass(frozen=True)
class Excluded:
    """An annotated clip that is not processed, and why: listed in every output, never dropped silently.

    Attributes
    ----------
    id : as `Sample.id`.
    reason : one sentence with the offending value and the place it came from.
    fix : what the user can do about it; may be empty.
    """

    id: str
    reason: str
    fix: str = ""


@dataclass(frozen=True)
class Listing:
    """What an adapter found: every annotated clip is in exactly one of the two tuples, each ordered by id."""

    samples: tuple[Sample, ...]
    excluded: tuple[Excluded, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ArraySpec:
    """What an array of one value of a node must be; checked before it is stored.

    Attributes
    ----------
    dims : names of the axes.
    dtype : NumPy dtype name, matched exactly.
    unit : unit of the values ("px", "grey level", "1").
    low, high : closed range of the values; None where there is no bound.
    shape : size of each axis, None where it varies from clip to clip; None as a whole means all vary.
    about : one line for the reader of a store.
    """

    dims: tuple[str, ...]
    dtype: str
    unit: str = "1"
    low: float | None = None
    high: float | None = None
    shape: tuple[int | None, ...] | None = None
    about: str = ""

    def check(self, array: np.ndarray) -> None:
        """Raise ClipError unless `array` keeps this contract (axes, dtype, shape, finite, range)."""
        import numpy as np

        if not isinstance(array, np.ndarray) or array.dtype != np.dtype(self.dtype):
            raise ClipError(f"result is {getattr(array, 'dtype', type(array).__name__)}, not {self.dtype}")
        if array.ndim != len(self.dims):
            raise ClipError(f"result has shape {array.shape}, not axes {self.dims}")
        for size, want, dim in zip(array.shape, self.shape or (None,) * array.ndim, self.dims, strict=True):
            if want is not None and size != want:
                raise ClipError(f"axis {dim} of the result has size {size}, not {want}")
        if array.size == 0:
            raise ClipError(f"result is empty: shape {array.shape}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ClipError(f"result holds {int((~np.isfinite(array)).sum())} values that are not finite")
        if (self.low is not None and array.min() < self.low) or (self.high is not None and array.max() > self.high):
            raise ClipError(f"result spans {array.min()}..{array.max()}, outside {self.low}..{self.high}")


@dataclass(frozen=True)
class Weights:
    """A model file that a stage reads, known to keys by its digest alone.

    Attributes
    ----------
    digest : "sha256:<64 hex digits>" of the file, or "random:<seed>" for seeded random values.
    path : where the file lies on this machine; None for random values. Never part of a key.
    """

    digest: str
    path: str | None = field(default=None, compare=False, metadata={"key": False})


@dataclass(frozen=True)
class Stage:
    """One step of the pipeline: a frozen dataclass whose fields are its parameters.

    A stage is called with its inputs by name and returns a dict of arrays, one for each name in `returns`. It takes no
    paths, prints nothing, keeps no state, and gives the same bytes for the same inputs, however values are batched.

    Class attributes
    ----------------
    name : what the stage is called in keys and messages.
    version : integer, raised whenever the numbers that the stage returns change.
    stacks : names of the inputs that arrive with one item a value on a new leading axis; the returned arrays then carry
        that leading axis too. Empty for a stage that makes one value a call.
    along : the coordinate whose missing values are passed to the call by name as a tuple of numbers (for example
        ``af=(2.0, 4.0)``); the returned arrays carry one item a value on a new leading axis. None for most stages.
    most : how many values one call takes at most (bounds memory).

    Fields marked ``metadata={"key": False}`` never enter a key.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    stacks: ClassVar[tuple[str, ...]] = ()
    along: ClassVar[str | None] = None
    most: ClassVar[int] = 64

    @property
    def returns(self) -> dict[str, ArraySpec]:
        """The arrays that a call returns, each without the leading axis that `stacks` or `along` adds."""
        raise NotImplementedError

    def __call__(self, **inputs: Any) -> dict[str, np.ndarray]:
        raise NotImplementedError

    def parameters(self) -> dict[str, Any]:
        """The parameters that enter the key, as plain JSON values."""
        return _plain(self)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = (f for f in dataclasses.fields(value) if f.metadata.get("key", True))
        return {f.name: _plain(getattr(value, f.name)) for f in fields}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"a parameter of type {type(value).__name__} has no plain form")
