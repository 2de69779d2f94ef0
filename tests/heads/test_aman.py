"""AMAN: layer 4 and its checkpoint, batch norms, both attentions, and a planted signal."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from mer_pipe.heads import aman
from mer_pipe.heads.aman import ARRAY, Aman
from mer_pipe.heads.head import Inputs, Need
from mer_pipe.stages import resnet
from mer_pipe.stages.weights import file_digest
from mer_pipe.types import ModelError, RecipeError, Weights
from tests.heads.toy_clips import ToyClips, accuracy, trained, without_gradient

FRAMES, AF = 3, (1.0, 2.0, 4.0, 8.0)
INPUTS = Inputs(
    {ARRAY: (FRAMES, len(AF), 256, 2, 2)},
    {ARRAY: {"frame": tuple(range(FRAMES)), "af": AF}},
    ("negative", "positive"),
    recipe={"features": {"weights": "random:3", "dtype": "float16"}},
)


@pytest.fixture(autouse=True, scope="module")
def seed_3_is_drawn_once():
    """Eleven million draws take a third of a second, and most tests here need the same."""
    drawn, load = resnet.load(Weights("random:3")), resnet.load
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resnet, "load", lambda w: copy.deepcopy(drawn) if w.digest == "random:3" else load(w))
        yield


def made(head: Aman | None = None, seed: int = 0, inputs: Inputs = INPUTS) -> aman.Network:
    torch.manual_seed(seed)
    return (head or Aman()).network(inputs)


def clips(count: int = 6, seed: int = 0, signal: float = 0.0) -> ToyClips:
    """Maps >= 0; class c lifts 32 channels of its own in frame 1 at the two largest factors."""
    source = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    maps = torch.randn(count, FRAMES, len(AF), 256, 2, 2, generator=source).abs()
    for i, label in enumerate(labels.tolist()):
        maps[i, 1, 2:, 32 * label : 32 * label + 32] += signal
    return ToyClips({ARRAY: maps.half()}, labels)


def probabilities(network: aman.Network, of: ToyClips) -> torch.Tensor:
    with torch.no_grad():
        return Aman().probabilities(network.eval(), of.whole())


def running(network: aman.Network) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in network.state_dict().items() if "running" in k or "num_batches" in k}


def test_probabilities_are_rows_that_sum_to_one():
    found = probabilities(made(), clips())
    assert found.shape == (6, 2)
    assert found.dtype == torch.float32
    assert torch.allclose(found.sum(1), torch.ones(6), atol=1e-6)
    assert Aman().needs == (Need("features_aman/map", "aman"),)


def test_the_training_is_the_released_codes_but_for_the_rate():
    how = Aman().training
    assert (how.optimizer, how.lr, how.eps, how.weight_decay) == ("rmsprop", 1e-4, 1e-8, 1e-4)
    assert (how.schedule, how.every, how.factor, how.epochs, how.batch) == ("step", 30, 0.2, 50, 4)


def test_the_networks_formula_written_out():
    network, maps = made().eval(), clips(2).arrays[ARRAY].float()
    q0, p0 = network.magnification.q0, network.frames.q0
    with torch.no_grad():
        found = network(maps)
        for n in range(2):
            of_frames = []
            for frame in range(FRAMES):
                f = torch.stack([network.layer4(maps[n, frame, a][None])[0].mean((1, 2)) for a in range(len(AF))])
                alpha = torch.sigmoid(f @ q0)
                assert torch.allclose(found.magnification[n, frame], alpha / alpha.sum(), atol=1e-5)
                of_frames.append((alpha[:, None] * f).sum(0) / alpha.sum())
            of_frames = torch.stack(of_frames)
            alpha = torch.sigmoid(of_frames @ p0)
            assert torch.allclose(found.frames[n], alpha / alpha.sum(), atol=1e-5)
            fused = (alpha[:, None] * of_frames).sum(0) / alpha.sum()
            expected = network.classifier(fused)
            assert torch.allclose(found.logits[n], expected, atol=1e-4)


def test_chunks_change_nothing_but_rounding(monkeypatch):
    network, of = made(), clips()
    whole = probabilities(network, of)
    monkeypatch.setattr(aman, "CHUNK", 5)
    assert torch.allclose(probabilities(network, of), whole, atol=1e-5)


def test_a_clip_does_not_feel_the_clips_beside_it():
    of = clips()
    for head in (Aman(), Aman(bn_mode="batch")):
        network = made(head)
        together = probabilities(network, of)
        alone = probabilities(network, ToyClips({ARRAY: of.arrays[ARRAY][2:3]}, of.labels[2:3]))
        assert torch.allclose(alone[0], together[2], atol=1e-5)


def test_the_order_of_the_factors_does_not_matter():
    of = clips()
    network = made()
    order = torch.tensor([2, 0, 3, 1])
    permuted = ToyClips({ARRAY: of.arrays[ARRAY][:, :, order]}, of.labels)
    assert torch.allclose(probabilities(network, of), probabilities(network, permuted), atol=1e-5)
    views, other = (Aman().views(network, x.whole())["magnification[frame,af]"] for x in (of, permuted))
    assert np.allclose(views[:, :, order], other, atol=1e-5)


def test_layer_4_comes_from_the_checkpoint_of_the_stores_features():
    state, truth = made().layer4.state_dict(), resnet.random_state(3)
    assert len(state) == 30
    assert all(torch.equal(value, truth[f"layer4.{name}"]) for name, value in state.items())
    head = Aman(layer4_init="random")
    first, again, other = (made(head, seed).layer4[0].conv1.weight for seed in (0, 0, 1))
    assert not torch.equal(first, state["0.conv1.weight"])
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_checkpoint_file_is_taken_only_if_the_store_was_made_with_it(tmp_path):
    path, other = str(tmp_path / "net.pth"), str(tmp_path / "other.pth")
    torch.save(resnet.random_state(5), path)
    torch.save(resnet.random_state(6), other)
    inputs = replace(INPUTS, recipe={"features": {"weights": file_digest(path)}})
    state = made(Aman(weights=path), inputs=inputs).layer4.state_dict()
    assert torch.equal(state["1.conv2.weight"], resnet.random_state(5)["layer4.1.conv2.weight"])
    with pytest.raises(ModelError) as told:
        made(Aman(weights=other), inputs=inputs)
    assert file_digest(path) in told.value.message
    assert file_digest(other) in told.value.message
    with pytest.raises(ModelError, match="no file is given. Give that checkpoint as weights=FILE"):
        made(inputs=inputs)
    with pytest.raises(ModelError, match=f"{file_digest(path)}, but the store's features were made with random:3"):
        made(Aman(weights=path))
    with pytest.raises(ModelError, match="cannot be read"):
        made(Aman(weights=str(tmp_path / "none.pth")), inputs=inputs)
    made(Aman(layer4_init="random"), inputs=inputs)


def test_a_store_that_does_not_tell_its_weights_is_refused():
    with pytest.raises(ModelError, match="names no weights"):
        made(inputs=replace(INPUTS, recipe={}))


def test_batch_norms_in_evaluation_mode_keep_their_statistics_in_training():
    network, of = made().train(), clips()
    assert network.training
    assert not any(m.training for m in network.layer4.modules())
    before = running(network)
    loss = Aman().loss(network, of.whole(), of)
    loss.backward()
    after = running(network)
    assert len(before) == 15
    assert all(torch.equal(before[name], after[name]) for name in before)
    with torch.no_grad():
        assert loss.item() == pytest.approx(Aman().loss(network.eval(), of.whole(), of).item(), abs=1e-6)


def test_batch_norms_of_the_released_code_take_the_statistics_of_a_frames_factors():
    head = Aman(bn_mode="batch")
    network, maps = made(head), clips(2).arrays[ARRAY].float()
    assert running(network) == {}
    plain = made().layer4.train()
    with torch.no_grad():
        expected = torch.stack([plain(maps[n, f]).mean((2, 3)) for n in range(2) for f in range(FRAMES)])
        for mode in (True, False):
            found = network.train(mode).vectors(maps.flatten(0, 2)).unflatten(0, (2 * FRAMES, len(AF)))
            assert torch.allclose(found, expected, atol=1e-4)
    assert not torch.allclose(expected.flatten(0, 1), made().vectors(maps.flatten(0, 2)), atol=0.05)


@pytest.mark.parametrize("bn_mode", aman.BN_MODES)
def test_every_parameter_learns(bn_mode):
    head = Aman(bn_mode=bn_mode)
    network, of = made(head).train(), clips()
    head.loss(network, of.whole(), of).backward()
    assert without_gradient(network) == []
    assert sum(name.startswith("layer4.") for name, _ in network.named_parameters()) == 15


def test_attention_can_be_switched_off():
    of = clips()
    network = made(Aman(magnification_attention=False, frame_attention=False))
    views = Aman().views(network.eval(), of.whole())
    assert np.allclose(views["magnification[frame,af]"], 1 / len(AF))
    assert np.allclose(views["frames[frame]"], 1 / FRAMES)
    assert not any("q0" in name for name, _ in network.named_parameters())
    one = made(Aman(frame_attention=False))
    assert [name for name, _ in one.named_parameters() if "q0" in name] == ["magnification.q0"]
    with torch.no_grad():
        maps = of.arrays[ARRAY]
        mean = network.vectors(maps.flatten(0, 2)).unflatten(0, maps.shape[:3]).mean((1, 2))
        assert torch.allclose(network(maps).logits, network.classifier(mean), atol=1e-5)


def test_views_are_weights_that_sum_to_one():
    views = Aman().views(made().eval(), clips().whole())
    assert views["magnification[frame,af]"].shape == (6, FRAMES, len(AF))
    assert views["frames[frame]"].shape == (6, FRAMES)
    for view in views.values():
        assert view.dtype == np.float32
        assert np.abs(view.sum(-1) - 1).max() < 1e-5
        assert view.std(-1).max() > 0


def test_a_subset_of_the_factors_is_the_same_as_a_smaller_store():
    of = clips()
    inputs = replace(INPUTS, coordinates={ARRAY: {"af": (2.0, 8.0)}})
    reduced = ToyClips({ARRAY: of.arrays[ARRAY][:, :, [1, 3]]}, of.labels)
    for mode in aman.BN_MODES:
        subset, smaller = made(Aman(af=(8.0, 2.0), bn_mode=mode)), made(Aman(bn_mode=mode), inputs=inputs)
        assert torch.equal(probabilities(subset, of), probabilities(smaller, reduced))


def test_a_factor_that_is_not_stored_is_named_with_those_that_are():
    with pytest.raises(RecipeError, match="af=3 is not in features_aman/map. Take some of 1, 2, 4, 8"):
        made(Aman(af=(2.0, 3.0)))


def test_a_planted_signal_is_learnt_and_labels_that_say_nothing_are_not():
    train, test = clips(16, 1, signal=4.0), clips(16, 2, signal=4.0)
    assert accuracy(Aman(), trained(Aman(), INPUTS, train, 12, 0.02, batch=8), test) > 0.9
    assert accuracy(Aman(), trained(Aman(), INPUTS, train.relabelled(), 12, 0.02, batch=8), test) < 0.75


@pytest.mark.parametrize("bn_mode", aman.BN_MODES)
def test_a_checkpoint_and_a_seed_give_the_same_bits(bn_mode):
    head, of = Aman(bn_mode=bn_mode), clips(2)
    network, same = (trained(head, INPUTS, of, 2, 0.01, batch=2) for _ in range(2))
    again = made(Aman(bn_mode=bn_mode, layer4_init="random"), seed=9)
    again.load_state_dict(network.state_dict())
    found = probabilities(network, of)
    assert torch.equal(found, probabilities(same, of))
    assert torch.equal(found, probabilities(again, of))


def test_mixed_precision_stays_near():
    network, of = made(), clips()
    exact = probabilities(network, of)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        near = probabilities(network, of)
        loss = Aman().loss(network.train(), of.whole(), of)
    loss.backward()
    assert without_gradient(network) == []
    assert near.dtype == torch.float32
    assert (near - exact).abs().max() < 0.02


def test_bad_settings_are_refused():
    with pytest.raises(RecipeError, match="bn_mode='train' is unknown. Take one of eval, batch"):
        Aman(bn_mode="train")
    with pytest.raises(RecipeError, match="layer4_init='imagenet' is unknown"):
        Aman(layer4_init="imagenet")
