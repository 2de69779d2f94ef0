"""What is known to be wrong in distributed annotation sheets, clip by clip, with a reason and a source.

A correction applies only where the sheet still reads as the table says, so that a repaired copy is left alone. Rows are
never named by their position.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Correction:
    """One known fault of a sheet.

    Attributes
    ----------
    field : the cell that is wrong: "onset", "apex" or "offset".
    reads : the cell's text in the distributed sheet; "=onset" where it repeats the onset.
    becomes : the frame number to use instead; None where nobody knows it.
    keep : with `becomes` None, whether the clip stays, its cell as it is.
    reason, source : why, and where that comes from.
    """

    field: str
    reads: str
    becomes: int | None
    keep: bool
    reason: str
    source: str


CORRECTIONS: dict[tuple[str, str, str], Correction] = {
    ("casme2", "sub04", "EP12_01f"): Correction(
        field="apex",
        reads="/",
        becomes=None,
        keep=False,
        reason="the annotators gave this clip no apex",
        source="CASME2-coding-20140508.xlsx; the MEGC 2019 list leaves the clip out too",
    ),
    ("casme2", "sub05", "EP09_05f"): Correction(
        field="apex",
        reads="=onset",
        becomes=None,
        keep=True,
        reason="the sheet puts the apex on the onset, so nothing moves between them",
        source="CASME2-coding-20140508.xlsx; the MEGC 2019 list leaves the clip out",
    ),
}


def correction(database: str, subject: str, clip: str) -> Correction | None:
    """The known fault of a clip's row, or None."""
    return CORRECTIONS.get((database, subject, clip))
