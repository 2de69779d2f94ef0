"""Write a report: a folder of small pages, or one file; it appears whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mer_pipe.report.page.clip import article
from mer_pipe.report.page.data import Clip, ClipArrays, Source, read_source
from mer_pipe.report.page.drift import Drift, compare
from mer_pipe.report.page.html import Markup, h, joined, static
from mer_pipe.report.page.index import index
from mer_pipe.report.page.media import Look, compressed, data_uri, suffix
from mer_pipe.report.page.sheet import Card
from mer_pipe.report.page.shell import GENERATOR, SCRIPTS, document, key_list, style_sheet
from mer_pipe.report.page.thumbs import CELL, thumbnail
from mer_pipe.store.durable import cannot_write, replace_folder, temporary_name, write_file
from mer_pipe.types import StoreError


def write_report(
    store: str | Path,
    out: str | Path,
    *,
    single_file: bool = False,
    shareable: bool = False,
    against: str | Path | None = None,
    default: Mapping[str, Any] | None = None,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Write the report of a store. The store is only read; the same store gives the same bytes.

    Parameters
    ----------
    store : a published store.
    out : the report's folder, or its file with `single_file`. An older report there is replaced; nothing else ever is.
    single_file : everything in one HTML file, with smaller pictures.
    shareable : without pictures in which a face can be seen; flow and strain averaged over 32 x 32 cells.
    against : another store, to tell what changed clip by clip.
    default : the recipe to tell differences from, as plain values (the form of the store's own).
    tick : called with clips done and in total.

    Returns
    -------
    The page to open.

    Raises
    ------
    StoreError : a store is not there, cut short, or its list of clips damaged; `out` is something else than a report, or
        cannot be written. A damaged array is no error: the report shows it as a hole.
    """
    out = Path(out)
    _check_place(out, Path(store), single_file)
    source = read_source(store, default)
    drift = compare(store, against) if against else None
    look = Look.of(single_file, shareable)
    if single_file:
        cards, articles = [], []
        for clip, arrays, changes in _each(source, drift, tick):
            text = article(arrays, clip, look, changes)
            cards.append(_card(source, clip, arrays, look, changes, f"#clip/{clip.name}", data_uri))
            # A script of an unknown type is kept as text: nothing of it is parsed or decoded before it is looked at.
            articles.append(Markup(f'<script type="text/x-clip" id="clip/{clip.name}">{text}</script>'))
        body = joined([index(source, cards, look, drift), h("div", id="clip", hidden=True)])
        page = document(_title(source), body, joined(articles), single=True)
        write_file(out, page.encode())
        return out
    work = out.parent / temporary_name(out.name)
    try:
        _write_folder(work, source, look, drift, tick)
        if out.is_dir() and not any(out.iterdir()):
            out.rmdir()
        replace_folder(work, out)
    except OSError as error:
        raise cannot_write(error, out) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return out / "index.html"


def _write_folder(
    work: Path, source: Source, look: Look, drift: Drift | None, tick: Callable[[int, int], None]
) -> None:
    for folder in ("assets", "clips", "thumbs"):
        (work / folder).mkdir(parents=True)
    for name, text in (("report.css", style_sheet()), *((name, static(name)) for name in SCRIPTS)):
        (work / "assets" / name).write_text(text, encoding="utf-8")
    cards = []
    for clip, arrays, changes in _each(source, drift, tick):

        def keep(data: bytes, clip: Clip = clip) -> str:
            name = f"thumbs/{clip.name}.{suffix(data)}"
            (work / name).write_bytes(data)
            return name

        body = joined([_around(source, clip), h("main", article(arrays, clip, look, changes)), key_list()])
        page = document(f"{clip.short} · {_title(source)}", body, up="../")
        (work / "clips" / f"{clip.name}.html").write_text(page, encoding="utf-8")
        cards.append(_card(source, clip, arrays, look, changes, f"clips/{clip.name}.html", keep))
    (work / "index.html").write_text(document(_title(source), index(source, cards, look, drift)), encoding="utf-8")


def _each(source: Source, drift: Drift | None, tick: Callable[[int, int], None]) -> Any:
    for clip in source.clips:
        changes = [change.what for change in drift.clips.get(clip.id, ())] if drift else []
        yield clip, source.arrays(clip), changes
        tick(clip.row + 1, len(source.clips))


def _card(
    source: Source,
    clip: Clip,
    arrays: ClipArrays,
    look: Look,
    changes: Sequence[str],
    link: str,
    keep: Callable[[bytes], str],
) -> Card:
    drawn = thumbnail(source, arrays, look)
    strip = (
        np.concatenate([picture for _, picture, _ in drawn], axis=1)
        if drawn
        else np.full((CELL, CELL, 3), 128, np.uint8)
    )
    alt = f"{clip.short}: " + ", ".join(name for name, _, _ in drawn)
    image = h("img", src=keep(compressed(strip, 60 if look.single else 72)), alt=alt, width=strip.shape[1],
              height=strip.shape[0], loading="lazy", decoding="async")  # fmt: skip
    words = dict.fromkeys(flag.word for flag in clip.flags)
    words |= {"hole": None} if arrays.holes else {}
    words |= {"changed": None} if changes else {}
    return Card(clip, image, [(f"{name}: hole" if bad else name, bad) for name, _, bad in drawn], link, tuple(words))


def _title(source: Source) -> str:
    return f"{source.seen.database or source.path.name}: {source.seen.clips} clips"


def _check_place(out: Path, store: Path, single: bool) -> None:
    """Raise StoreError unless a report may be written at `out`."""
    if out.resolve() == store.resolve() or store.resolve() in out.resolve().parents:
        raise StoreError(
            f"{out} is inside the store, which a report never changes", "choose another place for the report"
        )
    if not out.exists():
        return
    if single != out.is_file():
        raise StoreError(f"{out} is {'no file' if single else 'no folder'}", "choose another place for the report")
    page = out if single else out / "index.html"
    empty = out.stat().st_size == 0 if single else not any(out.iterdir())
    if not empty:
        try:
            with page.open("rb") as file:
                ours = f'content="{GENERATOR}"'.encode() in file.read(4096)
        except OSError:
            ours = False
        if not ours:
            raise StoreError(f"{out} exists and is not a report", "choose another place, or remove it")


def _around(source: Source, clip: Clip) -> Markup:
    """Where a clip's page leads: to the sheet, to the clip before and to the one after."""
    near = {"prev": clip.row - 1, "next": clip.row + 1}
    links = [
        h("a", "‹ " if rel == "prev" else "", source.clips[row].short, " ›" if rel == "next" else "", rel=rel,
          href=f"{source.clips[row].name}.html")
        for rel, row in near.items() if 0 <= row < len(source.clips)
    ]  # fmt: skip
    return h("nav", h("a", "contact sheet", rel="up", href="../index.html#contact"), links, class_="around")
