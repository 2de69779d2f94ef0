"""MMEW's folders of emotions, its sheet and its faults, with generated people."""

from __future__ import annotations

from mer_pipe.datasets.fake.plan import Draft

TREE = "Micro_Expression"
SHEET = "MMEW_Micro_Exp.xlsx"
HEADER = (
    "Subject",
    "Filename",
    "OnsetFrame",
    "ApexFrame",
    "OffsetFrame",
    "Action Units",
    "Estimated Emotion",
    "remarks",
)
ACTS = (
    ("happiness", "6+12"),
    ("surprise", "1+2"),
    ("anger", "4+7"),
    ("disgust", "4+9"),
    ("fear", "1+4"),
    ("sadness", "15"),
    ("others", "14"),
)
# The number of an emotion in a clip's name: person-emotion-sample.
_NUMBERS = {emotion: number for number, (emotion, _) in enumerate(ACTS, 1)}


def plan(draft: Draft) -> None:
    """Fill a draft: each folder holds one clip, its frames numbered from 1."""
    rows: list[tuple] = []

    def add(person, nth, emotion, aus, marks, *, cells=None, folder="", above="", **more):
        clip = f"S{person:02d}-{_NUMBERS[emotion]:02d}-{nth:03d}"
        rows.append((person, clip, *(cells or marks), int(aus) if aus.isdigit() else aus, emotion, None))
        if folder is not None:
            draft.film(f"{TREE}/{above or emotion}/{folder or clip}", "{}.jpg", person, marks, aus, **more)
        return f"S{person:02d}/{clip}"

    for person, index, emotion, aus in draft.ordinary(ACTS):
        marks = draft.marks(1)
        draft.sample(add(person, index, emotion, aus, marks), marks)
    if draft.quirks:
        m = draft.marks(1)
        draft.exclude(add(8, 1, "disgust", "10", m, cells=(1, None, None)), "offset '' is not a frame number")
        m = draft.marks(1)
        draft.exclude(add(8, 2, "disgust", "9", m, cells=(1, None, m[2])), "apex '' is not a frame number")
        m = draft.marks(1)
        draft.exclude(add(8, 3, "disgust", "9", m, cells=(1, m[2] + 4, m[2])), "lies outside")
        # The seventh emotion is "others" in the sheet and "repression" on the database's page.
        m = draft.marks(1)
        draft.sample(add(8, 1, "others", "17", m, above="repression"), m)
        m = draft.marks(1)
        draft.sample(add(8, 1, "fear", "1", m, above="surprise"), m, "the sheet says fear")
        m = draft.marks(1)
        draft.sample(add(9, 1, "surprise", "2", m, folder="S9-2-1"), m, "found in folder")
        m = draft.marks(1)
        draft.exclude(add(9, 2, "surprise", "1", m, without=[3]), "missing in")
        draft.exclude(add(9, 3, "surprise", "1", draft.marks(1), folder=None), "there is no folder")
    draft.table(SHEET, HEADER, *rows)
