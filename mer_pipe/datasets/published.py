"""What the papers and the distributed sheets count, per database, sheet version and class set; and a listing beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from mer_pipe.types import Listing, Sample


@dataclass(frozen=True)
class Published:
    """One published count.

    Attributes
    ----------
    database, class_set : as `mer_pipe.datasets` names them.
    variant : what else decides the count: the sheet's version, the camera, or the database within a composite; "" where
        nothing does.
    counts : clips per class; empty where only the total is published.
    total : clips in all.
    subjects : people with at least one of these clips; None where that is not published.
    source : where the numbers are from.
    checked : whether they were held against that source; False for numbers as other papers quote them.
    """

    database: str
    class_set: str
    variant: str
    counts: Mapping[str, int]
    total: int
    subjects: int | None
    source: str
    checked: bool = True


def _entry(
    database: str, class_set: str, variant: str, source: str, subjects: int | None = None, total: int = 0, **counts: int
) -> Published:
    total = total or sum(counts.values())
    return Published(database, class_set, variant, counts, total, subjects, source, source not in _QUOTED)


_DAVISON = "Davison et al. 2018, Objective classes for micro-facial expression recognition"
_SEE = "See et al. 2019, MEGC 2019"
_YAN = "CASME2-coding-20140508.xlsx"
_UPDATED = "the updated sheet, with sub24/EP02_07"
_YAN_2019 = "CASME2-coding-20190701.xlsx"
_SAMM = "SAMM_Micro_FACS_Codes_v2.xlsx"
_LI = "Li et al. 2013, A spontaneous micro-expression database"
_QU = "Qu et al. 2018, CAS(ME)^2"
_CASME3 = "CAS(ME)^3 part A, sheet v2"
_LI_25 = "Li et al. 2013, VIS and NIR"
_CASME = "Yan et al. 2013, CASME"
_YAN_PAPER = "Yan et al. 2014, PLOS ONE 9(1) e86041"
_BEN = "Ben et al. 2021, Video-based facial micro-expression analysis"
_QUOTED = {_DAVISON, _QU, _CASME3, _LI_25, _CASME, _YAN_PAPER, _BEN}

PUBLISHED: tuple[Published, ...] = (
    _entry("casme2", "5", "20140508", _YAN, others=99, disgust=63, happiness=32, repression=27, surprise=25),
    _entry("casme2", "3", "20140508", _YAN, negative=90, positive=32, surprise=25),
    _entry("casme2", "7", "20140508", _YAN, 26,
           others=99, disgust=63, happiness=32, repression=27, surprise=25, sadness=7, fear=2),
    _entry("casme2", "5", "20140508 updated", _UPDATED,
           others=99, disgust=64, happiness=32, repression=27, surprise=25),
    _entry("casme2", "3", "20140508 updated", _UPDATED, negative=91, positive=32, surprise=25),
    _entry("casme2", "7", "20140508 updated", _UPDATED, 26,
           others=99, disgust=64, happiness=32, repression=27, surprise=25, sadness=7, fear=2),
    _entry("casme2", "5", "the 2014 paper", _YAN_PAPER, 26,
           others=102, disgust=60, happiness=33, repression=27, surprise=25),
    _entry("casme2", "5", "20190701", _YAN_2019, others=99, disgust=63, happiness=32, repression=27, surprise=28),
    _entry("casme2", "3", "20190701", _YAN_2019, negative=90, positive=32, surprise=28),
    _entry("casme2", "7", "20190701", _YAN_2019, 26,
           others=99, disgust=63, happiness=32, repression=27, surprise=28, sadness=4, fear=2),
    _entry("casme2", "objective", "20190701", _DAVISON, I=25, II=15, III=99, IV=26, V=20),
    _entry("casme2", "objective7", "20190701", _DAVISON, 26, I=25, II=15, III=99, IV=26, V=20, VI=1, VII=69),
    _entry("samm", "5", "", _SAMM, 27, anger=57, happiness=26, other=26, surprise=15, contempt=12),
    _entry("samm", "3", "", _SEE, 28, negative=92, positive=26, surprise=15),
    _entry("samm", "7", "", _SAMM, 28, anger=57, happiness=26, surprise=15, contempt=12, disgust=9, fear=8, sadness=6),
    _entry("samm", "8", "", _SAMM, 29,
           anger=57, happiness=26, other=26, surprise=15, contempt=12, disgust=9, fear=8, sadness=6),
    _entry("samm", "objective", "", _DAVISON, I=24, II=13, III=20, IV=8, V=3),
    _entry("samm", "objective7", "", _DAVISON, 29, I=24, II=13, III=20, IV=8, V=3, VI=7, VII=84),
    _entry("smic", "3", "HS", _LI, 16, negative=70, positive=51, surprise=43),
    _entry("smic", "3", "VIS", _LI_25, 8, negative=23, positive=28, surprise=20),
    _entry("smic", "3", "NIR", _LI_25, 8, negative=23, positive=28, surprise=20),
    _entry("megc2019", "3", "", _SEE, 68, negative=250, positive=109, surprise=83),
    _entry("megc2019", "3", "casme2", _SEE, 24, negative=88, positive=32, surprise=25),
    _entry("megc2019", "3", "samm", _SEE, 28, negative=92, positive=26, surprise=15),
    _entry("megc2019", "3", "smic", _SEE, 16, negative=70, positive=51, surprise=43),
    _entry("casme", "4", "", _CASME, disgust=44, repression=38, surprise=20, tense=69),
    _entry("casme", "8", "", "the distributed sheet", total=189),
    _entry("casme_sq", "4", "micro", _QU, negative=21, positive=8, surprise=9, others=19),
    _entry("casme_sq", "3", "micro", _QU, negative=21, positive=8, surprise=9),
    _entry("casme_sq", "4", "macro", _QU, negative=95, positive=87, surprise=13, others=105),
    _entry("casme3", "7", "v2", _CASME3, 94,
           happiness=55, disgust=250, fear=86, anger=64, sadness=57, surprise=187, others=161),
    _entry("casme3", "4", "v2", _CASME3, negative=457, positive=55, surprise=187, others=161),
    _entry("casme3", "3", "v2", _CASME3, negative=457, positive=55, surprise=187),
    _entry("mmew", "7", "", _BEN, happiness=36, anger=8, surprise=89, disgust=72, fear=16, sadness=13, others=66),
    _entry("mmew", "6", "", _BEN, happiness=36, anger=8, surprise=89, disgust=72, fear=16, sadness=13),
    _entry("mmew", "4", "", _BEN, happiness=36, surprise=89, disgust=72, others=66),
    _entry("mmew", "3", "", _BEN, negative=109, positive=36, surprise=89),
    _entry("dfme", "7", "", "Zhao et al. 2023, DFME", 656, total=7526),
)  # fmt: skip


def published(database: str, class_set: str | None = None, variant: str | None = None) -> tuple[Published, ...]:
    """The published counts of a database, of one class set, of one variant; those without a variant where none fits."""
    found = tuple(p for p in PUBLISHED if p.database == database and class_set in (None, p.class_set))
    if variant is None:
        return found
    return tuple(p for p in found if p.variant == variant) or tuple(p for p in found if not p.variant)


def compare(listing: Listing, database: str) -> list[str]:
    """What was found beside what is published, a sentence each; empty where nothing is published.

    Parameters
    ----------
    listing : of `mer_pipe.datasets.list_clips`.
    database : the name it was listed by.
    """
    if not published(database):
        return []
    lines: list[str] = []
    groups: dict[tuple[str, str], list[Sample]] = {}
    for sample in listing.samples:
        class_set = sample.source.get("class_set", "")
        groups.setdefault((class_set, _variant(sample, database)), []).append(sample)
    if database == "megc2019" and groups:
        groups = {("3", ""): list(listing.samples), **dict(sorted(groups.items()))}
    for (class_set, variant), samples in groups.items():
        lines += _beside(samples, database, class_set, variant)
    if listing.excluded:
        lines.append(f"{len(listing.excluded)} annotated clips are excluded and not counted as found")
    shown = [p for class_set, variant in groups for p in published(database, class_set, variant)]
    if database != "megc2019":
        lines += [f"published for comparison: {_told(p)}" for p in published(database) if p not in shown]
    return lines


def _variant(sample: Sample, database: str) -> str:
    if sample.database != database:
        return sample.database
    source = sample.source
    return source.get("camera") or source.get("expression") or source.get("sheet_version", "")


def _beside(samples: list[Sample], database: str, class_set: str, variant: str) -> list[str]:
    counts, people = Counter(s.label for s in samples), len({(s.database, s.subject) for s in samples})
    found = f"found {len(samples)} in {len(counts)} classes, {people} subjects"
    under = f"class set {class_set}" + (f", {variant}" if variant else "")
    near = published(database, class_set, variant)
    if not near:
        return [f"{under}: {found}; no published count for this"]
    lines = []
    for entry in near:
        lines.append(f"{under}: {found}; published: {entry.total} ({_cited(entry)})")
        differ = [
            f"{label} {counts[label]} instead of {entry.counts.get(label, 0)}"
            for label in sorted({*entry.counts, *counts})
            if entry.counts and counts[label] != entry.counts.get(label, 0)
        ]
        if entry.subjects is not None and people != entry.subjects:
            differ.append(f"{people} subjects instead of {entry.subjects}")
        if differ:
            lines.append(f"{under}: differs in {', '.join(differ)}")
    if all(entry.counts != dict(counts) for entry in near):
        lines += [
            f"{under}: these are the counts published with {entry.variant or 'this class set'} ({_cited(entry)})"
            for entry in published(database, class_set)
            if entry.counts == dict(counts)
        ]
    return lines


def _cited(entry: Published) -> str:
    return entry.source if entry.checked else f"{entry.source}; as quoted, not checked"


def _told(entry: Published) -> str:
    classes = ", ".join(f"{label} {count}" for label, count in entry.counts.items())
    variant = f" with {entry.variant}" if entry.variant else ""
    return f"{entry.total} in class set {entry.class_set}{variant}{f' ({classes})' if classes else ''}, {_cited(entry)}"
