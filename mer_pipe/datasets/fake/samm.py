"""SAMM's gray clips, its sheet below thirteen lines of text, and its faults, with generated people."""

from __future__ import annotations

from collections.abc import Callable

from mer_pipe.datasets.fake.plan import Draft

TREE = "SAMM"
SHEET = "SAMM_Micro_FACS_Codes_v2.xlsx"
HEADER = (
    "Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration", "Micro",
    "Action Units", "Estimated Emotion", "Objective Classes", "Notes",
)  # fmt: skip
# Emotion, units to draw, as the sheet writes them, objective class.
ACTS = (
    ("Anger", "4+7", "4+7", "III"),
    ("Happiness", "12", "R12 or R14", "VII"),
    ("Contempt", "14", "R14A or 17A or 24A", "VII"),
    ("Surprise", "1+2", "1+2", "II"),
    ("Other", "12", "L12 + 61", "VII"),
    ("Anger", "10", "10A/B", "VII"),
    ("Happiness", "6+12", "(R6 or R12)+R15", "I"),
    ("Other", "7", "7B+ ref(43)", "VII"),
    ("Contempt", "12", "A/L12", "VII"),
    ("Other", "14+17", "R14+17+soft focus", "VII"),
)


def plan(draft: Draft) -> None:
    """Fill a draft: people 1, 2 ... are subjects 006, 007 ..."""
    rows: list[tuple] = []

    def add(
        subject,
        clip,
        act,
        marks,
        *,
        cells=None,
        subject_cell=None,
        folder=None,
        digits=5,
        duration=0,
        kind="Micro",
        **more,
    ):
        emotion, units, aus, objective = act
        onset, apex, offset = cells or marks
        shown = f"{subject:03d}" if subject_cell is None else subject_cell
        length = duration or offset - onset + 1
        rows.append((shown, clip, 1, onset, apex, offset, length, kind, aus, emotion, objective, None))
        if folder != "":
            where = f"{TREE}/{folder or f'{subject:03d}/{clip}'}"
            draft.film(where, f"{subject:03d}_{{:0{digits}d}}.jpg", subject, marks, units, gray=True, **more)
        return f"{subject:03d}/{clip}"

    for index, (person, nth, *act) in enumerate(draft.ordinary(ACTS)):
        marks = draft.marks(5000 + 20 * index)
        subject = person + 5
        draft.sample(add(subject, f"{subject:03d}_{(nth + 1) // 2}_{nth}", act, marks), marks)
    if draft.quirks:
        _quirks(draft, add)
    preamble = [("SAMM micro-movements: a generated copy of the sheet's layout",), *[(None,)] * 2]
    preamble += [(f"Note {n}", None, "generated") for n in range(1, 11)]
    draft.table(
        SHEET, ("Codes",), ("I", "II"), title="Emotion Classes", more={"MICRO_ONLY": [*preamble, HEADER, *rows]}
    )


def _quirks(draft: Draft, add: Callable[..., str]) -> None:
    anger, happiness = ACTS[0], ACTS[6]
    onset, apex, _ = draft.marks(1124)
    draft.exclude(add(28, "028_4_1", anger, (onset, apex, 1134), cells=(onset, 1143, 1134)), "apex 1143 lies outside")
    _, apex, offset = draft.marks(4896)
    draft.exclude(
        add(32, "032_3_1", happiness, (4896, apex, offset), cells=(4896, 1930, offset)), "apex 1930 lies outside"
    )
    # A spreadsheet took the subject for a number; the copy's folder and frames are not padded.
    m = draft.marks(318)
    draft.sample(add(9, "009_2_1", anger, m, subject_cell=9, folder="9/9_2_1", digits=1), m, "found in folder")
    m = draft.marks()
    draft.sample(add(33, "033_1_1", happiness, m, duration=99), m, "the sheet's duration is 99")
    draft.exclude(add(33, "033_1_2", ("Disgust", "9", "9", "IV"), draft.marks()), "outside the 5-class set")
    draft.exclude(add(33, "033_1_3", ("Fear", "1+4", "1+4", "VI"), draft.marks()), "outside the 5-class set")
    draft.exclude(add(33, "033_1_4", ("Sadness", "15", "15", "V"), draft.marks()), "outside the 5-class set")
    m = draft.marks()
    draft.exclude(add(34, "034_1_1", anger, m, without=[m[1]]), "missing in")
    draft.exclude(add(34, "034_1_2", anger, draft.marks(), folder=""), "there is no folder")
