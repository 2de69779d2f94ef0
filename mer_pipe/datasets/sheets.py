"""Read annotation sheets (.xlsx or .csv) as text, and find their columns by name."""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mer_pipe.types import DatasetError

# No sheet of the field has 2,000 rows; a file beyond these bounds is not one, and would only take memory and time.
MOST_ROWS = 20_000
MOST_COLUMNS = 64
_MOST_BYTES = 64 * 2**20
_HEADER_WITHIN = 40


@dataclass(frozen=True)
class Row:
    """One row below the header: its number in the file (from 1, as spreadsheets count) and its cells by column."""

    number: int
    cells: Mapping[str, str]


@dataclass(frozen=True)
class Sheet:
    """A sheet that has the columns looked for.

    Attributes
    ----------
    name, sha256 : the file's name and the digest of its bytes.
    columns : which of the columns looked for are there.
    rows : those with any text in these columns.
    """

    name: str
    sha256: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def read_sheet(
    path: Path,
    columns: Mapping[str, Sequence[str]],
    required: Sequence[str],
    worksheet: str | Callable[[str], bool] = "",
) -> Sheet:
    """Read the first worksheet of a file that has a header row with the wanted columns.

    The header is found by content among the first rows; blank columns, case, spaces and punctuation don't matter.

    Parameters
    ----------
    path : an .xlsx or .csv file.
    columns : column -> the names it goes by, compared without case and punctuation.
    required : the columns without which a row is no header.
    worksheet : the name of the worksheet to look at first, where a workbook has several, or what tells such a name.

    Raises
    ------
    DatasetError : the file cannot be read, is no such file, is beyond any real sheet's size, or has no such header.
    """
    sha256, tables = read_tables(path, worksheet)
    names = {_plain(alias): column for column, aliases in columns.items() for alias in aliases}
    nearest: tuple[int, list[str]] = (0, [])
    for table in tables:
        for at, cells in enumerate(table[:_HEADER_WITHIN]):
            places: dict[str, int] = {}
            for index, cell in enumerate(cells):
                column = names.get(_plain(cell))
                if column is not None:
                    places.setdefault(column, index)
            if all(column in places for column in required):
                return Sheet(path.name, sha256, tuple(places), _rows(table, at, places))
            nearest = max(nearest, (len(places), [cell for cell in cells if cell][:8]))
    wanted = ", ".join(columns[column][0] for column in required)
    seen = f"the nearest row reads {', '.join(nearest[1])}" if nearest[0] else "no row has any of these names"
    raise DatasetError(f"{path.name} has no header row with {wanted}: {seen}", "Give the database's own sheet.")


def read_tables(path: Path, worksheet: str | Callable[[str], bool] = "") -> tuple[str, list[list[list[str]]]]:
    """The digest of a file, and the text of its cells: worksheet, row, column; one table for a .csv.

    `worksheet` names the one to put first, or tells such names. Raises DatasetError as `read_sheet` does, but for a missing
    header.
    """
    data = _read_bytes(path)
    tables = _csv_table(data, path) if path.suffix.lower() == ".csv" else _workbook_tables(data, path, worksheet)
    return hashlib.sha256(data).hexdigest(), tables


def suggest(name: str, known: Sequence[str]) -> str:
    """One sentence that names the nearest of `known`, or all of them."""
    near = difflib.get_close_matches(name, known, 1)
    return f"Did you mean {near[0]}?" if near else f"Use one of {', '.join(known)}."


def _rows(table: list[list[str]], header: int, places: Mapping[str, int]) -> tuple[Row, ...]:
    rows = []
    for number, cells in enumerate(table[header + 1 :], header + 2):
        picked = {column: cells[at] if at < len(cells) else "" for column, at in places.items()}
        if any(picked.values()):
            rows.append(Row(number, picked))
    return tuple(rows)


def _read_bytes(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise DatasetError(f"there is no sheet {path.name} in {path.parent}", "Check the path.")
        if path.stat().st_size > _MOST_BYTES:
            raise DatasetError(f"{path.name} has {path.stat().st_size} bytes, which no annotation sheet has")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path.name} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _csv_table(data: bytes, path: Path) -> list[list[list[str]]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    head = text[:2000]
    delimiter = max(",;\t", key=head.count)
    table = []
    try:
        for cells in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            table.append([_text(cell) for cell in cells[:MOST_COLUMNS]])
            if len(table) > MOST_ROWS:
                raise _too_long(path)
    except csv.Error as error:
        raise DatasetError(f"{path.name} is not a readable CSV file: {error}", "Export the sheet again.") from None
    return [table]


def _workbook_tables(data: bytes, path: Path, worksheet: str | Callable[[str], bool]) -> list[list[list[str]]]:
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise DatasetError(
            f"{path.name} is protected by a password, or an .xls workbook of before 2007",
            "Open it, and save it without a password as .xlsx or .csv.",
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError):
        raise DatasetError(f"{path.name} is not an .xlsx workbook", "Give the sheet as .xlsx or .csv.") from None
    if size > 2 * _MOST_BYTES:
        raise DatasetError(f"{path.name} unpacks to {size} bytes, which no annotation sheet does")

    import warnings

    import openpyxl

    first = worksheet if callable(worksheet) else lambda title: _plain(title) == _plain(worksheet)
    tables = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl warns of styles and filters that don't concern the cells
            book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=False)
            for page in sorted(book.worksheets, key=lambda page: not first(page.title)):
                # The stored dimensions may claim a million rows and sixteen thousand columns, and would be padded to.
                page.reset_dimensions()
                table = []
                for cells in page.iter_rows(max_row=MOST_ROWS + 1, max_col=MOST_COLUMNS, values_only=True):
                    table.append([_text(cell) for cell in cells])
                if len(table) > MOST_ROWS:
                    raise _too_long(path)
                tables.append(table)
            book.close()
    except DatasetError:
        raise
    except Exception as error:  # openpyxl lets whatever a broken archive provokes through: KeyError, ParseError, ...
        raise DatasetError(
            f"{path.name} is not a readable .xlsx workbook: {type(error).__name__} {error}", "Save the sheet again."
        ) from None
    return tables


def _too_long(path: Path) -> DatasetError:
    return DatasetError(
        f"{path.name} has more than {MOST_ROWS} rows, which no annotation sheet has", "Delete the rows below the data."
    )


def _text(cell: object) -> str:
    if cell is None:
        return ""
    if type(cell).__module__.startswith("openpyxl"):
        # Formulas over several cells come as objects; adapters refuse what starts with "=".
        return f"={str(getattr(cell, 'text', '')).lstrip('=')}"
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return str(cell).strip()


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
