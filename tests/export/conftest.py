from __future__ import annotations

from pathlib import Path

import pytest

from mer_pipe.export.plan import Plan, prepare
from mer_pipe.export.settings import Settings
from mer_pipe.export.write import write
from tests.report.made_store import make_store

ARRAYS = ("crop", "flow_onset", "strain", "motion", "features_mrn")


@pytest.fixture(scope="session")
def store(tmp_path_factory) -> Path:
    """Three subjects with three clips each: happiness, others, and one without a label; motions with noise."""
    return make_store(tmp_path_factory.mktemp("store") / "made.zarr", 9, only=ARRAYS, noise=3, contents="c" * 64)


@pytest.fixture
def exported(store, tmp_path):
    """Write an export of the store: exported("pictures", layout="flat") -> (its folder, its plan)."""

    def run(format: str, out: str = "out", of: Path = store, **settings) -> tuple[Path, Plan]:
        plan = prepare(of, Settings(format, **settings))
        write(plan, tmp_path / out)
        return tmp_path / out, plan

    return run
