"""CAS(ME)^2's long videos, its headerless sheet with two naming sheets, and their faults, with generated people."""

from __future__ import annotations

from mer_pipe.datasets.fake.plan import Draft

TREE = "rawpic"
SHEET = "CAS(ME)^2code_final.xlsx"
# Of the videos shown to people: number in folder names, name in the coding sheet, words in folder names.
VIDEOS = (
    ("0101", "disgust1", "disgustingteeth"),
    ("0102", "disgust2", "eatingworms"),
    ("0401", "anger1", "girlcrashing"),
    ("0402", "anger2", "beatingpregnantwoman"),
    ("0502", "happy1", "funnyerrors"),
    ("0503", "happy2", "unluckypeople"),
)
ACTS = (("negative", "4+7"), ("positive", "6+12"), ("surprise", "1+2"), ("others", "14"), ("negative", "10"))
_REPORTS = {"negative": "disgust", "positive": "happiness", "surprise": "surprise", "others": "others"}


def plan(draft: Draft) -> None:
    """Fill a draft: people 1, 2 ... of the coding sheet have the folders s15, s16 ..."""
    rows: list[tuple] = []
    people: set[int] = set()

    def add(
        person, video, nth, emotion, aus, marks, *, kind="micro-expression", cells=None, film=True, units="", **more
    ):
        people.add(person)
        code, name, words = VIDEOS[video]
        onset, apex, offset = cells or marks
        rows.append((person, f"{name}_{nth}", onset, apex, offset, aus, emotion, kind, _REPORTS[emotion]))
        if film:
            where = f"{TREE}/s{person + 14}/{person + 14}_{code}{words}"
            draft.film(where, "img{:03d}.jpg", person, marks, units or aus, before=3, after=3, **more)
        return f"s{person + 14}/{name}_{nth}"

    for person, index, emotion, aus in draft.ordinary(ACTS):
        marks = draft.marks(30 * index)
        draft.sample(add(person, (index - 1) % 2, index, emotion, aus, marks), marks)
    if draft.quirks:
        onset, apex, offset = draft.marks(94)
        m = onset, apex, apex
        name = add(8, 2, 1, "negative", "4", (onset, apex, offset), cells=(onset, apex, 0))
        draft.sample(name, m, "the clip ends at its apex")
        m = draft.marks()
        draft.sample(add(8, 3, 1, "surprise", "NULL", m, units="5"), m)
        # One code for two expressions of a video: the onset tells them apart.
        for onset in (10, 60):
            m = draft.marks(onset)
            name = add(8, 4, 1, "positive", "12", m)
            draft.sample(f"{name}_{onset}", m)
        m = draft.marks()
        draft.exclude(add(8, 5, 1, "others", "17", m, cells=(m[0], 0, m[2])), "apex 0 lies outside")
        m = draft.marks()
        draft.exclude(add(9, 0, 1, "negative", "9", m, without=[m[0] + 1]), "missing in")
        draft.exclude(add(9, 1, 1, "negative", "4", draft.marks(), film=False), "there is no folder 23_0102")
        draft.exclude(add(9, 2, 1, "positive", "6+12", draft.marks(), kind="macro-expression"), "a macro-expression")
        rows.append((9, "tornado1_1", 5, 9, 15, "4", "negative", "micro-expression", "fear"))
        draft.exclude("s23/tornado1_1", "no naming sheet maps video 'tornado1'")
        rows.append((99, "anger1_1", 5, 9, 15, "4", "negative", "micro-expression", "anger"))
        draft.exclude("99/anger1_1", "no naming sheet maps subject '99'")
    draft.table(
        SHEET,
        *rows,
        title="CASFEcode_final",
        more={
            "naming rule1": [(person + 14, f"s{person + 14}", person) for person in sorted(people)],
            "naming rule2": [(code, name) for code, name, _ in VIDEOS],
        },
    )
