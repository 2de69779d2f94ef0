"""CAS(ME)^3 part C as public loaders read it: a numbered folder a person, a sheet without apexes; generated people."""

from __future__ import annotations

from mer_pipe.datasets.fake.casme3 import ACTS
from mer_pipe.datasets.fake.plan import Draft

TREE = "part_C"
SHEET = "CAS(ME)3_part_C_ME.xlsx"
HEADER = ("sub", "count", "onset", "offset", "au", "emotion", "PHY")
OTHER_FACES = 300
"""Added to a person's number for the face: person 1 of part C is not person 1 of part A."""


def plan(draft: Draft) -> None:
    """Fill a draft; the sheet has no apexes, so that what must come out is said for apex_policy="middle"."""
    rows: list[tuple] = []
    counts: dict[int, int] = {}

    def add(person, emotion, aus, span, *, cells=None, video="a", film=True, **more):
        onset, offset = cells or (span[0], span[2])
        counts[person] = counts.get(person, 0) + 1
        label = f"{person}_{counts[person]}"
        rows.append((person, counts[person], onset, offset, aus.replace("+", ","), emotion, label))
        if film:
            where = f"{TREE}/{person:02d}/{video}"
            units = aus.replace("，", "+")
            draft.film(f"{where}/color", "{}.jpg", person + OTHER_FACES, span, units, before=2, after=2, **more)
            depth = span[0], span[0], span[0] + 1
            draft.film(f"{where}/depth", "{}.png", person + OTHER_FACES, depth, units, gray=True)
        return f"C_spNO.{person}/{onset}"

    def span(onset=None):
        first, _, last = draft.marks(onset)
        return first, first + (last - first) // 2, last

    for person, index, emotion, aus, _ in draft.ordinary(ACTS):
        m = span(30 * index)
        draft.sample(add(person, emotion, aus, m), m)
    if draft.quirks:
        m = span()
        draft.sample(add(20, "Others", "4，7", m, video="video"), m)
        m = span(17)
        draft.exclude(add(21, "fear", "1", m, cells=(m[0], 0)), "offset 0 is not after onset")
        draft.exclude(add(21, "sad", "17", m, cells=(18, 18 + 3455), film=False), "3456 frames, more than 120")
        m = span(40)
        draft.exclude(add(21, "happy", "12", m, cells=(0, m[2] - m[0])), "missing in")
        m = span(80)
        draft.exclude(add(21, "anger", "4", m, without=[m[1]]), "missing in")
        draft.exclude(add(22, "anger", "4", span(), film=False), "there is no folder of subject 22")
    draft.table(SHEET, HEADER, *rows)
