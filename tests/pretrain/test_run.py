"""Whole trainings: what is learnt, what is not, what a kill costs, and whether the report tells the truth."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import safe_open

from mer_pipe.pretrain import devices, events, network, run, train
from mer_pipe.pretrain.fake import write_fake
from mer_pipe.pretrain.settings import Settings
from mer_pipe.stages import resnet
from mer_pipe.stages.weights import file_digest
from mer_pipe.types import ModelError, RecipeError, StoreError, Weights
from tests.pretrain.sheets import write_planted

COPIES = {"fer2013.csv": "pixels.csv", "fer2013new.csv": "votes.csv"}
WEIGHTS = "resnet18-ferplus.safetensors"
QUICK = Settings(
    epochs=3, batch=8, lr=0.01, size=32, last_size=32, last_epochs=1, rotate=0, scale=0, shift=0, mode="majority"
)
SHORT = Settings(
    epochs=3, batch=6, lr=0.02, size=64, last_size=32, last_epochs=2, mode="probability", take="best", seed=4
)


def trained(sheets, out: Path, settings: Settings, **more) -> tuple[dict, bool]:
    return run.run(run.prepare(*sheets, out, settings, device="cpu", **more))


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """Sheets with a planted signal, a run on them, its events and its report."""
    folder = tmp_path_factory.mktemp("learnt")
    sheets = write_planted(folder / "data")
    heard: list[events.Event] = []
    told, changed = run.run(run.prepare(*sheets, folder / "out", QUICK, device="cpu"), heard.append)
    assert changed
    return sheets, folder / "out", told, heard


def test_a_planted_signal_is_learnt(learnt):
    _, _, told, _ = learnt
    assert told["PrivateTest"]["accuracy"] >= 0.9
    assert told["PublicTest"]["accuracy"] >= 0.9


def test_shuffled_labels_are_not(tmp_path):
    told, _ = trained(write_planted(tmp_path / "data", shuffled=True), tmp_path / "out", QUICK)
    assert told["PrivateTest"]["accuracy"] < 0.6


def test_the_figures_of_the_report_come_again_from_the_weights_and_the_sheets(learnt):
    """By another way: the csv module, resnet.load, and the last layer written out."""
    sheets, out, told, _ = learnt
    path = str(out / WEIGHTS)
    assert told["weights"] == {"file": WEIGHTS, "digest": file_digest(path)}
    body = resnet.load(Weights(file_digest(path), path))
    with safe_open(path, "pt") as file:
        weight, bias = file.get_tensor("fc.weight"), file.get_tensor("fc.bias")
    with sheets[0].open() as pixels, sheets[1].open() as votes:
        rows = list(zip(csv.DictReader(pixels), csv.DictReader(votes), strict=True))
    for part in ("PublicTest", "PrivateTest"):
        pairs = []
        for face, cast in rows:
            if face["Usage"] != part:
                continue
            truth = int(np.argmax([int(cast[name]) for name in told["classes"]]))
            grey = torch.tensor([float(v) for v in face["pixels"].split()]).reshape(1, 1, 48, 48) / 255
            big = F.interpolate(grey, (32, 32), mode="bilinear").expand(1, 3, 32, 32)
            mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
            with torch.no_grad():
                map4 = body((big - mean[:, None, None]) / std[:, None, None])[1]
                pairs.append((truth, int((weight @ map4.mean((2, 3))[0] + bias).argmax())))
        assert told[part]["accuracy"] == np.mean([t == p for t, p in pairs])
        counted = np.zeros((8, 8), int)
        for t, p in pairs:
            counted[t, p] += 1
        assert told[part]["confusion"] == counted.tolist()


def test_what_a_run_leaves(learnt):
    sheets, out, told, _ = learnt
    assert sorted(p.name for p in out.iterdir()) == ["card.md", "curve.png", "report.json", WEIGHTS]
    assert json.loads((out / "report.json").read_text()) == told
    assert Image.open(out / "curve.png").size[0] > 500
    card = (out / "card.md").read_text()
    assert f"{told['PrivateTest']['accuracy']:.4f}" in card
    assert told["weights"]["digest"] in card
    assert card.startswith("# ResNet-18 trained on FER+\n")
    with safe_open(out / WEIGHTS, "pt") as file:
        inside = json.loads(file.metadata()["mer_pipe"])
        names = set(file.keys())
    assert inside["identity"]["data"] == {p.name: file_digest(str(p)) for p in sheets}
    assert inside["PrivateTest"] == told["PrivateTest"]
    assert inside["identity"]["settings"]["epochs"] == 3
    assert names == set(resnet.ResNet18().state_dict()) | {"fc.weight", "fc.bias"}


def test_a_run_on_generated_faces_says_so_wherever_its_sheets_were_copied_to(tmp_path):
    write_fake(tmp_path / "fake", images=40)
    sheets = [shutil.copy(tmp_path / "fake" / name, tmp_path / other) for name, other in COPIES.items()]
    one = dataclasses.replace(QUICK, epochs=1, last_epochs=0)
    told, _ = trained([Path(sheet) for sheet in sheets], tmp_path / "out", one)
    assert told["trained_on"] == "generated faces"
    assert json.loads((tmp_path / "out/report.json").read_text())["trained_on"] == "generated faces"
    card = (tmp_path / "out/card.md").read_text()
    assert card.startswith("# ResNet-18 trained on generated faces\n")
    assert "FER+" not in card
    with safe_open(tmp_path / "out" / WEIGHTS, "pt") as file:
        assert json.loads(file.metadata()["mer_pipe"])["trained_on"] == "generated faces"


def test_the_first_convolution_stays_blind_to_colour(learnt):
    with safe_open(learnt[1] / WEIGHTS, "pt") as file:
        weight = file.get_tensor("conv1.weight")
    apart = weight - weight.mean(1, keepdim=True)
    assert 0 < apart.norm() < 0.1 * weight.norm()


def test_an_observer_hears_every_epoch_and_step(learnt):
    _, _, told, heard = learnt
    ended = [e for e in heard if isinstance(e, events.Ended)]
    assert [e.epoch for e in ended] == [1, 2, 3]
    assert [e.loss for e in ended] == [entry["loss"] for entry in told["history"]]
    assert sum(isinstance(e, events.Stepped) for e in heard) == 3 * 6


def test_the_same_command_again_does_nothing(learnt):
    sheets, out, told, _ = learnt
    before = (out / WEIGHTS).stat().st_mtime_ns
    again, changed = trained(sheets, out, QUICK)
    assert not changed
    assert again == told
    assert (out / WEIGHTS).stat().st_mtime_ns == before


def test_other_settings_in_the_same_folder_are_refused_and_named(learnt):
    sheets, out, _, _ = learnt
    with pytest.raises(RecipeError, match="of another training: epochs 3, not 7; lr 0.01, not 0.5"):
        trained(sheets, out, Settings(**{**vars(QUICK), "epochs": 7, "lr": 0.5}))


KILLED = """
import os, signal, sys
from pathlib import Path
from mer_pipe.pretrain import run
from tests.pretrain.test_run import SHORT
torch_threads = __import__("torch").set_num_threads(int(sys.argv[4]))
def tell(event):
    if type(event).__name__ == "Stepped" and (event.epoch, event.step) == (3, 1):
        os.kill(os.getpid(), signal.SIGKILL)
run.run(run.prepare(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), SHORT, device="cpu"), tell)
"""


def test_a_killed_training_goes_on_to_the_same_bytes(tmp_path):
    sheets = write_planted(tmp_path / "data", training=12, test=4)
    whole, _ = trained(sheets, tmp_path / "whole", SHORT)
    arguments = [*map(str, sheets), str(tmp_path / "cut"), str(torch.get_num_threads())]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments], cwd=Path(__file__).parents[2], capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert [p.name for p in (tmp_path / "cut").iterdir()] == ["checkpoint.safetensors"]
    heard: list[events.Event] = []
    cut, _ = run.run(run.prepare(*sheets, tmp_path / "cut", SHORT, device="cpu"), heard.append)
    assert [e.epoch for e in heard if isinstance(e, events.Ended)] == [3]
    assert (tmp_path / "cut" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()
    for report in (whole, cut):
        del report["machine"]
        for entry in report["history"]:
            del entry["seconds"]
    assert cut == whole
    assert [entry["side"] for entry in whole["history"]] == [64, 32, 32]
    assert whole["epoch"] in (2, 3)  # the first epoch is none of the last two, so it cannot be taken


def test_a_damaged_or_foreign_checkpoint_is_refused(tmp_path):
    sheets = write_planted(tmp_path / "data", training=8, test=4)
    out = tmp_path / "out"
    out.mkdir()
    (out / "checkpoint.safetensors").write_bytes(b"x" * 50)
    with pytest.raises(ModelError, match="checkpoint.safetensors cannot be read"):
        trained(sheets, out, SHORT)
    network_only = {k: v.contiguous() for k, v in network.first(0).state_dict().items()}
    from safetensors.torch import save_file

    save_file(network_only, out / "checkpoint.safetensors")
    with pytest.raises(ModelError, match="no checkpoint of format 1"):
        trained(sheets, out, SHORT)
    (out / "report.json").write_text("{")
    with pytest.raises(StoreError, match="cannot be read as a report"):
        trained(sheets, out, SHORT)


def test_the_best_epoch_is_chosen_on_public_test_among_the_last():
    history = [{"epoch": e, "accuracy": a} for e, a in enumerate([0.9, 0.5, 0.6, 0.6], 1)]
    settings = Settings(epochs=4, last_epochs=3)
    assert [train._is_best(history[:n], settings) for n in (1, 2, 3, 4)] == [False, True, True, False]
    settings = Settings(epochs=4, last_epochs=0)
    assert [train._is_best(history[:n], settings) for n in (1, 2, 3, 4)] == [True, False, False, False]


def test_initial_weights_are_where_training_begins(tmp_path, learnt):
    """A few small steps on from trained weights: still good; from random ones such steps come to nothing."""
    sheets, out, _, _ = learnt
    small = Settings(**{**vars(QUICK), "epochs": 1, "lr": 1e-3})
    init = out / WEIGHTS
    begun, _ = trained(sheets, tmp_path / "begun", small, init=init)
    assert begun["identity"]["weights"]["init"] == file_digest(str(init))
    assert begun["PrivateTest"]["accuracy"] >= 0.9
    anew, _ = trained(sheets, tmp_path / "anew", small)
    assert anew["PrivateTest"]["accuracy"] < 0.6
    with pytest.raises(ModelError, match="cannot be read"):
        trained(sheets, tmp_path / "none", small, init=tmp_path / "none.pth")


def test_bfloat16_trains_and_a_diverging_rate_is_told(tmp_path):
    sheets = write_planted(tmp_path / "data", training=16, test=4)
    half = Settings(epochs=1, last_epochs=0, batch=8, lr=0.01, size=32, precision="bfloat16")
    told, _ = trained(sheets, tmp_path / "half", half)
    assert np.isfinite(told["history"][0]["loss"])
    with pytest.raises(RecipeError, match="the training has diverged"):
        trained(sheets, tmp_path / "wild", Settings(epochs=3, last_epochs=0, batch=4, lr=1e12, size=32))


def test_a_failing_observer_does_not_stop_a_training(tmp_path):
    def broken(event: events.Event) -> None:
        raise RuntimeError("no terminal")

    sheets = write_planted(tmp_path / "data", training=8, test=4)
    prepared = run.prepare(*sheets, tmp_path / "out", Settings(epochs=1, last_epochs=0, size=32), device="cpu")
    with pytest.warns(UserWarning, match="goes on unseen"):
        told, _ = run.run(prepared, broken)
    assert told["epoch"] == 1


def test_a_device_that_is_not_here_is_refused():
    with pytest.raises(RecipeError, match="there is no device 'abacus'"):
        devices.choose_device("abacus")


@pytest.mark.slow
def test_a_build_takes_its_features_from_the_weights(learnt, tmp_path):
    """One demo clip through the command line, against the features of its own frames and against random ones."""
    from click.testing import CliRunner

    import mer_pipe
    from mer_pipe.cli import cli
    from mer_pipe.stages.features import features

    path = str(learnt[1] / WEIGHTS)
    words = ["build", "--dataset", "demo", "--only", "mrn", "--limit", "1", "--workers", "0"]
    for option, name in (("--root", "data"), ("--cache", "cache"), ("--store", "a.zarr")):
        words += [option, str(tmp_path / name)]
    for pair in ("dataset.subjects=1", "dataset.clips=1", f"features.weights={path}"):
        words += ["--set", pair]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    store = mer_pipe.open(tmp_path / "a.zarr")
    frames, vectors = store["magnify"]["image"].values[0], store["features_mrn"]["vector"].values[0]
    ours = features(frames, Weights(file_digest(path), path), "pool1024")
    np.testing.assert_array_equal(vectors, ours)
    assert (vectors != features(frames, Weights("random:0"), "pool1024")).mean() > 0.9
