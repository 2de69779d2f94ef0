"""DFME's sheet with a frame rate a row, and its faults, with generated people; the folders are this project's guess."""

from __future__ import annotations

from mer_pipe.datasets.fake.plan import Draft

SHEET = "annotation.csv"
HEADER = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Emotion", "EmotionId", "Fps", "AU")
ACTS = (
    ("happiness", "6+12"),
    ("anger", "4+7"),
    ("contempt", "R14"),
    ("disgust", "4+9"),
    ("fear", "1+4"),
    ("sadness", "15"),
    ("surprise", "1+2"),
)
_IDS = {emotion: number for number, (emotion, _) in enumerate(ACTS)}


def plan(draft: Draft) -> None:
    """Fill a draft: 200, 300 and 500 frames per second in turn, clip names that repeat across subjects."""
    rows: list[tuple] = []

    def add(person, nth, emotion, aus, marks, *, fps=200, cells=None, film=True, folder="", **more):
        clip = f"clip{nth:02d}"
        rows.append((f"sub{person:03d}", clip, *(cells or marks), emotion, _IDS.get(emotion, 7), fps, aus))
        if film:
            draft.film(folder or f"DFME/sub{person:03d}/{clip}", "{:05d}.jpg", person, marks, aus, **more)
        return f"sub{person:03d}/{clip}"

    for person, index, emotion, aus in draft.ordinary(ACTS):
        marks = draft.marks()
        draft.sample(add(person, index, emotion, aus, marks, fps=(200, 300, 500)[index % 3]), marks)
    if draft.quirks:
        m = draft.marks()
        draft.sample(add(80, 1, "surprise", "1", m, fps=250), m, "none of the database's")
        draft.exclude(add(80, 2, "surprise", "2", draft.marks(), fps=None), "fps '' is not a frame rate")
        draft.exclude(add(80, 3, "surprise", "2", draft.marks(), fps="fast"), "fps 'fast' is not a frame rate")
        m = draft.marks()
        draft.sample(add(80, 4, "anger", "4", m, folder="DFME/Sub80/Clip_4"), m, "found in folder")
        draft.exclude(add(80, 5, "others", "17", draft.marks()), "outside the 7-class set")
        m = draft.marks()
        draft.exclude(add(80, 6, "fear", "1", m, cells=(m[0], m[0] - 3, m[2])), "lies outside")
        m = draft.marks()
        draft.exclude(add(81, 1, "disgust", "9", m, without=[m[0] + 3]), "missing in")
        # Another subject has a folder of this name, which is not this clip's.
        draft.exclude(
            add(81, 2, "disgust", "9", draft.marks(), film=False), "there is no folder clip02 of this subject"
        )
    draft.table(SHEET, HEADER, *rows)
