"""What a store holds, told from its metadata and coordinates alone; `clip_strip` and `clip_facts` show one clip of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mer_pipe.report.clips import clip_facts, clip_strip
from mer_pipe.report.one_clip import in_order
from mer_pipe.report.warnings import ClipWarning, clip_warnings, head_told
from mer_pipe.store.open import read_facts

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mer_pipe.report.one_stage import StageFacts


@dataclass(frozen=True)
class StoredArray:
    """One array of a store.

    Attributes
    ----------
    path : group and name.
    axes : size of each axis by name, clips first.
    grid : values of the axes that have some (AFs, marks, frames).
    dtype, units, about : as the store tells them.
    bytes : on the disk.
    systems : the published systems that read it.
    stage, version : what made it.
    """

    path: str
    axes: dict[str, int]
    grid: dict[str, list]
    dtype: str
    units: str
    about: str
    bytes: int
    systems: tuple[str, ...]
    stage: str
    version: int | None


@dataclass(frozen=True)
class Overview:
    """A store at a glance.

    Attributes
    ----------
    path : as it was given.
    database, recipe : names.
    differs : values of the recipe other than the default's, by dotted name; None where no default was given.
    models : digest of each model file in the recipe, by dotted name.
    random_weights : "random:SEED" when the store holds features of an untrained network; else "".
    systems : the published systems that the store serves.
    clips : how many there are.
    classes, subjects : clips of each; the class "" is outside the class set.
    excluded, failed : the clips that are not in the store: id, stage, reason, fix.
    repaired : clips whose annotation was corrected or guessed.
    warnings : clips to look at, see `clip_warnings`.
    head : how far heads move from onset to apex, a sentence; "" where it was not measured.
    arrays : see `StoredArray`.
    bytes : size of the whole store.
    notes : what the adapter told of the database.
    mer_pipe, format_version, libraries : versions that made the store.
    """

    path: str
    database: str
    recipe: str
    differs: dict[str, Any] | None
    models: dict[str, str]
    random_weights: str
    systems: tuple[str, ...]
    clips: int
    classes: dict[str, int]
    subjects: dict[str, int]
    excluded: tuple[dict[str, str], ...]
    failed: tuple[dict[str, str], ...]
    repaired: int
    warnings: tuple[ClipWarning, ...]
    head: str
    arrays: tuple[StoredArray, ...]
    bytes: int
    notes: tuple[str, ...]
    mer_pipe: str
    format_version: int
    libraries: dict[str, str]


def overview(store_path: str | Path, default: Mapping[str, Any] | None = None) -> Overview:
    """Read a store's metadata and coordinates; of its arrays only the small measures that warnings are made of.

    Parameters
    ----------
    store_path : a published store.
    default : the recipe to compare with, as plain values (the form of the store's own).

    Raises
    ------
    StoreError : there is no store, or it is damaged.
    """
    import zarr

    facts = read_facts(store_path)
    root = zarr.open_group(str(store_path), mode="r", zarr_format=3)
    columns = {name: root[name][:].tolist() for name in ("label", "subject", "repairs", "database") if name in root}
    clips = int(root["sample"].shape[0])
    sizes = {name: int(size) for name, (size, _) in facts["files"].items()}
    arrays = tuple(_arrays(root, sizes))
    recipe = facts.get("recipe", {})
    recipe = recipe if isinstance(recipe, Mapping) else {"name": str(recipe)}
    values = _flat(recipe)
    weights = str(values.get("features.weights", ""))
    has_features = any(array.stage == "features" for array in arrays)
    return Overview(
        path=str(store_path),
        database=facts.get("database") or ", ".join(sorted(set(columns.get("database", ())))),
        recipe=str(recipe.get("name", "")),
        differs=None if default is None else _unlike(values, _flat(default)),
        models={name: value for name, value in values.items() if _is_digest(value)},
        random_weights=weights if has_features and weights.startswith("random:") else "",
        systems=tuple(recipe.get("systems", ())) or tuple(dict.fromkeys(s for array in arrays for s in array.systems)),
        clips=clips,
        classes=dict(sorted(Counter(columns.get("label", ())).items(), key=lambda item: (not item[0], -item[1], item))),
        subjects=dict(sorted(Counter(columns.get("subject", ())).items())),
        excluded=tuple(_missing(entry) for entry in facts.get("excluded", ())),
        failed=tuple(_missing(entry) for entry in facts.get("failed", ())),
        repaired=sum(1 for text in columns.get("repairs", ()) if text),
        warnings=clip_warnings(root, recipe),
        head=head_told(root),
        arrays=arrays,
        bytes=sum(sizes.values()) + (Path(store_path) / "zarr.json").stat().st_size,
        notes=tuple(facts.get("notes", ())),
        mer_pipe=facts["mer_pipe"],
        format_version=facts["format_version"],
        libraries=dict(facts["libraries"]),
    )


def as_json(seen: Overview | StageFacts) -> dict[str, Any]:
    """The overview, or what is told of one stage, as plain JSON values."""
    return asdict(seen) | {"arrays": [asdict(array) for array in seen.arrays]}


def render(seen: Overview, libraries: bool = False) -> RenderableType:
    """The overview for a terminal; `libraries` adds the versions that made the store."""
    from mer_pipe.report.terminal import overview_table

    return overview_table(seen, libraries)


def render_clip(facts: Mapping[str, Any]) -> RenderableType:
    """What `clip_facts` found, for a terminal."""
    from mer_pipe.report.terminal import clip_table

    return clip_table(facts)


def stage_facts(store_path: str | Path, stage: str) -> StageFacts:
    """One stage over all clips, see `mer_pipe.report.one_stage.stage_facts`."""
    from mer_pipe.report import one_stage

    return one_stage.stage_facts(store_path, stage)


def render_stage(facts: StageFacts) -> RenderableType:
    """What `stage_facts` found, for a terminal."""
    from mer_pipe.report.terminal import stage_table

    return stage_table(facts)


def _arrays(root: Any, sizes: Mapping[str, int]) -> Iterator[StoredArray]:
    groups = dict(root.groups())
    for name in in_order(groups):
        members = dict(groups[name].arrays())
        axes = {key: array for key, array in members.items() if array.metadata.dimension_names == (key,)}
        for key in sorted(set(members) - set(axes)):
            array, path = members[key], f"{name}/{key}"
            told = dict(array.attrs)
            dims = [str(dim) for dim in array.metadata.dimension_names]
            yield StoredArray(
                path=path,
                axes=dict(zip(dims, array.shape, strict=True)),
                grid={dim: axes[dim][:].tolist() for dim in dims if dim in axes},
                dtype=str(array.dtype),
                units=str(told.get("units", "")),
                about=str(told.get("long_name", "")),
                bytes=sum(size for file, size in sizes.items() if file.startswith(path + "/")),
                systems=tuple(told.get("systems", ())),
                stage=str(told.get("stage", "")),
                version=told.get("stage_version"),
            )


def _missing(entry: Mapping[str, str]) -> dict[str, str]:
    return {
        "id": entry.get("id") or entry.get("sample", ""),
        "stage": entry.get("stage", ""),
        "reason": entry["reason"],
        "fix": entry.get("fix", ""),
    }


def _flat(recipe: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in recipe.items():
        full = f"{path}.{key}" if path else str(key)
        flat |= _flat(value, full) if isinstance(value, Mapping) else {full: value}
    return flat


def _unlike(values: Mapping[str, Any], default: Mapping[str, Any]) -> dict[str, Any]:
    """What differs; a model file that the default names by nothing but its digest is told under `models`."""
    return {
        name: value
        for name, value in values.items()
        if name != "name" and value != default.get(name) and not _is_digest(value)
    }


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("sha256:", "random:"))


__all__ = [
    "Overview",
    "StoredArray",
    "as_json",
    "clip_facts",
    "clip_strip",
    "overview",
    "render",
    "render_clip",
    "render_stage",
    "stage_facts",
]
