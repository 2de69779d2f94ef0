"""``mer-pipe export`` on the command line."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from mer_pipe.cli_export import export
from mer_pipe.export.settings import ExportError
from tests.report.made_store import make_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("cli") / "made.zarr", 6, only=("crop", "flow_onset", "strain"))


def run(*words: object) -> str:
    """The output; an error is raised as `mer_pipe.cli.main` gets it."""
    done = CliRunner().invoke(export, [str(word) for word in words], standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.output


def test_an_export_says_what_it_wrote(store, tmp_path):
    told = run(store, "pictures", "-o", tmp_path / "out", "--classes", "3").splitlines()
    assert told[0].startswith(f"{tmp_path}/out: 6 clips of 2 subjects, 12 pictures in norm_u_v_os, 28 x 28 px of ")
    assert told[1] == "classes: 0 negative (3), 1 positive (3), 2 surprise (0)"
    assert told[-1] == "it is derived from faces: mind the database's licence"


def test_a_dry_run_says_it_and_writes_nothing(store, tmp_path):
    told = run(store, "webdataset", "-o", tmp_path / "out", "--arrays", "crop, strain", "-n")
    assert told.startswith(
        f"would write to {tmp_path}/out: 4 clips of 2 subjects, tar shards of 256 MiB, 0.6 MiB of crop/"
    )
    assert "left out, has no label: 2 clips: demo/sub01/EP03_01, demo/sub02/EP03_01" in told
    assert not list(tmp_path.iterdir())


def test_a_dry_run_refuses_what_a_run_would(store, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("")
    with pytest.raises(ExportError, match="never overwrites"):
        run(store, "pictures", "-o", tmp_path / "out", "-n")


@pytest.mark.parametrize(
    ("words", "faces"),
    [
        (["numpy", "--arrays", "crop"], True),
        (["numpy", "--arrays", "flow_onset,strain"], False),
        (["pictures", "--layout", "htnet"], True),
        (["pictures"], False),
    ],
)
def test_faces_are_told_of(store, tmp_path, words, faces):
    last = run(store, *words, "-o", tmp_path / "out").splitlines()[-1]
    assert last.startswith("it holds pictures of faces" if faces else "it is derived from faces")
    assert last.endswith("mind the database's licence")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["numpy", "--layout", "flat"], r"numpy has no --layout\. It takes --classes, --arrays"),
        (["numpy", "--from", "motion"], r"numpy has no --from"),
        (["pictures", "--arrays", "all"], r"pictures has no --arrays.*--layout, --from, --order"),
        (["webdataset", "--size", "28"], r"webdataset has no --size"),
        (["pictures", "--scaling", "fixed:2"], r"no scaling 'fixed:2'\. Write minmax, or fixed:2,0\.1"),
        (["pictures", "--from", "motion"], r"no motion/motion\. Take --from flow_onset\+strain"),
    ],
)
def test_an_option_that_does_not_fit_is_refused(store, tmp_path, words, message):
    with pytest.raises(ExportError, match=message):
        run(store, *words, "-o", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_the_help_needs_no_numpy():
    code = "import sys, mer_pipe.cli_export; assert not {'numpy', 'zarr', 'cv2'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
