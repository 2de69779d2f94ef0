"""The composite of MEGC 2019: fakes of its three databases, and a list of members without a header."""

from __future__ import annotations

from mer_pipe.datasets.fake import casme2, samm, smic
from mer_pipe.datasets.fake.plan import Draft, Marks

LIST = "combined_3class_gt.csv"
LABELS = {"negative": 0, "positive": 1, "surprise": 2}
# Sheet emotion (lower case) -> label; what is not here, and two clips of CASME II, are not in the list.
CASME2 = {"happiness": "positive", "surprise": "surprise", "disgust": "negative", "repression": "negative"}
SAMM = {
    "happiness": "positive",
    "surprise": "surprise",
    **dict.fromkeys(("anger", "contempt", "disgust", "fear", "sadness"), "negative"),
}
LEFT_OUT = ("sub04/EP12_01f", "sub05/EP09_05f")
_SMIC = {"ne": "negative", "po": "positive", "sur": "surprise"}


def plan(draft: Draft) -> None:
    """Fill a draft: `clips` members among the three databases, with the quirks of each."""
    share, rest = divmod(draft.clips, 3)
    members: list[tuple] = []
    for place, (name, module, title) in enumerate(
        (("casme2", casme2, "CASME2"), ("samm", samm, "SAMM"), ("smic", smic, "SMIC"))
    ):
        inner = Draft(name, share + (place < rest), draft.seed, draft.quirks, ("others", "other"))
        module.plan(inner)
        _take(draft, inner, title)
        members += _smic(draft, inner) if name == "smic" else _sheet(draft, inner)
    if draft.quirks:
        members.append(("casme2", "sub26", "EP99_01", 0))
        draft.excluded["casme2/sub26/EP99_01"] = "CASME II has no such clip"
    draft.table(LIST, *members)


def _take(draft: Draft, inner: Draft, title: str) -> None:
    """Put the folders and sheets of a database below a folder of its own."""
    for scene in inner.scenes.values():
        scene.folder = f"{title}/{scene.folder}"
        draft.scenes[scene.folder] = scene
    draft.empties += [f"{title}/{folder}" for folder in inner.empties]
    for table in inner.tables:
        draft.tables.append(type(table)(f"{title}/{table.path}", table.pages))
    draft.notes += inner.notes


def _sheet(draft: Draft, inner: Draft) -> list[tuple]:
    """The members from a database's sheet, and what is expected of them."""
    members: list[tuple] = []
    header = (casme2 if inner.database == "casme2" else samm).HEADER
    at = {name.replace(" ", ""): index for index, name in enumerate(header) if name}
    rows = next(page for table in inner.tables for page in table.pages.values() if header in page)
    for row in dict.fromkeys(rows[list(rows).index(header) + 1 :]):
        subject, clip, emotion = (row[at[name]] for name in ("Subject", "Filename", "EstimatedEmotion"))
        onset, apex, offset = (row[at[name]] for name in ("OnsetFrame", "ApexFrame", "OffsetFrame"))
        label = (CASME2 if inner.database == "casme2" else SAMM).get(emotion.lower())
        # The list says "sub01" for CASME II, and writes SAMM's subjects without padding.
        shown, folder = (
            (f"sub{subject:02d}",) * 2 if inner.database == "casme2" else (str(int(subject)), f"{int(subject):03d}")
        )
        name = f"{inner.database}/{folder}/{clip}"
        if label is None or name.removeprefix("casme2/") in LEFT_OUT:
            continue
        members.append((inner.database, shown, clip, LABELS[label]))
        why = inner.excluded.get(name, "outside")
        if "outside" not in why:
            draft.excluded[name] = why
            continue
        if "lies outside" in why:
            apex = onset + (offset - onset) // 2
            draft.repairs[name] = "taken halfway"
        draft.samples[name] = inner.samples.get(name, (onset, apex, offset))
        if name in inner.repairs:
            draft.repairs[name] = inner.repairs[name]
    return members


def _smic(draft: Draft, inner: Draft) -> list[tuple]:
    """The members from SMIC's folders: the list goes by the clip's name where a copy's folder says otherwise."""
    marks: dict[str, Marks] = inner.samples
    draft.samples.update(marks)
    draft.excluded.update(inner.excluded)
    members = []
    for name in (*marks, *inner.excluded):
        _, subject, clip = name.split("/")
        members.append(("smic", subject, clip, LABELS[_SMIC[clip.split("_")[1]]]))
        if name in inner.repairs:
            draft.repairs[name] = "labelled surprise by"
    return members
