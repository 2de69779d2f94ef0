"""Published counts add up, and a listing is told beside them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from mer_pipe.datasets import ADAPTERS, list_clips
from mer_pipe.datasets.classes import CLASS_SETS, class_map
from mer_pipe.datasets.published import PUBLISHED, compare, published
from tests.datasets.conftest import row_2014, write_clip, write_sheet


@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda e: f"{e.database}-{e.class_set}-{e.variant}")
def test_every_count_is_of_a_known_class_set_and_adds_up(entry):
    assert entry.database in ADAPTERS
    labels = set(class_map(entry.database, entry.class_set).values())
    assert set(entry.counts) <= labels
    assert entry.total == sum(entry.counts.values()) or not entry.counts
    assert entry.total > 0
    assert entry.source


@pytest.mark.parametrize(
    ("database", "class_set", "variant", "total"),
    [
        ("casme2", "5", "20140508", 246),
        ("casme2", "5", "20190701", 249),
        ("casme2", "5", "20140508 updated", 247),
        ("casme2", "7", "20140508", 255),
        ("samm", "5", "", 136),
        ("samm", "8", "", 159),
        ("smic", "3", "HS", 164),
        ("megc2019", "3", "", 442),
        ("casme3", "7", "v2", 860),
        ("mmew", "7", "", 300),
    ],
)
def test_the_totals_are_those_everybody_quotes(database, class_set, variant, total):
    (entry,) = [p for p in published(database, class_set, variant) if p.variant == variant]
    assert entry.total == total


def test_the_class_maps_lead_from_one_count_to_the_other():
    for database, variant in (
        ("casme2", "20140508"),
        ("casme2", "20190701"),
        ("samm", ""),
        ("casme3", "v2"),
        ("mmew", ""),
    ):
        widest = max(published(database, None, variant), key=lambda p: (p.total, p.class_set == "8"))
        for class_set in CLASS_SETS[database]:
            entries = [p for p in published(database, class_set, variant) if p.variant == variant]
            if class_set.startswith("objective") or widest.class_set.startswith("objective") or not entries:
                continue
            mapped = Counter()
            for emotion, count in widest.counts.items():
                label = class_map(database, class_set).get(emotion)
                if label:
                    mapped[label] += count
            assert dict(mapped) == dict(entries[0].counts), (database, class_set)


def test_counts_that_are_only_quoted_say_so(casme2_root):
    lines = compare(list_clips("casme2", casme2_root), "casme2")
    quoted = [line for line in lines if "class set objective " in line]
    assert len(quoted) == 1
    assert quoted[0].endswith("as quoted, not checked")
    assert not any("as quoted" in line for line in lines if "class set 5 with 20190701" in line)


def test_the_composite_is_the_sum_of_its_databases():
    parts = [published("megc2019", "3", name)[-1] for name in ("casme2", "samm", "smic")]
    whole = published("megc2019", "3", "")[0]
    assert sum((Counter(p.counts) for p in parts), Counter()) == Counter(whole.counts)
    assert sum(p.subjects for p in parts) == whole.subjects == 68


def whole_casme2(root):
    counts = published("casme2", "7", "20140508")[0].counts
    rows, at = [], 0
    for emotion, count in counts.items():
        for _ in range(count):
            subject, at = at % 26 + 1, at + 1
            rows.append(row_2014(subject, f"EP{at:03d}_01", 1, 2, 3, emotion))
    for subject, clip, *_ in rows:
        folder = root / "CASME2_RAW_selected" / f"sub{subject:02d}" / clip
        folder.mkdir(parents=True)
        for number in (1, 2, 3):
            (folder / f"img{number}.jpg").touch()
    write_sheet(root / "CASME2-coding-20140508.xlsx", rows)
    return root


def test_a_whole_database_is_told_beside_what_is_published(tmp_path):
    listing = list_clips("casme2", whole_casme2(tmp_path))
    lines = compare(listing, "casme2")
    assert lines[0] == (
        "class set 5, 20140508: found 246 in 5 classes, 26 subjects; published: 246 (CASME2-coding-20140508.xlsx)"
    )
    assert not any("differs" in line for line in lines)
    assert not any("246" in line for line in lines[1:])
    assert len(lines) == len(set(lines))
    assert "9 annotated clips are excluded and not counted as found" in lines
    assert any("249 in class set 5 with 20190701" in line for line in lines)
    fewer = replace(listing, samples=[s for s in listing.samples if s.label != "surprise"][:-1])
    differs = next(line for line in compare(fewer, "casme2") if "differs" in line)
    assert "surprise 0 instead of 25" in differs
    later = replace(listing, samples=[*listing.samples, *(s for s in listing.samples if s.label == "surprise")][:249])
    assert any("these are the counts published with 20190701" in line for line in compare(later, "casme2"))


def test_an_unpublished_database_and_an_empty_listing_say_so(casme2_root, tmp_path):
    write_clip(tmp_path / "mine" / "anna" / "smile", range(5))
    assert compare(list_clips("folder", tmp_path / "mine", apex_policy="middle"), "folder") == []
    empty = replace(list_clips("casme2", casme2_root), samples=())
    assert all(line.startswith("published for comparison") for line in compare(empty, "casme2"))
