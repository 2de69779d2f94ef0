"""The composite of MEGC 2019 (See et al. 2019): clips of CASME II, SAMM and SMIC-HS, by its own list of members.

The list is a membership, not a rule: it leaves out two clips that its class map would take. So mer-pipe needs the list
itself (``combined_3class_gt.csv``, no header, rows such as ``smic,s01,s01_ne_01,0``), and every row of it ends in exactly
one of samples and excluded. Samples keep the database they come from: ``casme2/sub01/...`` and ``samm/006/...`` are the
clips, and share the cache, of builds of these databases, and people of different databases never fall together.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mer_pipe.datasets import casme2 as casme2_adapter
from mer_pipe.datasets import samm as samm_adapter
from mer_pipe.datasets import smic as smic_adapter
from mer_pipe.datasets.classes import class_map
from mer_pipe.datasets.marks import APEX_POLICIES, check_policy
from mer_pipe.datasets.members import Member, Members, find_members, key_of
from mer_pipe.datasets.places import check_root
from mer_pipe.datasets.tree import safe, subfolders
from mer_pipe.types import DatasetError, Excluded, Listing, Sample

_NAMES = {"casme2": ("casme2", "casmeii"), "samm": ("samm",), "smic": ("smic",)}
_UNUSED = re.compile(r"\([^()]+\) was not used$")
_TITLES = {"casme2": "CASME II", "samm": "SAMM", "smic": "SMIC"}


def list_clips(
    root: str | os.PathLike[str],
    *,
    members: str | os.PathLike[str] | None = None,
    casme2: str | os.PathLike[str] | None = None,
    samm: str | os.PathLike[str] | None = None,
    smic: str | os.PathLike[str] | None = None,
    casme2_sheet: str | os.PathLike[str] | None = None,
    tree: str | None = None,
    class_set: str = "3",
    apex_policy: str = "sheet_or_middle",
    missing_frames: str = "exclude",
    corrections: str | os.PathLike[str] | None = None,
) -> Listing:
    """List the clips that the composite's list names.

    Parameters
    ----------
    root : the folder that holds the three databases and the list.
    members : the list. None: the .csv near the root that is one.
    casme2, samm, smic : the databases' own folders. None: found below the root by name.
    casme2_sheet : as `sheet` of `mer_pipe.datasets.casme2.list_clips`.
    tree : None takes each database's raw frames where they are there; "cropped" the cropped frames of all three.
    class_set : "3": negative, positive, surprise, as the list says.
    apex_policy : as for CASME II. The default takes SAMM's two misprinted apexes halfway, since the list has both clips.
        For SMIC, which annotates no apex, "sheet" and "sheet_or_middle" take the frame halfway, or that of a correction.
    missing_frames, corrections : see `mer_pipe.datasets.casme2.list_clips`.

    Returns
    -------
    Listing whose samples carry the list's label and, in `source`, protocol "megc2019" and the list's digest. Rows of a
    database that is nowhere are excluded.

    Raises
    ------
    DatasetError : the root, the list, a folder that was given, or an option cannot be used; or none of the databases is
        there.
    """
    check_policy("apex", apex_policy, APEX_POLICIES)
    if tree not in (None, "cropped"):
        raise DatasetError(f"the composite has no tree {tree!r}", "Use cropped, or leave it out.")
    classes = class_map("megc2019", class_set)
    path = check_root(root)
    listed = find_members(path, members, classes, tuple(_NAMES))
    policies = {"tree": tree, "apex_policy": apex_policy, "missing_frames": missing_frames, "corrections": corrections}
    smic_apex = apex_policy
    if apex_policy in ("sheet", "sheet_or_middle"):
        smic_apex = "middle" if corrections is None else "sheet_or_middle"
    readers: dict[str, Callable[[Path], Listing]] = {
        "casme2": lambda folder: casme2_adapter.list_clips(folder, sheet=casme2_sheet, class_set="7", **policies),
        "samm": lambda folder: samm_adapter.list_clips(folder, class_set="8", **policies),
        "smic": lambda folder: smic_adapter.list_clips(folder, **{**policies, "apex_policy": smic_apex}),
    }
    found: dict[str, _Database] = {}
    for name, given in (("casme2", casme2), ("samm", samm), ("smic", smic)):
        if any(member.database == name for member in listed.rows):
            found[name] = _read(name, path, given, readers[name])
    if not any(database.listing for database in found.values()):
        raise DatasetError(
            f"none of the databases that {listed.name} names is in {path}: {next(iter(found.values())).absent}",
            "Give their folders with casme2=, samm= and smic=.",
        )
    return _chosen(listed, found, str(class_set))


@dataclass(frozen=True)
class _Database:
    """What one database's adapter found, by `key_of`; or why there is nothing."""

    listing: Listing | None
    absent: str
    clips: Mapping[tuple[str, str], Sample | Excluded]


def _read(name: str, root: Path, given: str | os.PathLike[str] | None, read: Callable[[Path], Listing]) -> _Database:
    if given is not None:
        folder = Path(given)
        return _known(read(folder if folder.is_absolute() or folder.exists() else root / folder))
    failed = ""
    for folder in _candidates(name, root):
        try:
            return _known(read(folder))
        except DatasetError as error:
            failed = failed or error.message
    return _Database(None, failed, {})


def _known(listing: Listing) -> _Database:
    entries = (*listing.samples, *listing.excluded)
    return _Database(listing, "", {key_of(*entry.id.split("/")[1:]): entry for entry in entries})


def _candidates(name: str, root: Path) -> list[Path]:
    """Where a database may be: its one folder by name, else the root, which may hold several of its trees."""
    named = [root / n for n in subfolders(str(root)) if re.sub(r"[^a-z0-9]", "", n.lower()).startswith(_NAMES[name])]
    return [*named, root] if len(named) == 1 else [root, *named]


def _chosen(listed: Members, found: Mapping[str, _Database], class_set: str) -> Listing:
    samples: list[Sample] = []
    excluded: list[Excluded] = []
    for member in listed.rows:
        database = found[member.database]
        entry = database.clips.get(key_of(member.subject, member.clip))
        where = f"row {member.number} of {listed.name}"
        if isinstance(entry, Sample) and not member.contradiction:
            samples.append(_labelled(entry, member, listed, class_set))
            continue
        name = entry.id if entry else f"{member.database}/{safe(member.subject)}/{safe(member.clip)}"
        title = _TITLES[member.database]
        if member.contradiction:
            reason = f"rows {member.contradiction} of {listed.name} label this clip differently", "Keep one row."
        elif isinstance(entry, Excluded):
            reason = entry.reason, entry.fix
        elif database.listing is None:
            reason = f"{where}: {title} is not there: {database.absent}", f"Give its folder with {member.database}=."
        else:
            reason = f"{where}: {title} has no such clip", "Check the list, or the database's sheet and folders."
        excluded.append(Excluded(name, *reason))
    notes = [f"members from {listed.name}: {len(listed.rows)} clips", *listed.notes]
    for name, database in found.items():
        if database.listing is None:
            notes.append(f"{_TITLES[name]} is not there: its clips are excluded")
            continue
        inside = sum(member.database == name for member in listed.rows)
        notes.append(f"{name}: {len(database.clips)} annotated clips, {inside} in the list")
        notes += [f"{name}: {note}" for note in database.listing.notes if not _UNUSED.search(note)]
    notes += _unused([database.listing.notes for database in found.values() if database.listing], tuple(found))
    return Listing(
        tuple(sorted(samples, key=lambda s: s.id)), tuple(sorted(excluded, key=lambda e: e.id)), tuple(notes)
    )


def _unused(all_notes: list[tuple[str, ...]], databases: tuple[str, ...]) -> list[str]:
    """The user's corrections that no database used: a row that names none of them is read for each."""
    told: list[str] = []
    for note in (n for notes in all_notes for n in notes if _UNUSED.search(n)):
        own = note.split("(")[1].startswith(tuple(f"{name}/" for name in databases))
        if (own or all(note in notes for notes in all_notes)) and note not in told:
            told.append(note)
    return told


def _labelled(sample: Sample, member: Member, listed: Members, class_set: str) -> Sample:
    own = class_map(sample.database, "3").get(sample.emotion.lower())
    repairs = sample.repairs
    if own != member.label:
        said = (
            f"the class map makes {sample.emotion!r} {own}" if own else f"the class map leaves {sample.emotion!r} out"
        )
        repairs += (f"labelled {member.label} by {listed.name}; {said}",)
    source = {
        **sample.source,
        "class_set": class_set,
        "protocol": "megc2019",
        "members": listed.name,
        "members_sha256": listed.sha256,
        "members_row": str(member.number),
    }
    return replace(sample, label=member.label, repairs=repairs, source=source)
