"""The folder of a training: made, cleared of what a kill left, and read again when it is finished."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mer_pipe.types import StoreError


def finished(path: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """The report of a finished training, or None where there is none.

    Raises
    ------
    StoreError : the file is no report.
    RecipeError : it is of a training with other settings or other data.
    """
    from mer_pipe.pretrain.checkpoint import same

    try:
        document = json.loads(path.read_text())
        was = document["identity"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} cannot be read as a report: {error}", "name another folder with --out") from None
    same(was, identity, path)
    return document


def make(folder: Path) -> None:
    """Make the folder, and clear what a killed training was just writing; StoreError where that is not possible."""
    from mer_pipe.store.durable import is_abandoned

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".*.tmp"):
            if is_abandoned(left):
                left.unlink()
    except OSError as error:
        raise StoreError(f"{folder} cannot be made: {error.strerror}", "name another folder with --out") from None
