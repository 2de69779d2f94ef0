"""Small fakes for the adapters' tests: written once a session, copied where a test changes one."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import openpyxl

from mer_pipe.datasets.fake import Expected, write

SIZE = (32, 40)


def fake(database: str, quirks: bool = True, part: str | None = None) -> Expected:
    """A fake database of this session, not to be changed."""
    return _fake(database, quirks, part)


@cache
def _fake(database: str, quirks: bool, part: str | None) -> Expected:
    return write(database, Path(_room()) / f"{database}-{quirks}-{part}", clips=6, size=SIZE, quirks=quirks, part=part)


def copy(database: str, folder: Path, quirks: bool = False, part: str | None = None) -> Path:
    """A copy of a fake that the test may change, without quirks unless asked."""
    return Path(shutil.copytree(fake(database, quirks, part).root, folder / database))


def edit(path: Path, change, page: str | None = None) -> None:
    """Read a sheet's rows, let `change` alter the list of lists in place, and write them back."""
    book = openpyxl.load_workbook(path)
    sheet = book[page] if page else book.worksheets[0]
    rows = [list(row) for row in sheet.iter_rows(values_only=True)]
    change(rows)
    sheet.delete_rows(1, sheet.max_row)
    for row in rows:
        sheet.append(row)
    book.save(path)


def reasons(listing) -> dict[str, str]:
    return {e.id: e.reason for e in listing.excluded}


@cache
def _room() -> str:
    import atexit

    room = mkdtemp(prefix="mer-pipe-fakes-")
    atexit.register(shutil.rmtree, room, ignore_errors=True)
    return room
