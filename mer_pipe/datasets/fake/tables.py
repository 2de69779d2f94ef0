"""Write annotation sheets, .xlsx or .csv, with the same bytes every time."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from pathlib import Path

from mer_pipe.datasets.fake.plan import Table


def write_table(table: Table, root: Path) -> None:
    """Write a sheet below `root`; None is a blank cell."""
    path = root / table.path
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        (rows,) = table.pages.values()
        text = io.StringIO(newline="")
        csv.writer(text).writerows([["" if cell is None else cell for cell in row] for row in rows])
        path.write_bytes(text.getvalue().encode())
    else:
        path.write_bytes(_workbook(table))


def _workbook(table: Table) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in table.pages.items():
        page = book.create_sheet(title)
        for row in rows:
            page.append(tuple(row))
    rough, packed = io.BytesIO(), io.BytesIO()
    book.save(rough)
    # The clock is kept out of the archive: the same rows are the same bytes.
    with zipfile.ZipFile(rough) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            data = source.read(entry)
            if entry.filename == "docProps/core.xml":
                data = re.sub(rb"(<dcterms:\w+[^>]*>)[^<]*", rb"\g<1>2020-01-01T00:00:00Z", data)
            target.writestr(zipfile.ZipInfo(entry.filename, (2020, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)
    return packed.getvalue()
