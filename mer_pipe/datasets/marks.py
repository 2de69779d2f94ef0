"""From cells to onset, apex and offset: corrections applied, policies kept, and everything guessed told."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mer_pipe.datasets.corrections import Correction, Corrections
from mer_pipe.datasets.sheets import suggest
from mer_pipe.types import DatasetError

APEX_POLICIES = ("sheet", "sheet_or_middle", "middle", "motion")
OFFSET_POLICIES = ("exclude", "apex")


class Unusable(Exception):
    """Why a row cannot become a sample, and what the user can do."""

    def __init__(self, reason: str, fix: str = "") -> None:
        super().__init__(reason, fix)


class NoFolder(Unusable):
    """The clip's frames are not there: counted, to tell a tree that was unpacked only in part."""


def check_policy(what: str, value: str, known: tuple[str, ...]) -> None:
    """Raise DatasetError unless `value` is one of the `known` policies."""
    if value not in known:
        raise DatasetError(f"there is no {what} policy {value!r}", suggest(str(value), known))


def frame_number(cell: str, mark: str) -> int:
    """The frame number in a cell; raises `Unusable` for anything else."""
    # Tables that were written with blanks in a column hold "5562.0".
    found = re.fullmatch(r"(\d{1,9})(?:\.0)?", cell, re.ASCII)
    if found is None:
        raise Unusable(f"{mark} {cell[:40]!r} is not a frame number", "Correct the row, or leave it out.")
    return int(found.group(1))


def corrected(
    cells: Mapping[str, str],
    corrections: Corrections,
    subject: str,
    clip: str,
    apex_policy: str,
    repairs: list[str],
) -> tuple[dict[str, str], dict[str, Correction]]:
    """The cells after corrections, and the known faults that have no remedy, by field.

    Parameters
    ----------
    cells : of one row.
    corrections : of the row's database.
    subject, clip : as mer-pipe names them.
    apex_policy : corrections of the apex are passed over where the policy doesn't read it.
    repairs : each correction that applies is told here.

    Raises
    ------
    Unusable : a correction leaves the clip out.
    """
    now, known = dict(cells), {}
    onset = cells.get("onset", "")
    for fault in corrections.of(subject, clip, onset):
        if fault.field == "apex" and apex_policy in ("middle", "motion"):
            continue
        reads = cells.get(fault.field, "")
        if fault.reads is not None and reads != (onset if fault.reads == "=onset" else fault.reads):
            continue
        corrections.mark_used(fault)
        if fault.field == "exclude":
            raise Unusable(f"left out by a correction: {fault.reason} ({fault.source})")
        if fault.becomes is None:
            known[fault.field] = fault
        else:
            now[fault.field] = fault.becomes
            known.pop(fault.field, None)
            repairs.append(f"{fault.field} {reads!r} read as {fault.becomes}: {fault.reason} ({fault.source})")
    return now, known


def marks(
    cells: Mapping[str, str],
    known: Mapping[str, Correction],
    apex_policy: str,
    offset_policy: str,
    repairs: list[str],
) -> tuple[int, int | None, int]:
    """Onset, apex and offset as frame numbers; the apex is None under the policy "motion".

    Parameters
    ----------
    cells : after corrections.
    known : faults without a remedy, by field.
    apex_policy : "sheet" takes the annotated apex; "sheet_or_middle" too, and the frame halfway where it is unusable;
        "middle" always the frame halfway; "motion" leaves it to be estimated.
    offset_policy : for an offset of 0 or none: "apex" ends the clip at its apex, "exclude" refuses.
    repairs : what was guessed is told here.

    Raises
    ------
    Unusable : the marks are no frame numbers, or not in order.
    """
    onset = frame_number(cells["onset"], "onset")
    offset = _offset(cells, onset, offset_policy, repairs)
    if apex_policy == "motion":
        return onset, None, offset
    middle = onset + (offset - onset) // 2
    if apex_policy == "middle":
        return onset, middle, offset
    try:
        apex = _apex(cells["apex"], onset, offset, known.get("apex"))
    except Unusable as why:
        if apex_policy == "sheet":
            raise
        repairs.append(f"{why.args[0]}: taken halfway, frame {middle}")
        return onset, middle, offset
    if apex == onset:
        fault = known.get("apex")
        why = f"{fault.reason} ({fault.source})" if fault else "nothing moves between them"
        repairs.append(f"kept with its apex on its onset, frame {onset}: {why}")
    return onset, apex, offset


def _offset(cells: Mapping[str, str], onset: int, policy: str, repairs: list[str]) -> int:
    cell = cells["offset"]
    if cell in ("", "0") and policy == "apex":
        offset = frame_number(cells["apex"], "apex")
        if offset <= onset:
            raise Unusable(
                f"offset {cell!r} gives way to apex {offset}, which is not after onset {onset}",
                "Correct the row, or leave it out.",
            )
        repairs.append(f"offset {cell or 'missing'}: the clip ends at its apex, frame {offset}")
        return offset
    offset = frame_number(cell, "offset")
    if offset <= onset:
        other = "Use the offset policy 'apex', correct" if offset == 0 else "Correct"
        raise Unusable(f"offset {offset} is not after onset {onset}", f"{other} the row, or leave it out.")
    return offset


def _apex(cell: str, onset: int, offset: int, fault: Correction | None) -> int:
    told = f": {fault.reason} ({fault.source})" if fault else ""
    fix = "Correct the row, or use the apex policy 'sheet_or_middle'."
    try:
        apex = frame_number(cell, "apex")
    except Unusable as why:
        raise Unusable(why.args[0] + told, fix) from None
    if not onset <= apex <= offset:
        raise Unusable(f"apex {apex} lies outside onset {onset} .. offset {offset}{told}", fix)
    return apex
