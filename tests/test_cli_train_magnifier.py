"""The verb train-magnifier, as it is typed."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from mer_pipe.cli import cli
from mer_pipe.types import RecipeError
from tests.pretrain.test_magnifier import hurry

SMALL = ["--steps", "2", "--width", "8", "--batch", "2", "--size", "16", "--set", "twins=1", "--device", "cpu"]


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hurry(monkeypatch)
    return lambda *words: CliRunner().invoke(cli, ["train-magnifier", *words])


def test_a_training_from_settings_to_weights(invoke, tmp_path):
    done = invoke("--out", "run", *SMALL)
    assert done.exit_code == 0, done.output
    assert "af 13: SSIM" in done.output
    assert "magnify.weights=run/magnifier.safetensors" in done.output
    assert (tmp_path / "run" / "card.md").exists()
    told = json.loads(invoke("--out", "run", "--json", *SMALL).stdout)
    assert not told["changed"]
    assert told["identity"]["settings"]["twins"] == 1


def test_a_dry_run_tells_settings_and_licences_and_writes_nothing(invoke, tmp_path):
    done = invoke("--set", "reach=9", "-n")
    assert "chelsea: CC0" in done.output
    assert "rocket: public domain, SpaceX, for validation alone" in done.output
    assert "  reach 9.0" in done.output
    assert "nothing was trained" in done.output
    told = json.loads(invoke("-n", "--json").stdout)
    assert told["settings"]["width"] == 32
    assert not list(tmp_path.iterdir())


def test_a_setting_that_is_not_there_is_told(invoke):
    wrong = invoke("--set", "reech=9", "-n").exception
    assert isinstance(wrong, RecipeError)
    assert "did you mean reach" in str(wrong)
