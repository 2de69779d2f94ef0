"""CAS(ME)^3 part A: videos with colour and depth folders, the sheet of version 2 and its faults, with generated people."""

from __future__ import annotations

from mer_pipe.datasets.fake.plan import Draft

TREE = "part_A"
SHEET = "annotation/cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx"
MACRO_SHEET = "annotation/cas(me)3_part_A_MaE_label_JpgIndex_v2_emotion.xlsx"
HEADER = ("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion")
ACTS = (
    ("disgust", "4+9", "IV"),
    ("surprise", "1+2", "II"),
    ("others", "14", "VII"),
    ("fear", "1+4", "VI"),
    ("anger", "4+7", "III"),
    ("sad", "15", "V"),
    ("happy", "6+12", "I"),
)


def plan(draft: Draft) -> None:
    """Fill a draft: (Subject, Filename) repeats, so a clip is named by its onset too."""
    rows: list[tuple] = []

    def add(person, video, emotion, aus, marks, *, cells=None, folder="spNO.{}", objective="IV", film=True, **more):
        onset, apex, offset = cells or marks
        rows.append((f"spNO.{person}", video, onset, apex, offset, aus, objective, emotion))
        if film:
            where = f"{TREE}/{folder.format(person)}/{video}"
            draft.film(f"{where}/color", "{}.jpg", person, marks, aus, before=2, after=2, **more)
            # A depth image has the number of its colour frame, and is no frame of the clip.
            draft.film(f"{where}/depth", "{}.png", person, (marks[0], marks[0], marks[0] + 1), aus, gray=True)
        return f"spNO.{person}/{video}_{onset}"

    for person, index, emotion, aus, objective in draft.ordinary(ACTS):
        # Two micro-expressions a video.
        marks = draft.marks(30 + 60 * (index % 2))
        name = add(person, "ab"[(index - 1) // 2 % 2], emotion, aus, marks, objective=objective)
        draft.sample(name, marks)
    if draft.quirks:
        m = draft.marks()
        draft.sample(add(20, "a", "Others", "4", m, folder="spNo.{}"), m)
        m = draft.marks()
        draft.sample(add(21, "c", "disgust", "10", m, folder="spNO.{0}/spNO.{0}"), m)
        m = draft.marks()
        draft.exclude(add(22, "d", "fear", "1", m, cells=(m[0], m[0] - 2, m[2])), "lies outside")
        m = draft.marks()
        draft.exclude(add(22, "e", "surprise", "2", m, cells=(m[0], m[1], 0)), "offset 0 is not after onset")
        m = draft.marks(17)
        draft.exclude(add(22, "f", "sad", "17", m, cells=(17, m[1], 17 + 3455)), "3456 frames, more than 120")
        m = draft.marks()
        draft.exclude(add(22, "g", "happy", "12", m, cells=(0, m[1] - m[0], m[2] - m[0])), "missing in")
        m = draft.marks()
        draft.exclude(add(23, "a", "anger", "4", m, without=[m[1]]), "missing in")
        draft.exclude(add(23, "b", "anger", "4", draft.marks(), film=False), "there is no folder b of this subject")
        draft.table(MACRO_SHEET, HEADER, ("spNO.1", "a", 200, 210, 300, "12", "I", "happy"))
    draft.table(SHEET, HEADER, *rows)
