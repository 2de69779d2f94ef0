"""4DME's gray clips, its sheet and its faults, with generated people."""

from __future__ import annotations

from mer_pipe.datasets.fake.plan import Draft

TREE = "gray_micro"
SHEET = "4DME_Labelling_Micro_release v1.xlsx"
HEADER = ("sub_ID", "fold_name", "Emotion", "fold", "eye blink", "Onset", "Apex", "Offset", "AUs")
ACTS = (
    ("Negative", "4+7"),
    ("Positive", "6+12"),
    ("Surprise", "1+2"),
    ("Repression", "14+17"),
    ("Others", "15"),
)


def plan(draft: Draft) -> None:
    """Fill a draft: a folder a clip, its frames numbered as in the long recording."""
    rows: list[tuple] = []

    def add(person, take, emotion, aus, marks, *, cells=None, units="", folder=None, film=True, **more):
        clip = f"S{person:02d}_1st_{take:03d}_01"
        onset, apex, offset = cells or marks
        rows.append((person, clip, emotion, person % 5, 0, onset, apex, offset, aus))
        if film:
            where = f"{TREE}/{folder or clip}"
            draft.film(where, "Frame_{:09d}.jpg", person, marks, units or aus, **more)
        return f"S{person:02d}/{clip}"

    for person, index, emotion, aus in draft.ordinary(ACTS):
        marks = draft.marks(1500 + 40 * index)
        draft.sample(add(person, index, emotion, aus, marks), marks)
    if draft.quirks:
        m = draft.marks(2101)
        draft.sample(add(13, 1, "Negative", "AU4(k)+L7", m, units="4+7"), m)
        draft.exclude(add(13, 2, "Negative+Repression", "4+17", draft.marks()), "outside the 5-class set")
        # A copy whose frames count from 1.
        _, apex, offset = m = draft.marks(1)
        name = add(13, 3, "Surprise", "1", m, cells=(901, 900 + apex, 900 + offset))
        draft.sample(name, m, "stand for the annotated 901")
        m = draft.marks()
        draft.sample(add(13, 4, "Positive", "12", m, folder="S13/s13_1st_4_1"), m, "found in folder")
        m = draft.marks()
        draft.exclude(add(13, 5, "Negative", "4", m, cells=(m[0], m[2] + 100, m[2])), "lies outside")
        m = draft.marks()
        draft.exclude(add(14, 1, "Others", "15", m, without=[m[2]]), "missing in")
        draft.exclude(add(14, 2, "Others", "15", draft.marks(), film=False), "there is no folder")
    draft.table(SHEET, HEADER, *rows)
