"""Training runs: what is learnt, what goes on after a stop, same bytes however it runs, errors that lose nothing."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mer_pipe.heads import fold as fold_module
from mer_pipe.heads import train as module
from mer_pipe.heads import training
from mer_pipe.heads.evaluate import table
from mer_pipe.heads.events import Begun, Trained
from mer_pipe.heads.feeds import HostFeed
from mer_pipe.heads.head import Training
from mer_pipe.heads.keeping import read_card, read_views
from mer_pipe.heads.msmmt import Msmmt
from mer_pipe.heads.plan import PEEKED, SHUFFLED, Request, _settings, plan
from mer_pipe.heads.probe import Probe
from mer_pipe.heads.runs import open_run
from mer_pipe.heads.train import train
from mer_pipe.types import MachineError, StoreError, TrainingError
from tests.heads.made_store import CLASSES, Toy, make_store

QUICK = Training(epochs=3, batch=8, lr=0.02)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return make_store(tmp_path_factory.mktemp("store") / "made.zarr")


def run(store: Path, out: Path, head=None, **how):
    return train(plan(Request(head or Toy(), store, out, **how)))


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_planted_signal_is_learnt_and_shuffled_labels_are_not(store, tmp_path):
    true = table([run(store, tmp_path / "true")])[0]
    shuffled = table([run(store, tmp_path / "shuffled", shuffle_labels=True)])[0]
    assert true.acc.mean > 0.85
    assert shuffled.acc.mean < 0.6
    assert shuffled.cautions == (SHUFFLED,)
    assert true.cautions == ()
    assert true.acc.low <= true.acc.mean <= true.acc.high
    assert true.majority[0] == pytest.approx(1 / 3)


def test_the_linear_probe_learns_it_too(store, tmp_path):
    rows = table([run(store, tmp_path / "probe", Probe(strength=1.0, pool="concatenate"))])
    assert rows[0].acc.mean > 0.85


def test_every_clip_is_tested_once_and_never_by_a_network_that_saw_its_subject(store, tmp_path):
    made = run(store, tmp_path / "run", Toy(training=QUICK))
    found = [made.predictions(0, number) for number in range(4)]
    assert sorted(s for fold in found for s in fold.samples) == [c["sample"] for c in made.facts["clips"]]
    for fold in found:
        assert {"/".join(s.split("/")[:2]) for s in fold.samples} == {fold.fold}
        assert np.allclose(np.sum(fold.probabilities, 1), 1, atol=1e-5)
        assert fold.epoch == 3


def test_the_test_clips_are_not_read_while_training(store, tmp_path, monkeypatch):
    """The guard of all others: every row that is read before a fold's prediction belongs to a training subject."""
    read, seen = [], []
    fetch, whole = HostFeed._fetch, training.predict
    monkeypatch.setattr(HostFeed, "_fetch", lambda self, rows: read.extend(rows.tolist()) or fetch(self, rows))

    def predict(head, network, clips, seed, name):
        seen.append((name, set(read)))
        found = whole(head, network, clips, seed, name)
        read.clear()
        return found

    monkeypatch.setattr(training, "predict", predict)
    made = run(store, tmp_path / "run", Toy(training=QUICK))
    assert len(seen) == 4
    for fold, (name, rows) in zip(made.folds, seen, strict=True):
        assert fold.name == name
        assert rows == set(fold.train)


def test_the_same_seed_gives_the_same_bytes_for_any_number_of_processes(store, tmp_path):
    head = Toy(training=QUICK)
    one = run(store, tmp_path / "one", head, seeds=(0, 1))
    two = run(store, tmp_path / "two", head, seeds=(0, 1), workers=2)
    assert contents(one.path) == contents(two.path)
    assert one.predictions(0, 0).probabilities != one.predictions(1, 0).probabilities


def test_a_run_that_was_stopped_goes_on_and_ends_the_same(store, tmp_path, monkeypatch):
    head = Toy(training=QUICK)
    whole = run(store, tmp_path / "whole", head)
    planned = plan(Request(head, store, tmp_path / "stopped"))
    plain = module.train_fold
    monkeypatch.setattr(module, "train_fold", lambda task: plain(task) if task.number < 2 else _stop())
    with pytest.raises(KeyboardInterrupt):
        train(planned)
    monkeypatch.setattr(module, "train_fold", plain)
    assert len(list((tmp_path / "stopped").glob("seed-0/*.json"))) == 2
    with pytest.raises(TrainingError, match="seed 0 lacks 2 of 4 folds"):
        table([open_run(tmp_path / "stopped")])
    told: list = []
    train(planned, told.append)
    assert [e for e in told if isinstance(e, Begun)] == [Begun(4, 2, 3)]
    assert len([e for e in told if isinstance(e, Trained)]) == 2
    assert contents(tmp_path / "stopped") == contents(whole.path)


def test_an_observer_that_fails_stops_nothing(store, tmp_path):
    def tell(event):
        raise ValueError("no terminal")

    with pytest.warns(UserWarning, match="the training goes on unseen, its observer failed: ValueError: no terminal"):
        made = train(plan(Request(Toy(training=QUICK), store, tmp_path / "run")), tell)
    assert table([made])[0].clips == 24


def _stop() -> None:
    raise KeyboardInterrupt


def test_a_killed_run_leaves_no_half_fold_and_goes_on_to_the_same_bytes(store, tmp_path):
    values = ("training.epochs=150", "training.batch=8")
    command = [
        sys.executable,
        "-m",
        "mer_pipe.cli",
        "train",
        "--head",
        "tests.heads.made_store:Toy",
        "--store",
        str(store),
    ]
    command += [word for value in values for word in ("--set", value)] + ["--workers", "0", "--out"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([*command, str(whole)], check=True, capture_output=True)
    victim = subprocess.Popen([*command, str(killed)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while victim.poll() is None and not list(killed.glob("seed-0/*.json")):
        time.sleep(0.01)
    victim.kill()
    victim.wait()
    done = {place: place.read_bytes() for place in killed.glob("seed-0/*.json")}
    assert 1 <= len(done) < 4
    subprocess.run([*command, str(killed)], check=True, capture_output=True)
    assert contents(killed) == contents(whole)
    assert all(place.read_bytes() == old for place, old in done.items())


def test_workers_end_with_the_process_that_waits_for_them(store, tmp_path):
    import psutil

    command = [
        sys.executable,
        "-m",
        "mer_pipe.cli",
        "train",
        "--head",
        "tests.heads.made_store:Toy",
        "--store",
        str(store),
    ]
    command += ["--set", "training.epochs=100000", "--workers", "2", "--out", str(tmp_path / "run")]
    parent = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def workers():
        return [child for child in parent.children() if "spawn_main" in " ".join(child.cmdline())]

    while len(workers()) < 2:
        assert parent.is_running()
        time.sleep(0.05)
    orphans = workers()
    while min(sum(orphan.cpu_times()[:2]) for orphan in orphans) < 2.0:  # both are past their imports
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(orphans, timeout=10)
    assert not alive


def test_a_worker_that_is_killed_is_told_and_finished_folds_stay(store, tmp_path):
    made = run(store, tmp_path / "run", Toy(training=QUICK))
    made.place(0, 0, "json").unlink()
    made.place(0, 3, "json").unlink()
    deadly = plan(Request(Toy(training=QUICK), store, tmp_path / "run", workers=2))
    head = replace(deadly.request.head, deadly=True)
    deadly = replace(deadly, request=replace(deadly.request, head=head))
    with pytest.raises(
        MachineError, match=r"a worker process died while casme2/s0[14].*out of memory.*fewer --workers"
    ):
        train(deadly)
    assert len(list((tmp_path / "run").glob("seed-0/*.json"))) == 2


def test_a_damaged_fold_is_named_and_not_counted(store, tmp_path):
    made = run(store, tmp_path / "run", Toy(training=QUICK))
    place = made.place(0, 1, "json")
    place.write_bytes(place.read_bytes()[:-40])
    with pytest.raises(TrainingError, match=r"001-casme2_s02.json is damaged"):
        table([made])


def test_a_folder_of_another_run_is_not_mixed_with_this_one(store, tmp_path):
    run(store, tmp_path / "run", Toy(training=QUICK))
    with pytest.raises(TrainingError, match=r"settings.width is 16 there and 8 here"):
        run(store, tmp_path / "run", Toy(training=QUICK, width=8))


def test_one_bad_fold_does_not_cost_the_others(store, tmp_path, monkeypatch):
    plain = module.train_fold

    def train_fold(task):
        if task.number == 1:
            task = replace(task, request=replace(task.request, head=replace(task.request.head, spoilt=True)))
        return plain(task)

    monkeypatch.setattr(module, "train_fold", train_fold)
    with pytest.raises(TrainingError, match=r"fold casme2/s02, epoch 1: the loss is nan.*3 folds were finished"):
        run(store, tmp_path / "run", Toy(training=QUICK))
    assert len(list((tmp_path / "run").glob("seed-0/*.json"))) == 3


def test_a_store_that_was_built_anew_since_the_plan_is_refused(tmp_path):
    planned = plan(Request(Toy(training=QUICK), make_store(tmp_path / "made.zarr"), tmp_path / "run"))
    make_store(tmp_path / "made.zarr", signal=1.0)
    with pytest.raises(TrainingError, match="was built anew since this run was planned"):
        train(planned)


def test_values_that_are_not_finite_are_told_with_clip_and_array(tmp_path):
    store = make_store(tmp_path / "bad.zarr", spoil={"casme2/s02/c1": np.nan})
    with pytest.raises(StoreError, match=r"casme2/s02/c1.*features_mrn/vector|features_mrn/vector.*casme2/s02/c1"):
        run(store, tmp_path / "run", Toy(training=QUICK))


def test_a_store_without_the_array_says_which_build_makes_it(store, tmp_path):
    from mer_pipe.heads.ruan import Ruan

    with pytest.raises(StoreError, match=r"no gray/image.*mer-pipe build --dataset casme2 --only .*ruan"):
        plan(Request(Ruan(), store, tmp_path / "run"))


def test_clips_without_a_class_are_left_out_and_listed(tmp_path):
    store = make_store(tmp_path / "some.zarr", labels={"casme2/s01/c0": ""})
    made = run(store, tmp_path / "run", Toy(training=QUICK))
    assert made.facts["left_out"] == ["casme2/s01/c0"]
    assert len(made.facts["clips"]) == 23


def test_inner_selection_never_sees_the_test_clips_and_records_its_epoch(store, tmp_path):
    head = Toy(training=replace(QUICK, epochs=8, selection="inner", validation=0.34, patience=2))
    made = run(store, tmp_path / "run", head)
    for number in range(4):
        fold = made.predictions(0, number)
        lines = made.place(0, number, "csv").read_text().splitlines()
        assert lines[0] == "epoch,lr,loss,uf1"
        scores = [float(line.split(",")[3]) for line in lines[1:]]
        assert fold.epoch == 1 + int(np.argmax(scores))
        assert len(scores) == 8 or len(scores) == fold.epoch + 2
    assert made.cautions == ()


def test_peeking_at_the_test_clips_is_labelled_wherever_a_figure_stands(store, tmp_path):
    from mer_pipe.heads.card import card

    head = Toy(training=replace(QUICK, selection="test_peek"))
    made = run(store, tmp_path / "run", head)
    assert made.cautions == (PEEKED,)
    assert "not comparable with honest figures" in card(made)
    assert table([made])[0].as_json()["cautions"] == [PEEKED]


def test_composite_rows_are_told_for_each_database_and_for_all(tmp_path):
    store = make_store(tmp_path / "two.zarr", subjects=3, databases=("casme2", "samm"))
    rows = table([run(store, tmp_path / "run", Toy(training=QUICK), protocol="cde")])
    assert [(row.database, row.clips, row.subjects) for row in rows] == [
        ("all", 36, 6),
        ("casme2", 18, 3),
        ("samm", 18, 3),
    ]
    assert rows[0].acc.mean == pytest.approx((rows[1].acc.mean + rows[2].acc.mean) / 2)


def test_seeds_give_a_spread(store, tmp_path):
    row = table([run(store, tmp_path / "run", Toy(training=QUICK), seeds=(0, 1, 2))])[0]
    assert row.seeds == (0, 1, 2)
    accuracies = [m.acc for m in row.per_seed]
    assert row.acc.mean == pytest.approx(np.mean(accuracies))
    assert row.acc.spread == pytest.approx(np.std(accuracies, ddof=1))


def test_a_kept_network_tells_what_it_is_and_predicts_what_was_written(store, tmp_path):
    import safetensors.torch

    made = run(store, tmp_path / "run", Toy(training=QUICK), checkpoints=True, views=True)
    place = made.place(0, 2, "safetensors")
    card = read_card(place)
    fold = made.predictions(0, 2)
    assert (card["head"], card["fold"], card["classes"]) == ("toy", "casme2/s03", list(CLASSES))
    assert card["settings"] == json.loads(json.dumps(dataclasses.asdict(Toy(training=QUICK))))
    source = fold_module.Source(str(store), made.facts["store"]["contents"], Toy().needs, "cpu", "auto")
    network = Toy().network(source.table.inputs)
    network.load_state_dict(safetensors.torch.load_file(place))
    batch = source.clips(made.folds[2].test).batch(torch.arange(6))
    with torch.no_grad():
        said = Toy().probabilities(network.eval(), batch)
    assert np.allclose(said, fold.probabilities, atol=1e-6)
    assert read_views(made, 0)["attention[query,key]"].shape == (24, 2, 2)


def test_too_little_memory_on_the_gpu_names_the_way_round_it(store, tmp_path, monkeypatch):
    def loss(self, network, batch, clips):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(Toy, "loss", loss)
    told = r"too little memory for batches of 8 clips: CUDA out of memory.*--backend pinned.*training.batch=N"
    with pytest.raises(MachineError, match=told):
        run(store, tmp_path / "run", Toy(training=QUICK))


def test_half_precision_on_a_cpu_is_refused_and_bfloat16_trains(store, tmp_path):
    with pytest.raises(TrainingError, match="float16 training needs a GPU"):
        run(store, tmp_path / "half", Toy(training=replace(QUICK, precision="float16")))
    brain = replace(QUICK, epochs=20, precision="bfloat16")
    assert table([run(store, tmp_path / "brain", Toy(training=brain))])[0].acc.mean > 0.8


def test_a_checkpoint_is_recorded_by_its_digest_and_not_by_its_place(tmp_path):
    (tmp_path / "net.pt").write_bytes(b"weights")
    told = _settings(Msmmt(weights=str(tmp_path / "net.pt")))["weights"]
    assert told == f"net.pt sha256:{hashlib.sha256(b'weights').hexdigest()}"
    assert _settings(Msmmt(weights="random:3"))["weights"] == "random:3"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_device_that_is_not_there_is_told(store, tmp_path):
    with pytest.raises(MachineError, match="device 'cuda' cannot be used"):
        plan(Request(Toy(), store, tmp_path / "run", device="cuda"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
@pytest.mark.parametrize("backend", ["resident", "pinned", "pageable"])
def test_a_gpu_trains_the_same_from_every_backend(store, tmp_path, backend):
    reference = run(store, tmp_path / "reference", Toy(training=QUICK), device="cuda", backend="zarr")
    made = run(store, tmp_path / backend, Toy(training=QUICK), device="cuda", backend=backend)
    for number in range(4):
        assert np.allclose(
            reference.predictions(0, number).probabilities, made.predictions(0, number).probabilities, atol=1e-5
        )
