"""What an export would write: the clips with their classes and names, checked, before any array is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from mer_pipe.export.classes import Classes, choose
from mer_pipe.export.clips import ArrayFacts, Clip, Source
from mer_pipe.export.names import clip_names, subject_folders
from mer_pipe.export.settings import CLASSES, FORMATS, LAYOUTS, ORDERS, SOURCES, THREE, ExportError, Settings

FACES = "crop/image"
PICTURED = {"flow_onset+strain": ("flow_onset/flow", "strain/strain"), "motion": ("motion/motion",)}


class Entry(NamedTuple):
    """A clip that is exported.

    Attributes
    ----------
    clip : the clip.
    label, index : its class, and the class's index.
    folder : of its subject.
    name : of its files, without suffix.
    """

    clip: Clip
    label: str
    index: int
    folder: str
    name: str

    @property
    def told(self) -> dict[str, Any]:
        """What a table tells of it: its id, class and coordinates."""
        own = {k: v for k, v in self.clip.told.items() if k not in ("sample", "label", "repairs", "source")}
        return {"sample": self.clip.id, "label": self.label, "class": self.index, "fold": self.folder, **own}


@dataclass(frozen=True)
class Plan:
    """Everything that is known before an array is read.

    Attributes
    ----------
    arrays : those that are written as they are.
    pictured : those that pictures of u, v and strain are made from; () where there are none.
    """

    source: Source
    settings: Settings
    classes: Classes
    entries: tuple[Entry, ...]
    arrays: tuple[ArrayFacts, ...]
    pictured: tuple[ArrayFacts, ...]

    @cached_property
    def folds(self) -> list[str]:
        """Folders of the subjects that have a clip, in the store's order."""
        return list(dict.fromkeys(entry.folder for entry in self.entries))

    @property
    def layout(self) -> str:
        """Of pictures; "" of the other formats."""
        return self.settings.layout if self.settings.format == "pictures" else ""

    @property
    def shows_faces(self) -> bool:
        return self.layout == "htnet" or any(array.shows_faces for array in self.arrays)

    @property
    def notes(self) -> list[str]:
        """What a user should know before training on this export."""
        if self.layout not in ("loso", "htnet") or self.classes.names == THREE:
            return []
        names = ", ".join(self.classes.names)
        return [f"{len(self.classes.names)} classes ({names}), but STSTNet and HTNet have three: see --classes 3"]


Tick = Callable[[int, int], None]


def prepare(store: str | Path, settings: Settings) -> Plan:
    """Open a store and decide what an export of it holds; writes nothing and reads no array but the coordinates.

    Raises
    ------
    StoreError : there is no store, or it is not whole.
    ExportError : a setting is none, or the store cannot serve it.
    """
    for what, value, known in (
        ("format", settings.format, FORMATS),
        ("classes", settings.classes, CLASSES),
        ("layout", settings.layout, LAYOUTS),
        ("order", settings.order, ORDERS),
        ("source", settings.source, ("", *SOURCES)),
    ):
        if value not in known:
            raise ExportError(f"there is no {what} {value!r}", f"take one of {', '.join(filter(None, known))}")
    source = Source(store)
    classes = choose(source.clips, settings.classes)
    clips = [clip for clip in source.clips if clip.row in classes.index]
    as_numbers = (settings.format, settings.layout) != ("pictures", "htnet")  # HTNet reads its table with pandas
    folders = subject_folders(clips, as_numbers)
    names = clip_names(clips, folders, as_numbers)
    entries = tuple(
        Entry(
            clip, classes.names[classes.index[clip.row]], classes.index[clip.row], folders[clip.told["subject"]], name
        )
        for clip, name in zip(clips, names, strict=True)
    )
    pictures = settings.format in ("pictures", "huggingface")
    plan = Plan(
        source,
        settings,
        classes,
        entries,
        source.chosen(settings.arrays),
        _pictured(source, settings) if pictures else (),
    )
    _check(plan)
    return plan


def _pictured(source: Source, settings: Settings) -> tuple[ArrayFacts, ...]:
    has = [name for name in SOURCES if all(array in source.arrays for array in PICTURED[name])]
    wanted = settings.source or (has[0] if has else SOURCES[0])
    if wanted not in has:
        lacks = " and no ".join(array for array in PICTURED[wanted] if array not in source.arrays)
        system = "msmmt" if wanted == "motion" else "ruan"
        other = f"take --from {has[0]}, or " if has else ""
        raise ExportError(f"the store has no {lacks}", f"{other}build it for {system} too (see mer-pipe build --only)")
    return tuple(source.arrays[name] for name in PICTURED[wanted])


def _check(plan: Plan) -> None:
    settings, held = plan.settings, plan.source.arrays
    if settings.format in ("numpy", "webdataset") and not plan.arrays:
        raise ExportError(
            f"{settings.format} needs the arrays to write",
            f"name some, as --arrays flow_onset/flow,strain/strain, or all; the store holds {', '.join(held)}",
        )
    if settings.shard < 1:
        raise ExportError(f"a shard of {settings.shard} MiB holds nothing", "take 1 MiB or more")
    sides = [side for array in plan.pictured for side in array.shape[:2]]
    if sides and not 1 <= settings.size <= min(sides):
        raise ExportError(f"pictures of {settings.size} px cannot be made of {min(sides)} px", "take a smaller --size")
    if plan.layout in ("loso", "htnet") and len(plan.folds) < 2:
        raise ExportError(
            f"only {plan.folds[0]} has clips: leave this subject out, and none is left to train on",
            "take --layout flat",
        )
    if plan.layout == "htnet" and settings.size != 28:
        raise ExportError(
            f"HTNet cuts its parts out of 28 x 28 px, not {settings.size}", "leave --size out, or take --layout loso"
        )
    if plan.layout == "htnet" and not (FACES in held and "apex" in held[FACES].coordinates.get("mark", [])):
        raise ExportError(
            f"HTNet looks for landmarks in the apex frames, and the store has none in {FACES}",
            "take --layout loso, or build the store anew",
        )
