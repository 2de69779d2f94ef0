"""The frames of one clip, from its folder: all that are annotated, in time order, and an apex where nobody gave one."""

from __future__ import annotations

from pathlib import Path

from mer_pipe.datasets.marks import NoFolder, Unusable
from mer_pipe.datasets.tree import FrameFolder
from mer_pipe.types import ClipError, Frames

MISSING_POLICIES = ("exclude", "hold")
MOST_HELD = 4
"""Under the policy "hold", at most one in this many frames of a clip may be missing."""


def estimated_apex(frames: Frames, repairs: list[str]) -> int:
    """The position of the strongest motion since the first frame; every frame is decoded.

    Raises `Unusable` where a frame cannot be read.
    """
    from mer_pipe.datasets.apex import motion_curve, strongest_motion
    from mer_pipe.datasets.frames import each

    try:
        position = strongest_motion(motion_curve(each(frames)))
    except ClipError as error:
        raise Unusable(error.message, error.fix) from None
    repairs.append(f"apex estimated by strongest motion: frame {frames.numbers[position]}")
    return position


def clip_frames(folder: FrameFolder, onset: int, offset: int, policy: str, repairs: list[str]) -> Frames:
    """The frames onset..offset of a folder.

    Parameters
    ----------
    folder : the clip's frames by number. A copy that numbers the clip anew, from 0 or 1 and with as many frames as are
        annotated, is taken as the annotated frames.
    onset, offset : frame numbers.
    policy : of `MISSING_POLICIES`: "exclude" a clip with missing frames; "hold" the frame before in place of each, where
        no more than one in `MOST_HELD` is missing.
    repairs : what was guessed is told here.

    Raises
    ------
    Unusable : frames are missing, or there twice.
    """
    where = _place(folder)
    if not folder.files:
        raise NoFolder(f"there is no frame in {where}", "Copy the clip from the database.")
    first, last = min(folder.files), max(folder.files)
    numbers = range(onset, offset + 1)
    absent, _ = folder.missing(onset, offset)
    if absent and first in (0, 1) and last - first == offset - onset and len(folder.files) == len(numbers):
        # Copies that hold the clip alone often number it anew; the same length makes the reading sure enough to tell.
        repairs.append(f"frames {first}..{last} in {where} stand for the annotated {onset}..{offset}: same count")
        numbers = range(first, last + 1)
    elif absent and (policy != "hold" or absent * MOST_HELD > len(numbers)):
        raise NoFolder(
            _missing_told(folder, onset, offset), "Copy the clip again from the database, or correct the row."
        )
    for number in sorted(folder.doubles):
        if number in numbers:
            raise Unusable(
                f"frame {number} is there more than once in {where}: {', '.join(folder.doubles[number])}",
                "Keep one file a frame.",
            )
    if all(number in folder.files for number in numbers):
        return Frames(tuple(folder.files[n] for n in numbers), tuple(numbers))
    repairs.append(f"{_missing_told(folder, onset, offset)}: the frame before stands for each")
    return _held(folder, numbers)


def _held(folder: FrameFolder, numbers: range) -> Frames:
    """The frames of `numbers`, each missing one by the nearest before it, or after it at the start."""
    there = min(n for n in numbers if n in folder.files)
    files = []
    for number in numbers:
        there = number if number in folder.files else there
        files.append(folder.files[there])
    return Frames(tuple(files), tuple(numbers))


def _missing_told(folder: FrameFolder, onset: int, offset: int) -> str:
    absent, shown = folder.missing(onset, offset)
    more = f" and {absent - len(shown)} more" if absent > len(shown) else ""
    return (
        f"of the annotated frames {onset}..{offset}, {', '.join(map(str, shown))}{more} {'is' if absent == 1 else 'are'} "
        f"missing in {_place(folder)}, which holds {min(folder.files)}..{max(folder.files)}"
    )


def _place(folder: FrameFolder) -> str:
    return f"{Path(folder.path).parent.name}/{Path(folder.path).name}"
