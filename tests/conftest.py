"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real media and models for tests; a test that needs it skips, visibly, where it is missing."""
    folder = Path(os.environ.get("MERPIPE_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not (folder / "real").is_dir():
        pytest.skip(f"no shared test media at {folder} (set MERPIPE_SHARED)")
    return folder
