"""The verb pretrain, as it is typed."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from mer_pipe.cli_pretrain import pretrain
from mer_pipe.types import DatasetError, MerError
from tests.pretrain.sheets import write_planted

SMALL = ["--epochs", "1", "--last-epochs", "0", "--size", "32", "--batch", "8", "--device", "cpu"]


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(pretrain, list(words))


def test_a_training_from_two_sheets_to_weights(invoke, tmp_path):
    write_planted(tmp_path / "fer", training=16, test=4)
    done = invoke("--root", "fer", "--out", "run", *SMALL)
    assert done.exit_code == 0, done.output
    assert "PrivateTest: accuracy" in done.output
    assert "features.weights=run/resnet18-ferplus.safetensors" in done.output
    assert (tmp_path / "run" / "card.md").exists()
    again = invoke("--root", "fer", "--out", "run", "--json", *SMALL)
    told = json.loads(again.stdout)
    assert not told["changed"]
    assert told["data"]["images"]["Training"]["neutral"] == 4


def test_a_dry_run_counts_and_writes_nothing(invoke, tmp_path):
    write_planted(tmp_path / "fer", training=16, test=4)
    done = invoke("--root", "fer", "-n")
    assert "would train 32 epochs at 96 px, 8 at 224 px" in done.output
    assert "nothing was trained" in done.output
    told = json.loads(invoke("--root", "fer", "-n", "--json").stdout)
    assert told["data"]["images"]["PrivateTest"] == {
        "neutral": 1, "happiness": 1, "surprise": 1, "sadness": 1, "anger": 0, "disgust": 0, "fear": 0, "contempt": 0
    }  # fmt: skip
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fer"]


def test_the_sheets_must_be_said_and_be_there(invoke):
    assert "Give its folder with --root" in str(invoke().exception)
    assert isinstance(invoke().exception, MerError)
    absent = invoke("--root", "nowhere").exception
    assert isinstance(absent, DatasetError)
    assert "fer2013new.csv cannot be read" in str(absent)


def test_generated_sheets_are_written_on_demand(invoke, tmp_path):
    assert "would write" in invoke("--write-fake", "fake", "--images", "40", "-n").output
    assert not (tmp_path / "fake").exists()
    done = invoke("--write-fake", "fake", "--images", "40")
    assert "next: mer-pipe pretrain --root fake" in done.output
    assert invoke("--root", "fake", "-n").exit_code == 0
