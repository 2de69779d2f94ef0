"""Trainings of the magnifier: what is learnt, what a kill costs, what is left, and the parts of the loss."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from skimage.metrics import structural_similarity

from mer_pipe.pretrain.magnifier import batches, events, network, optimizer, run, sources, train, validation
from mer_pipe.pretrain.magnifier.settings import Settings, changed
from mer_pipe.stages.magnify.dialects import DIALECTS, recognise
from mer_pipe.stages.magnify.learned import learned
from mer_pipe.stages.weights import file_digest, load_state
from mer_pipe.types import RecipeError, Weights

QUICK = Settings(width=16, steps=20, every=8, batch=2, size=32, twins=1, warm_up=5, average=0.9)
SHORT = Settings(width=8, steps=5, every=2, batch=2, size=16, twins=1, warm_up=2, precision="bfloat16", seed=3)
WEIGHTS = "magnifier.safetensors"


PAIRS = validation.pairs


def hurry(patch: pytest.MonkeyPatch) -> None:
    """Validate on two scenes, and train on few pictures."""
    patch.setattr(validation, "pairs", lambda settings, count=2: PAIRS(settings, 2))
    patch.setattr(batches, "TEXTURES", 6)
    patch.setattr(sources, "TRAINING", {"text": 1, "clock": 2})


@pytest.fixture(scope="module", autouse=True)
def in_a_hurry():
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        yield


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """A short training, its events and its report."""
    out = tmp_path_factory.mktemp("learnt") / "out"
    heard: list[events.Event] = []
    told, changed_ = run.run(run.prepare(out, QUICK, "cpu"), heard.append)
    assert changed_
    return out, told, heard


def test_the_loss_falls_and_a_motion_is_magnified():
    """One planted batch, over and over: what comes out is nearer to the truth than the target is, where that moves."""
    settings = Settings(width=16, batch=2, size=32, twins=1)
    pool = batches.Pool(sources.photographs(sources.TRAINING), settings, np.random.default_rng(0))
    batch = train._tensors(pool.batch(), torch.device("cpu"))
    net = network.first(settings)
    muon = optimizer.Muon(dict(net.named_parameters()), {}, {})
    losses = []
    for step in range(100):
        loss = network.loss(net, batch, settings, half=False)
        loss.backward()
        muon.step(step + 1, 0.01, 2e-3)
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
    with torch.no_grad():
        _, a = net.encoder(batch["reference"])
        texture, b = net.encoder(batch["target"])
        out = net.decoder(texture, net.manipulator(b - a, b, (batch["af"] - 1)[:, None, None, None]))
    far = ((batch["target"] - batch["truth"]).abs() > 0.1) & (batch["known"] > 0)
    assert far.sum() > 100
    assert (out - batch["truth"])[far].abs().mean() < 0.5 * (batch["target"] - batch["truth"])[far].abs().mean()


def test_what_a_run_leaves(learnt):
    out, told, _ = learnt
    assert sorted(p.name for p in out.iterdir()) == ["card.md", "curve.png", WEIGHTS, "report.json"]
    assert json.loads((out / "report.json").read_text()) == told
    assert Image.open(out / "curve.png").size[0] > 500
    card = (out / "card.md").read_text()
    assert told["weights"]["digest"] in card
    for name, licence in sources.LICENCES.items():
        assert f"* {name}: {licence}" in card
    with safe_open(out / WEIGHTS, "pt") as file:
        inside = json.loads(file.metadata()["mer_pipe"])
    assert inside["identity"] == told["identity"]
    assert inside["identity"]["picture"] == sources.digests()


def test_the_weights_are_of_the_dialect_of_the_original_at_their_width(learnt):
    out, told, _ = learnt
    weights = Weights(told["weights"]["digest"], str(out / WEIGHTS))
    state = load_state(weights)
    assert sum(t.numel() for t in state.values()) == told["weights"]["values"]
    dialect, shape, tensors = recognise(state, "weights")
    assert dialect is DIALECTS[0]
    assert (shape.width, shape.bias, shape.kernel, shape.shape_conv, shape.texture_up) == (16, False, 7, True, True)
    assert tensors.keys() == network.first(QUICK).state_dict().keys()
    frames = np.random.default_rng(0).integers(0, 256, (2, 20, 24, 3)).astype(np.uint8)
    assert learned(*frames, (1.0, 7.0), weights).shape == (2, 20, 24, 3)


def test_an_observer_hears_every_round_and_step(learnt):
    _, told, heard = learnt
    ended = [e for e in heard if isinstance(e, events.Ended)]
    assert [e.step for e in ended] == [8, 16, 20]
    assert [e.loss for e in ended] == [entry["loss"] for entry in told["history"]]
    assert [e.step for e in heard if isinstance(e, events.Stepped)] == list(range(1, 21))


def test_the_same_command_again_does_nothing_and_another_is_refused(learnt):
    out, told, _ = learnt
    before = (out / WEIGHTS).stat().st_mtime_ns
    assert run.run(run.prepare(out, QUICK, "cpu")) == (told, False)
    assert (out / WEIGHTS).stat().st_mtime_ns == before
    with pytest.raises(RecipeError, match="of another training: width 16, not 24"):
        run.run(run.prepare(out, changed(QUICK, {"width": "24"}), "cpu"))


KILLED = """
import os, signal, sys
from pathlib import Path
import pytest, torch
from mer_pipe.pretrain.magnifier import run
from tests.pretrain.test_magnifier import SHORT, hurry
hurry(pytest.MonkeyPatch())
torch.set_num_threads(int(sys.argv[2]))
def tell(event):
    if type(event).__name__ == "Stepped" and event.step == 4:
        os.kill(os.getpid(), signal.SIGKILL)
run.run(run.prepare(Path(sys.argv[1]), SHORT, "cpu"), tell)
"""


def test_a_killed_training_goes_on_to_the_same_bytes(tmp_path):
    whole, _ = run.run(run.prepare(tmp_path / "whole", SHORT, "cpu"))
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "cut"), str(torch.get_num_threads())],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert [p.name for p in (tmp_path / "cut").iterdir()] == ["checkpoint.safetensors"]
    heard: list[events.Event] = []
    cut, _ = run.run(run.prepare(tmp_path / "cut", SHORT, "cpu"), heard.append)
    assert [e.step for e in heard if isinstance(e, events.Ended)] == [4, 5]
    assert (tmp_path / "cut" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()
    for report in (whole, cut):
        del report["machine"]
        for entry in report["history"]:
            del entry["seconds"]
    assert cut == whole


def test_a_longer_training_begins_as_a_shorter_one_until_that_falls():
    short, long = Settings(steps=1000), Settings(steps=4000)
    same = [step for step in range(1000) if train.rate(short, step) == train.rate(long, step)]
    assert same == list(range(701))
    assert train.rate(short, 0) == 1 / 500
    assert train.rate(short, 850) == pytest.approx(0.5)
    assert train.rate(long, 3999) < 0.001


def test_ssim_is_that_of_scikit_image():
    a, b = np.random.default_rng(0).random((2, 40, 40))
    b = 0.5 * a + 0.5 * b
    options = {"data_range": 1, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "full": True}
    theirs = structural_similarity(a, b, **options)[1][6:-6, 6:-6]
    ours = network.ssim(*(torch.from_numpy(v)[None, None].float() for v in (a, b)), 1.0)[0, 0, 6:-6, 6:-6]
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_the_optimizer_makes_orthogonal_steps():
    matrices = torch.randn(3, 12, 40, generator=torch.Generator().manual_seed(0))
    for x in (matrices, matrices.mT):
        values = torch.linalg.svdvals(optimizer.orthogonal(x))
        assert values.min() > 0.6
        assert values.max() < 1.3
    net = network.first(SHORT)
    muon = optimizer.Muon(dict(net.named_parameters()), {}, {})
    assert set(muon.squares) == {"encoder.enter.weight", "decoder.leave.weight"}
    before = {n: p.detach().clone() for n, p in net.named_parameters()}
    for p in net.parameters():
        p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(1))
    muon.step(1, 0.01, 0.002)
    first = before["encoder.enter.weight"] - net.encoder.enter.weight.detach()
    assert float(first.abs().max()) == pytest.approx(0.002, rel=1e-3)  # Adam's first step is the rate itself
    inner = (before["decoder.blocks.0.a.weight"] - net.decoder.blocks[0].a.weight).detach().reshape(8, -1)
    assert torch.linalg.svdvals(inner).max() < 0.013
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"width": "12"}, "no multiple of 8"),
        ({"size": "30"}, "no multiple of 4"),
        ({"steps": "0"}, "steps cannot be 0"),
        ({"lr": "nan"}, "lr cannot be nan"),
        ({"average": "1"}, "average 1.0 is outside"),
        ({"least": "2"}, "motions of 2.0 to 1.0 px"),
        ({"reech": "9"}, "did you mean reach"),
        ({"batch": "few"}, "batch=few is no int"),
    ],
)
def test_settings_that_cannot_be_are_told(values, told):
    with pytest.raises(RecipeError, match=told):
        changed(Settings(), values)


def test_a_diverging_rate_is_told(tmp_path):
    wild = changed(SHORT, {"lr": "1e9", "adam_lr": "1e9", "warm_up": "0", "steps": "6", "every": "6"})
    prepared = run.prepare(tmp_path / "out", wild, "cpu")
    with pytest.raises(RecipeError, match="the training has diverged"):
        run.run(prepared)


def test_the_digest_of_the_report_is_that_of_the_file(learnt):
    out, told, _ = learnt
    assert told["weights"]["digest"] == file_digest(str(out / WEIGHTS))
