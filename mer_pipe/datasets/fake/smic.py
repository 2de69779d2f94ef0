"""SMIC's folders: three cameras, emotions as folders, no sheet; and its faults, with generated people."""

from __future__ import annotations

from mer_pipe.datasets.fake.plan import Draft, Marks

RAW, CROPPED = "SMIC_all_raw", "SMIC_all_cropped"
ACTS = (("negative", "4+7"), ("positive", "6+12"), ("surprise", "1+2"))
_CODES = {"negative": "ne", "positive": "po", "surprise": "sur"}


def plan(draft: Draft) -> None:
    """Fill a draft: what HS films, VIS films too; the apex is nobody's, so the middle of a clip is expected."""

    def add(person, nth, emotion, units, marks, *, tree=RAW, camera="HS", folder=None, name="image{:06d}.bmp", **more):
        clip = f"s{person}_{_CODES[emotion]}_{nth:02d}"
        where = f"{tree}/{camera}/s{person}/micro/{folder or f'{emotion}/{clip}'}"
        draft.film(where, name, person, marks, units, **more)
        return f"s{person:02d}/s{person:02d}_{_CODES[emotion]}_{nth:02d}"

    for person, index, emotion, units in draft.ordinary(ACTS):
        m = draft.marks(219124 + 40 * index)
        draft.sample(add(person, index, emotion, units, m), _halfway(m))
        if draft.quirks and person == 1:
            add(person, index, emotion, units, draft.marks(20), camera="VIS")
            add(person, index, emotion, units, m, tree=CROPPED, name="reg_image{:06d}.bmp")
    if draft.quirks:
        draft.notes.append("camera VIS")
        m = draft.marks(300)
        draft.film(f"{RAW}/HS/s1/non_micro/s1_non_micro_01", "image{:06d}.bmp", 1, m, "4")
        draft.notes.append("1 clips without a micro-expression")
        m = draft.marks()
        draft.sample(add(20, 1, "negative", "4", m, folder="negative/s20_ne_1"), _halfway(m))
        m = draft.marks()
        draft.sample(add(20, 2, "surprise", "1", m, folder="positive/s20_sur_02"), _halfway(m), "which counts")
        m = draft.marks()
        draft.exclude(add(20, 3, "positive", "12", m, without=[m[1]]), "missing in")
        draft.empty(f"{RAW}/HS/s20/micro/positive/s20_po_04")
        draft.exclude("s20/s20_po_04", "there is no numbered image")


def _halfway(marks: Marks) -> Marks:
    onset, _, offset = marks
    return onset, onset + (offset - onset) // 2, offset
