"""CASME II's layout, the sheet of 2014 and its faults, with generated people."""

from __future__ import annotations

from collections.abc import Callable

from mer_pipe.datasets.fake.plan import Draft

TREE = "CASME2_RAW_selected"
SHEET = "CASME2-coding-20140508.xlsx"
HEADER = (
    "Subject",
    "Filename",
    None,
    "OnsetFrame",
    "ApexFrame",
    "OffsetFrame",
    None,
    "Action Units",
    "Estimated Emotion",
)
ACTS = (
    ("happiness", "6+12"),
    ("disgust", "4+9"),
    ("others", "4"),
    ("repression", "15+17"),
    ("surprise", "1+2"),
    ("others", "R12"),
    ("disgust", "4+L10"),
)


def plan(draft: Draft) -> None:
    """Fill a draft; the clip names repeat across subjects, as they do in the database."""
    written: list[tuple] = []

    def add(
        subject,
        clip,
        emotion,
        aus,
        marks,
        *,
        units=None,
        folder=None,
        apex=None,
        name="img{}.jpg",
        without=(),
        before=0,
    ):
        cells = (marks[0], marks[1] if apex is None else apex, marks[2])
        # The sheet holds numbers where one unit is alone, as spreadsheets make of them.
        written.append((subject, clip, None, *cells, None, int(aus) if aus.isdigit() else aus, emotion))
        if folder != "":
            where = f"{TREE}/{folder or f'sub{subject:02d}/{clip}'}"
            draft.film(where, name, subject, marks, units or aus, without=without, before=before)
        return f"sub{subject:02d}/{clip}"

    for person, index, emotion, aus in draft.ordinary(ACTS):
        clip = f"EP{index // 2 + 1:02d}_{index % 2 + 1:02d}" + ("f" if index % 2 else "")
        marks = draft.marks()
        draft.sample(add(person, clip, emotion, aus, marks), marks)
    if draft.quirks:
        _quirks(draft, add)
        written.append(written[0])
        draft.notes.append("repeats row 2")
    draft.table(SHEET, HEADER, *written)


def _quirks(draft: Draft, add: Callable[..., str]) -> None:
    m = draft.marks()
    draft.exclude(add(4, "EP12_01f", "disgust", "4", m, apex="/"), "apex '/' is not a frame number")
    onset, _, offset = draft.marks()
    m = onset, onset, offset
    draft.sample(add(5, "EP09_05f", "disgust", "4+7", m), m, "apex on its onset")
    m = (onset, offset, offset)
    draft.sample(add(5, "EP13_01", "surprise", "1+2", m), m)
    m = draft.marks()
    draft.exclude(add(5, "EP13_02", "others", "4", m, apex=m[2] + 40), "lies outside")
    m = draft.marks(46)
    draft.sample(
        add(8, "EP07_01", "happiness", "L12", m, folder="Sub8/ep7_1", name="reg_img{:05d}.JPG"), m, "found in folder"
    )
    # From one digit to two and three: frames are ordered by number, whatever folders do.
    m = draft.marks(95)
    draft.sample(add(6, "EP07_02", "others", "?", m, units="4", before=90), m)
    m = draft.marks()
    draft.exclude(add(6, "EP07_03", "repression", "14", m, without=[m[0] + 2]), "missing in")
    m = draft.marks()
    draft.exclude(add(6, "EP07_04", "disgust", "10", m, folder=""), "there is no folder")
    draft.exclude(add(7, "EP01_01", "fear", "1+4", draft.marks()), "outside the 5-class set")
    draft.exclude(add(7, "EP01_02f", "sadness", "15", draft.marks()), "outside the 5-class set")
