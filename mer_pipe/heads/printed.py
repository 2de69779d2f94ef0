"""What the five papers print of themselves, to stand beside measured figures: theirs, never ours.

Numbers as their tables give them. Protocols and clip sets differ from paper to paper, and some chose the epoch on the test
clips, so a difference to them proves nothing by itself.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Printed:
    """One row of a paper's table.

    Attributes
    ----------
    head : whose.
    database : as mer-pipe names it; "all" for the whole composite.
    classes : how many.
    protocol : "loso" (one database) or "cde".
    acc, uf1, uar : shares; None where the paper gives none.
    clips : N, where the accuracies or the text give it; None elsewhere.
    """

    head: str
    database: str
    classes: int
    protocol: str
    acc: float | None = None
    uf1: float | None = None
    uar: float | None = None
    clips: int | None = None


PRINTED: tuple[Printed, ...] = (
    Printed("aman", "casme2", 5, "loso", 0.7540, 0.7125),
    Printed("aman", "samm", 5, "loso", 0.6885, 0.6682),
    Printed("aman", "smic", 3, "loso", 0.7987, 0.7708),
    Printed("mrn", "casme2", 5, "loso", 0.8106, 0.7842),
    Printed("mrn", "samm", 5, "loso", 0.7761, 0.7432),
    Printed("mrn", "smic", 3, "loso", 0.7988, 0.7550),
    Printed("uamrn", "casme2", 5, "loso", 0.8057, 0.7602, clips=247),
    Printed("uamrn", "samm", 5, "loso", 0.7941, 0.7732, clips=136),
    Printed("uamrn", "smic", 3, "loso", 0.7805, 0.7814, clips=164),
    Printed("ruan", "casme2", 5, "loso", 0.833, 0.827, 0.850),
    Printed("ruan", "samm", 5, "loso", 0.794, 0.758, 0.751),
    Printed("ruan", "casme2", 3, "loso", 0.932, 0.925, 0.924),
    Printed("ruan", "samm", 3, "loso", 0.865, 0.816, 0.805),
    Printed("msmmt", "smic", 3, "loso", 0.7830, 0.7216),
    Printed("msmmt", "casme2", 5, "loso", 0.7131, 0.6754),
    Printed("msmmt", "samm", 5, "loso", 0.7383, 0.5881),
    Printed("msmmt", "all", 3, "cde", None, 0.8160, 0.8191, clips=442),
    Printed("msmmt", "smic", 3, "cde", None, 0.7651, 0.7780, clips=164),
    Printed("msmmt", "casme2", 3, "cde", None, 0.9071, 0.8878, clips=145),
    Printed("msmmt", "samm", 3, "cde", None, 0.7392, 0.7163, clips=133),
)


def printed(head: str, database: str, classes: int, protocol: str) -> Printed | None:
    """The paper's row for this head, database, number of classes and protocol, or None."""
    rows = (p for p in PRINTED if (p.head, p.database, p.classes, p.protocol) == (head, database, classes, protocol))
    return next(rows, None)
