"""What each clip's cells were when they were last built: the memory behind "why does this rebuild" and `gc`."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from mer_pipe.store.durable import write_file


class Journal:
    """For one published store: a file a clip, cell name -> key.

    Parameters
    ----------
    root : the cache folder.
    store : path of the published store that the builds are for; two stores keep two journals.
    """

    def __init__(self, root: str | Path, store: str | Path) -> None:
        self.store = os.path.abspath(store)
        self.folder = Path(root) / "journal" / _name(self.store)

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever built for this store with this cache."""
        return not self.folder.exists()

    def read(self, sample: str) -> dict[str, str]:
        """Cell name -> key as last built for this store; empty when the clip never was, or its page is not readable."""
        return _cells(self.folder / f"{_name(sample)}.json")

    def read_any(self, sample: str) -> dict[str, str]:
        """As `read`, but where the clip never was built for this store, as last built for another one."""
        pages = self.folder.parent.glob(f"*/{_name(sample)}.json")
        others = sorted(pages, key=lambda path: path.stat().st_mtime_ns, reverse=True)
        return self.read(sample) or next(filter(None, map(_cells, others)), {})

    def write(self, sample: str, cells: Mapping[str, str]) -> None:
        """Remember a clip's cells; nothing is written when they are known already."""
        if self.read(sample) == cells:
            return
        page = {"store": self.store, "sample": sample, "cells": dict(cells)}
        write_file(self.folder / f"{_name(sample)}.json", json.dumps(page).encode())


def pages(root: str | Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Every clip's page in a cache: (path of the store it is for, cell name -> key)."""
    for path in sorted((Path(root) / "journal").glob("*/*.json")):
        try:
            page = json.loads(path.read_text())
            yield page["store"], page["cells"]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # an unreadable page protects nothing


def _cells(page: Path) -> dict[str, str]:
    try:
        cells = json.loads(page.read_text())["cells"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return cells if isinstance(cells, dict) else {}


def _name(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
