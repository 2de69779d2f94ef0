"""Which emotions make which classes: the class sets that the papers use, as data.

A class set maps what a cell of the sheet holds (in lower case) to a label. Sets called "objective..." map the column of
objective classes, all others the column of emotions (`label_column`).
"""

from __future__ import annotations

from collections.abc import Mapping

from mer_pipe.datasets.sheets import suggest
from mer_pipe.types import DatasetError

_ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII")


def _same(*emotions: str) -> dict[str, str]:
    return {emotion: emotion for emotion in emotions}


def _objective(last: int) -> dict[str, str]:
    """Classes I to `last`, written as Roman or as Arabic numbers."""
    return {form: roman for n, roman in enumerate(_ROMAN[:last], 1) for form in (roman.lower(), str(n))}


def _valence(positive: str, surprise: str, *negative: str) -> dict[str, str]:
    return {positive: "positive", surprise: "surprise", **dict.fromkeys(negative, "negative")}


_CASME3_SEVEN = {
    "happy": "happiness",
    "happiness": "happiness",
    "disgust": "disgust",
    "fear": "fear",
    "anger": "anger",
    "sad": "sadness",
    "sadness": "sadness",
    "surprise": "surprise",
    "others": "others",
    "other": "others",
}
# Part C's sheet was not seen: should its emotions be valences already, these sets read them too.
_CASME3_THREE = {
    **_valence("happy", "surprise", "disgust", "fear", "anger", "sad"),
    **_same("positive", "negative"),
    "happiness": "positive",
    "sadness": "negative",
}

CLASS_SETS: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "casme2": {
        # The five classes of the single-database papers: 246 clips of the 2014 sheet.
        "5": _same("happiness", "disgust", "repression", "surprise", "others"),
        # The composite evaluation's map (MEGC 2019); its clip list additionally leaves two clips out.
        "3": _valence("happiness", "surprise", "disgust", "repression"),
        # Every emotion of the sheet.
        "7": _same("happiness", "disgust", "repression", "surprise", "others", "sadness", "fear"),
        # Davison et al. 2018; the composite of MEGC 2018 keeps classes I to V.
        "objective": _objective(5),
        "objective7": _objective(7),
    },
    "samm": {
        "5": {**_same("anger", "happiness", "contempt", "surprise", "other"), "others": "other"},
        # MEGC 2019; "other" is dropped.
        "3": _valence("happiness", "surprise", "anger", "contempt", "disgust", "fear", "sadness"),
        "7": _same("anger", "happiness", "contempt", "surprise", "disgust", "fear", "sadness"),
        # Every emotion of the sheet.
        "8": {
            **_same("anger", "happiness", "contempt", "surprise", "disgust", "fear", "sadness", "other"),
            "others": "other",
        },
        "objective": _objective(5),
        "objective7": _objective(7),
    },
    "smic": {"3": _same("negative", "positive", "surprise")},
    # The list's own labels.
    "megc2019": {"3": {"0": "negative", "1": "positive", "2": "surprise", **_same("negative", "positive", "surprise")}},
    "casme": {
        "4": _same("disgust", "repression", "surprise", "tense"),
        "8": _same("disgust", "repression", "surprise", "tense", "happiness", "sadness", "fear", "contempt"),
    },
    # CAS(ME)^2's emotion column is a valence already; its 57 micro-expressions have these four.
    "casme_sq": {
        "4": _same("positive", "negative", "surprise", "others"),
        "3": _same("positive", "negative", "surprise"),
    },
    "casme3": {
        "7": _CASME3_SEVEN,
        "4": {**_CASME3_THREE, "others": "others", "other": "others"},
        "3": _CASME3_THREE,
        "objective": _objective(5),
        "objective7": _objective(7),
    },
    "mmew": {
        "7": {
            **_same("happiness", "anger", "surprise", "disgust", "fear", "sadness", "others"),
            "other": "others",
        },
        "6": _same("happiness", "anger", "surprise", "disgust", "fear", "sadness"),
        "4": {**_same("happiness", "surprise", "disgust", "others"), "other": "others"},
        "3": _valence("happiness", "surprise", "anger", "disgust", "fear", "sadness"),
    },
    # Clips of two emotions at once ("Negative+Repression") are in neither set.
    "4dme": {
        "5": _same("positive", "negative", "surprise", "repression", "others"),
        "3": _same("positive", "negative", "surprise"),
    },
    "dfme": {
        "7": _same("happiness", "anger", "contempt", "disgust", "fear", "sadness", "surprise"),
        "3": _valence("happiness", "surprise", "anger", "contempt", "disgust", "fear", "sadness"),
    },
}


def class_map(database: str, class_set: str) -> Mapping[str, str]:
    """The map cell (lower case) -> class label of a class set; raises DatasetError for an unknown set."""
    sets = CLASS_SETS[database]
    name = str(class_set)
    if name not in sets:
        raise DatasetError(f"{database} has no class set {name!r}", suggest(name, tuple(sets)))
    return sets[name]


def label_column(class_set: str) -> str:
    """Which column a class set maps: "objective" or "emotion"."""
    return "objective" if str(class_set).startswith("objective") else "emotion"
