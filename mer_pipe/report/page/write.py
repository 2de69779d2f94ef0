"""Write a report: a folder of small pages, or one file; it appears whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mer_pipe.report.page.clip import article
from mer_pipe.report.page.data import Clip, Source, read_source
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
        made = list(_made(source, look, drift, tick))
        cards = [_card(page, f"#clip/{page.clip.name}", data_uri(page.thumbnail)) for page in made]
        # A script of an unknown type is kept as text: nothing of it is parsed or decoded before it is looked at.
        kept = [
            Markup(f'<script type="text/x-clip" id="clip/{page.clip.name}">{page.article}</script>') for page in made
        ]
        body = joined([index(source, cards, look, drift), h("div", id="clip", hidden=True)])
        write_file(out, document(_title(source), body, joined(kept), single=True).encode())
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
    for page in _made(source, look, drift, tick):
        name = page.clip.name
        body = joined([_around(source, page.clip), h("main", page.article), key_list()])
        text = document(f"{page.clip.short} · {_title(source)}", body, up="../")
        (work / "clips" / f"{name}.html").write_text(text, encoding="utf-8")
        thumb = f"thumbs/{name}.{suffix(page.thumbnail)}"
        (work / thumb).write_bytes(page.thumbnail)
        cards.append(_card(page, f"clips/{name}.html", thumb))
    (work / "index.html").write_text(document(_title(source), index(source, cards, look, drift)), encoding="utf-8")


@dataclass(frozen=True)
class _Made:
    """A clip as a report shows it: its article, its thumbnail's bytes and cells, the words of its flags."""

    clip: Clip
    article: Markup
    thumbnail: bytes
    cells: tuple[tuple[str, bool], ...]
    words: tuple[str, ...]


def _made(source: Source, look: Look, drift: Drift | None, tick: Callable[[int, int], None]) -> Iterator[_Made]:
    """All clips in order. Compressing pictures is most of the work and leaves Python's lock: a thread a core does it."""

    def make(clip: Clip) -> _Made:
        arrays = source.arrays(clip)
        changes = [change.what for change in drift.clips.get(clip.id, ())] if drift else []
        text = article(arrays, clip, look, changes)
        strip, cells = thumbnail(source, arrays, look)
        words = dict.fromkeys(flag.word for flag in clip.flags)
        words |= ({"hole": None} if arrays.holes else {}) | ({"changed": None} if changes else {})
        return _Made(clip, text, compressed(strip, 60 if look.single else 68), cells, tuple(words))

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for done, page in enumerate(pool.map(make, source.clips), 1):
            yield page
            tick(done, len(source.clips))


def _card(page: _Made, link: str, thumb: str) -> Card:
    alt = f"{page.clip.short}: " + ", ".join(name for name, _ in page.cells)
    wide = CELL * max(1, len(page.cells))
    image = h("img", src=thumb, alt=alt, width=wide, height=CELL, loading="lazy", decoding="async")
    return Card(page.clip, image, page.cells, link, page.words)


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
