"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from mer_pipe import cli


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real media and models for tests; a test that needs it skips, visibly, where it is missing."""
    folder = Path(os.environ.get("MERPIPE_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not (folder / "real").is_dir():
        pytest.skip(f"no shared test media at {folder} (set MERPIPE_SHARED)")
    return folder


@pytest.fixture
def mer(capfd, monkeypatch):
    """Run the command in this process: mer("build", ...) -> (exit code, stdout, stderr)."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mer-pipe", *map(str, args)])
        capfd.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return run
