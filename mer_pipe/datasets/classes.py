"""Which emotions make which classes: the class sets that the papers use, as data."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from mer_pipe.types import DatasetError

CLASS_SETS: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "casme2": {
        # The five classes of the single-database papers: 246 clips of the 2014 sheet.
        "5": {
            "happiness": "happiness",
            "disgust": "disgust",
            "repression": "repression",
            "surprise": "surprise",
            "others": "others",
        },
        # The composite evaluation's map (MEGC 2019); its clip list additionally leaves two clips out.
        "3": {
            "happiness": "positive",
            "surprise": "surprise",
            "disgust": "negative",
            "repression": "negative",
        },
        # Every emotion of the sheet.
        "7": {
            "happiness": "happiness",
            "disgust": "disgust",
            "repression": "repression",
            "surprise": "surprise",
            "others": "others",
            "sadness": "sadness",
            "fear": "fear",
        },
    },
}


def class_map(database: str, class_set: str) -> Mapping[str, str]:
    """The map emotion (lower case) -> class label of a class set; raises DatasetError for an unknown set."""
    sets = CLASS_SETS[database]
    name = str(class_set)
    if name not in sets:
        near = difflib.get_close_matches(name, sets, 1)
        fix = f"Did you mean {near[0]}?" if near else f"Use one of {', '.join(sets)}."
        raise DatasetError(f"{database} has no class set {name!r}", fix)
    return sets[name]
