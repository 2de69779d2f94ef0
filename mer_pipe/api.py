"""What the command line does, from Python: prepare a build, plan it, run it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mer_pipe import datasets
from mer_pipe.pipeline.build import Built
from mer_pipe.pipeline.build import build as run_build
from mer_pipe.pipeline.events import Observer
from mer_pipe.pipeline.executors import Executor, serial
from mer_pipe.pipeline.explain import reasons
from mer_pipe.pipeline.plan import Plan, make_plan
from mer_pipe.recipes import Models, Recipe, find_models, plain, read_recipe, wire, with_values
from mer_pipe.recipes.recipe import AlignRecipe, FeaturesRecipe
from mer_pipe.recipes.wiring import magnifier
from mer_pipe.stages.magnify.learned import SHIPPED
from mer_pipe.store.cache import Cache
from mer_pipe.store.journal import Journal
from mer_pipe.store.ledger import Ledger
from mer_pipe.types import DatasetError, Listing, MerError, RecipeError, Sample, StoreError

if TYPE_CHECKING:
    from mer_pipe.report.compare import Comparison, Pair, Side


@dataclass(frozen=True)
class Request:
    """One build as it was asked for.

    Attributes
    ----------
    database : name of the adapter.
    root : folder of the database; None where the adapter needs none.
    store : where the store is published.
    cache : the cache folder.
    recipe : how.
    landmarker : path of the face landmark model; None to look for it.
    limit : build only the first clips, in order of id; None for all.
    """

    database: str
    root: Path | None
    store: Path
    cache: Path
    recipe: Recipe
    landmarker: str | None = None
    limit: int | None = None


@dataclass(frozen=True)
class Prepared:
    """A request with its plan, and what the store will tell of itself."""

    request: Request
    plan: Plan
    models: Models
    facts: dict[str, Any]
    notes: tuple[str, ...]
    bytes_read: int


def default_cache() -> Path:
    """$MERPIPE_CACHE, else mer-pipe in the user's cache folder."""
    if own := os.environ.get("MERPIPE_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "mer-pipe"


def make_request(
    database: str,
    root: str | Path | None = None,
    *,
    store: str | Path | None = None,
    cache: str | Path | None = None,
    recipe: str | Recipe | None = None,
    values: dict[str, Any] | None = None,
    only: tuple[str, ...] = (),
    landmarker: str | None = None,
    limit: int | None = None,
) -> Request:
    """Fill in the defaults of a build.

    Parameters
    ----------
    recipe : a Recipe, the name of a built-in one, or a YAML file; None takes "demo" for the demo database, else "default".
    values : recipe values to replace, by dotted name.
    only : build what these published systems need; () for all of the recipe's.
    others : as `Request`.

    Raises
    ------
    RecipeError, DatasetError : an unknown name or a value that cannot be read.
    """
    datasets.adapter_of(database)
    if recipe is None:
        recipe = "demo" if database == "demo" else "default"
    chosen = read_recipe(recipe) if isinstance(recipe, str) else recipe
    chosen = with_values(chosen, {**(values or {}), **({"systems": only} if only else {})})
    chosen = replace(chosen, dataset=_options(database, chosen.dataset))
    return Request(
        database,
        None if root is None else Path(root).expanduser(),
        Path(store).expanduser() if store else Path(f"{database}.zarr"),
        Path(cache).expanduser() if cache else default_cache(),
        chosen,
        landmarker,
        limit,
    )


def list_clips(request: Request) -> Listing:
    """The clips that a request is about.

    Raises
    ------
    DatasetError : the database's folder or sheet cannot be used.
    """
    return datasets.list_clips(request.database, request.root, **request.recipe.dataset)


def prepare(request: Request, tick: Callable[[int, int], None] = lambda done, total: None) -> Prepared:
    """List the database, find the models and plan the build; reads frame files (to digest new ones) but no pixel.

    Parameters
    ----------
    tick : called with clips planned and in total.

    Raises
    ------
    MerError : the database, the recipe or a model cannot be used.
    """
    listing = list_clips(request)
    models = find_models(request.recipe, request.landmarker)
    samples = sorted(listing.samples, key=lambda s: s.id)[: request.limit]
    if not samples:
        why = f": {listing.excluded[0].id}: {listing.excluded[0].reason}" if listing.excluded else ""
        raise DatasetError(
            f"{request.database} has no clip to build, {len(listing.excluded)} are excluded{why}",
            f"see mer-pipe datasets show {request.database}",
        )
    ledger = Ledger(request.cache)
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        tick(done, len(samples))

    def frame_digest(sample: Sample, position: int) -> str:
        return ledger.digest(sample.frames, position)

    plan = make_plan(
        samples,
        partial(wire, request.recipe, models),
        frame_digest,
        Cache(request.cache).has,
        listing.excluded,
        count,
    )
    ledger.save()
    facts = {
        "database": request.database,
        "recipe": plain(request.recipe, models),
        "notes": [note for note in listing.notes if str(request.root) not in note],
    }
    return Prepared(request, plan, models, facts, listing.notes, ledger.bytes_read)


def build(prepared: Prepared, executor: Executor = serial, tell: Observer = lambda event: None) -> Built:
    """Run a prepared build and publish its store.

    Raises
    ------
    MerError : the cache or the store cannot be written, a shared model cannot be used, or no clip could be finished.
    """
    from mer_pipe.datasets.frames import load

    request = prepared.request
    if prepared.plan.missing:
        _check_weights(prepared.models)
    return run_build(prepared.plan, request.cache, request.store, executor, load, prepared.facts, tell)


def _check_weights(models: Models) -> None:
    """Open the checkpoints before any work is done: a file that cannot be used would stop the build half way."""
    from mer_pipe.stages.weights import load_state

    for weights in (models.magnifier, models.features):
        if weights is not None and weights.path is not None:
            load_state(weights)


def status(prepared: Prepared) -> dict[str, Any]:
    """What a build would make: plain JSON, `up_to_date` True when nothing, the store included."""
    from mer_pipe.store.open import read_facts

    plan = prepared.plan
    try:
        published = read_facts(prepared.request.store)
    except StoreError as error:
        store = error.message
    else:
        same = published.get("contents") == plan.contents() and not published.get("failed")
        store = "up to date" if same else "of another build"
    total = plan.total
    stages = {name: {"missing": plan.missing.get(name, 0), "total": count} for name, count in total.items()}
    return {
        "clips": len(plan.clips),
        "complete": sum(not clip.missing for clip in plan.clips),
        "excluded": [{"id": e.id, "reason": e.reason, "fix": e.fix} for e in plan.excluded],
        "failed": [str(failure) for failure in plan.failed],
        "stages": stages,
        "store": store,
        "up_to_date": store == "up to date" and not plan.missing and not plan.failed,
    }


def explain(prepared: Prepared) -> dict[str, dict[str, str]]:
    """For each clip with something to make: cell name -> the reason."""
    cache = Cache(prepared.request.cache)
    journal = Journal(prepared.request.cache, prepared.request.store)
    return {
        clip.sample.id: reasons(clip.graph, clip.missing, journal.read_any(clip.sample.id), cache.document)
        for clip in prepared.plan.clips
        if clip.missing
    }


def compare_recipes(
    store: str | Path, clip: str, first: str, second: str, af: tuple[float, ...] | None = None
) -> Comparison:
    """Magnify one clip of a store in two ways and measure both, from its aligned onset and apex alone.

    Parameters
    ----------
    first, second : each a built-in recipe, a YAML file, "magnify.KEY=VALUE ..." to change the store's own recipe, another
        store (what it holds of this clip), or "stored" (what this store holds).
    af : factors; up to six of those that are stored when None.

    Raises
    ------
    MerError : the store, the clip, a recipe, its checkpoint or a stored AF is not there.
    """
    from mer_pipe.report import compare
    from mer_pipe.stages.flow import tvl1

    own = compare.read_pair(store, clip)
    pairs = {text: compare.read_pair(text, own.id) for text in (first, second) if Path(text).is_dir()} | {"stored": own}
    grids = [pair.stored for pair in pairs.values() if pair.stored] or [Recipe().mrn.af]
    af = af or compare.few([a for a in grids[0] if all(a in grid for grid in grids)])
    sides = [
        pairs[text].stored_side(text, af) if text in pairs else _magnified(own, text, af) for text in (first, second)
    ]
    return compare.compared(own.title, af, *sides, tvl1)


def _magnified(pair: Pair, text: str, af: tuple[float, ...]) -> Side:
    from mer_pipe.report.compare import Side

    if "=" in text:
        values = dict(part.partition("=")[::2] for part in text.split())
        if wrong := [key for key in values if not key.startswith("magnify.")]:
            raise RecipeError(f"{wrong[0]!r} does not change a magnifier", "write it as magnify.method=eulerian")
        recipe = with_values(with_values(Recipe(), {"magnify": pair.recipe.get("magnify", {})}), values)
    else:
        recipe = read_recipe(text)
    weights = recipe.magnify.weights
    if recipe.magnify.method == "learned" and weights.startswith("sha256:") and weights != SHIPPED:
        raise RecipeError(
            "the learned magnifier needs its checkpoint; a store keeps its digest", "add magnify.weights=FILE"
        )
    # Nothing but the magnifier is run, so no other model is looked for.
    models = find_models(replace(recipe, align=AlignRecipe(method="none"), features=FeaturesRecipe()))
    stage = magnifier(recipe.magnify, models)
    images = stage(reference=pair.onset, target=pair.apex, af=af)["image"]
    return Side(text if "=" in text else f"{text} ({stage.name})", pair.onset, pair.apex, images)


def _options(database: str, given: Any) -> dict[str, Any]:
    """The dataset section with text read as the adapter's own types."""
    known = datasets.options_of(database)
    read = {}
    for name, value in given.items():
        default = known.get(name)
        try:
            if isinstance(value, str) and isinstance(default, tuple):
                value = tuple(type(default[0])(part) for part in value.replace("..", ",").split(","))
            elif isinstance(value, str | int) and isinstance(default, int | float) and not isinstance(default, bool):
                value = type(default)(value)
            elif isinstance(default, str):
                value = str(value)
        except ValueError:
            raise MerError(f"dataset.{name}={value!r} is not like its default {default!r}") from None
        read[name] = tuple(value) if isinstance(value, list) else value
    return read
