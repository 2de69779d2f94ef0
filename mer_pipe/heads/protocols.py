"""Who is trained on and who is tested on: the field's protocols as index vectors. NumPy alone.

A subject is never on both sides of a fold. Subjects carry their database's name, so two people of two databases never
merge.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mer_pipe.types import TrainingError

PROTOCOLS = ("loso", "cde", "lodo", "kfold")


@dataclass(frozen=True)
class Fold:
    """One split of the clips.

    Attributes
    ----------
    name : the subject, database or part that is left out.
    train, test : positions of the clips, ascending.
    """

    name: str
    train: tuple[int, ...]
    test: tuple[int, ...]


def make_folds(
    protocol: str,
    subjects: Sequence[str],
    databases: Sequence[str],
    labels: Sequence[int],
    folds: int = 5,
    seed: int = 0,
) -> tuple[Fold, ...]:
    """The folds of a protocol, checked.

    Parameters
    ----------
    protocol :
        "loso"   leave one subject out, within one database or several.
        "cde"    the composite of MEGC 2019: LOSO over the pooled subjects of at least two databases.
        "lodo"   leave one database out.
        "kfold"  `folds` parts of whole subjects, of about as many clips each.
    subjects : (n,) as "database/subject".
    databases : (n,).
    labels : (n,) indices of classes.
    seed : of the order in which "kfold" deals subjects of equal size.

    Raises
    ------
    TrainingError : too few subjects or databases, or a fold whose training clips are all of one class.
    """
    people = sorted(set(subjects))
    if protocol not in PROTOCOLS:
        raise TrainingError(f"there is no protocol {protocol!r}", f"take one of {', '.join(PROTOCOLS)}")
    if len(people) < 2:
        told = (
            f"the store's labelled clips are of one subject, {people[0]}"
            if people
            else "the store has no labelled clip"
        )
        raise TrainingError(told, "nobody could be left out: build more of the database, or check its class set")
    if protocol in ("cde", "lodo") and len(set(databases)) < 2:
        raise TrainingError(
            f"protocol {protocol} needs several databases, and the store holds {databases[0]} alone",
            "build one with mer-pipe build --dataset megc2019, or take --protocol loso",
        )
    if protocol == "kfold":
        groups = _dealt(subjects, folds, seed)
    else:
        groups = list(databases if protocol == "lodo" else subjects)
    made = tuple(_fold(name, np.array(groups) == name) for name in sorted(set(groups)))
    _check(made, labels)
    return made


def inner_split(fold: Fold, subjects: Sequence[str], labels: Sequence[int], share: float, seed: int) -> Fold:
    """Split the training clips of a fold by subject into a part to train on and a part to choose the epoch by.

    Parameters
    ----------
    subjects, labels : of all clips, as for `make_folds`.
    share : of the training subjects that go to `test`, the validation part; at least one subject on either side.
    seed : of the draw.

    Raises
    ------
    TrainingError : fewer than two training subjects, or the rest would be of one class.
    """
    people = sorted({subjects[i] for i in fold.train})
    if len(people) < 2:
        told = f"fold {fold.name} trains on one subject, {people[0]}: none can be kept for validation"
        raise TrainingError(told, "take training.selection=last")
    count = min(len(people) - 1, max(1, round(share * len(people))))
    kept = set(sorted(people, key=lambda name: _draw(seed, fold.name, name))[:count])
    inside = [subjects[i] in kept for i in fold.train]
    split = Fold(
        fold.name,
        tuple(i for i, held in zip(fold.train, inside, strict=True) if not held),
        tuple(i for i, held in zip(fold.train, inside, strict=True) if held),
    )
    _check((split,), labels)
    return split


def _fold(name: str, out: np.ndarray) -> Fold:
    return Fold(str(name), tuple(np.flatnonzero(~out).tolist()), tuple(np.flatnonzero(out).tolist()))


def _dealt(subjects: Sequence[str], folds: int, seed: int) -> list[str]:
    """The part of each clip: the largest subjects first, each to the part with the fewest clips so far."""
    people, counts = np.unique(np.array(subjects), return_counts=True)
    if not 2 <= folds <= len(people):
        raise TrainingError(
            f"{len(people)} subjects cannot be dealt to {folds} folds", "give --folds 2 or more, one a subject at most"
        )
    sizes, part = [0] * folds, {}
    for person, count in sorted(zip(people, counts, strict=True), key=lambda pc: (-pc[1], _draw(seed, "", str(pc[0])))):
        least = sizes.index(min(sizes))
        part[str(person)] = f"part{least + 1:02d}"
        sizes[least] += int(count)
    return [part[subject] for subject in subjects]


def _draw(seed: int, fold: str, name: str) -> str:
    """A number that orders names at random, by the seed alone: adding a subject does not reorder the others."""
    return hashlib.sha256(f"{seed}\n{fold}\n{name}".encode()).hexdigest()


def _check(folds: Sequence[Fold], labels: Sequence[int]) -> None:
    for fold in folds:
        if len({labels[i] for i in fold.train}) < 2:
            raise TrainingError(
                f"fold {fold.name}: its {len(fold.train)} training clips are all of one class",
                "a network would learn to say that class: take another protocol, class set or more clips",
            )
