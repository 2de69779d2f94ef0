"""CASME's layout, its sheet with two apex columns, and its faults, with generated people."""

from __future__ import annotations

from mer_pipe.datasets.fake.plan import Draft

TREE = "CASME_raw_selected"
SHEET = "CASME.xlsx"
HEADER = ("Subject", "Filename", None, "OnsetF", "ApexF1", "ApexF2", "OffsetF", None, "AU", "Emotion")
ACTS = (("tense", "4"), ("disgust", "4+9"), ("repression", "14+17"), ("surprise", "1+2"), ("tense", "R14"))


def plan(draft: Draft) -> None:
    """Fill a draft."""
    rows: list[tuple] = []

    def add(subject, clip, emotion, aus, marks, *, folder=None, second=0, padded=False, cells=None, without=()):
        onset, apex, offset = cells or marks
        rows.append(
            (subject, clip, None, onset, apex, second, offset, None, int(aus) if aus.isdigit() else aus, emotion)
        )
        if folder != "":
            name = f"{clip}-{{:03d}}.jpg" if padded else f"{clip}-{{}}.jpg"
            where = f"{TREE}/{folder or f'sub{subject:02d}/{clip}'}"
            draft.film(where, name, subject, marks, aus, without=without)
        return f"sub{subject:02d}/{clip}"

    for person, index, emotion, aus in draft.ordinary(ACTS):
        marks = draft.marks()
        # Clips of the sheet's second half have padded frame numbers.
        draft.sample(add(person, f"EP{index:02d}_{index + 2}", emotion, aus, marks, padded=person > 1), marks)
    if draft.quirks:
        m = draft.marks()
        draft.sample(add(8, "EP12_5", "disgust", "9", m, second=m[2] - 1), m)
        m = draft.marks(98)
        draft.sample(add(8, "EP13_2", "surprise", "2", m, folder="Sub8/ep13_02"), m, "found in folder")
        # Marks that belong to another cut of the clip: the folder holds other frames.
        m = draft.marks(101)
        draft.exclude(add(8, "EP14_1", "tense", "4", m, cells=(1, 4, m[2] - m[0] - 2)), "missing in")
        m = draft.marks(57)
        draft.sample(
            add(8, "EP14_2", "tense", "7", (1, m[1] - 56, m[2] - 56), cells=m), (1, m[1] - 56, m[2] - 56), "stand for"
        )
        m = draft.marks()
        draft.exclude(add(8, "EP14_3", "repression", "17", m, cells=(*m[:2], m[0] - 1)), "is not after onset")
        draft.exclude(add(9, "EP01_1", "happiness", "12", draft.marks()), "outside the 4-class set")
        draft.exclude(add(9, "EP01_2", "sadness", "15", draft.marks()), "outside the 4-class set")
        m = draft.marks()
        draft.exclude(add(9, "EP02_1", "disgust", "10", m, without=[m[1]]), "missing in")
        draft.exclude(add(9, "EP02_2", "surprise", "1", draft.marks(), folder=""), "there is no folder")
    draft.table(SHEET, HEADER, *rows)
