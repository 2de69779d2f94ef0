"""MRN: positions, fusion, the store's factors, and a planted signal."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from mer_pipe.heads.head import Inputs, Need
from mer_pipe.heads.mrn import ARRAY, Mrn, sinusoids
from mer_pipe.heads.settings import factor_positions
from mer_pipe.types import RecipeError
from tests.heads.toy_clips import ToyClips, accuracy, trained, without_gradient

AF = (2.0, 2 + 10 / 31, 2 + 20 / 31, 5.0, 6.0, 12.0)
WIDTH = 16
INPUTS = Inputs({ARRAY: (len(AF), WIDTH)}, {ARRAY: {"af": AF}}, ("negative", "positive", "surprise"))
SMALL = Mrn(layers=2, heads=2, feed_forward=24)


def made(head: Mrn = SMALL, seed: int = 0):
    torch.manual_seed(seed)
    return head.network(INPUTS)


def clips(count: int = 24, seed: int = 0, signal: float = 0.0) -> ToyClips:
    """Features >= 0 like the store's; class c lifts features 3 c and 3 c + 1 at high factors."""
    source = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    features = torch.randn(count, len(AF), WIDTH, generator=source).abs()
    for i, label in enumerate(labels.tolist()):
        features[i, 3:, 3 * label : 3 * label + 2] += signal
    return ToyClips({ARRAY: features.half()}, labels)


def probabilities(head: Mrn, network, of: ToyClips) -> torch.Tensor:
    with torch.no_grad():
        return head.probabilities(network.eval(), of.whole())


def test_probabilities_are_rows_that_sum_to_one():
    found = probabilities(SMALL, made(), clips())
    assert found.shape == (24, 3)
    assert found.dtype == torch.float32
    assert torch.allclose(found.sum(1), torch.ones(24), atol=1e-6)
    assert found.min() > 0
    assert SMALL.needs == (Need("features_mrn/vector", "mrn"),)


def test_the_default_settings_fit_the_stores_features():
    inputs = Inputs({ARRAY: (12, 1024)}, {ARRAY: {"af": tuple(float(a) for a in range(2, 14))}}, ("a", "b"))
    network = Mrn().network(inputs)
    assert [tuple(block.attention.planes.shape) for block in network.blocks] == [(4, 8, 3, 128)] * 3
    assert network.classifier.weight.shape == (2, 2048)


def test_the_networks_formula_written_out():
    """One layer without positions and with the blocks' own arithmetic tested elsewhere: mean, fusion, concatenation."""
    head = replace(SMALL, positions=False)
    network, x = made(head), clips(4).arrays[ARRAY].float()
    with torch.no_grad():
        attended = x
        for block in network.blocks:
            attended, _ = block(attended, False)
        beta = torch.sigmoid(x @ network.gate.q0)
        fused = (beta[..., None] * x).sum(1) / beta.sum(1, keepdim=True)
        joined = torch.cat([attended.mean(1), fused], dim=1)
        expected = joined @ network.classifier.weight.T + network.classifier.bias
        assert torch.allclose(network(x, drop=False).values, expected, atol=1e-5)


def test_positions_are_those_of_the_paper():
    table = sinusoids(32, 1024)
    for p, d in ((0, 0), (1, 0), (31, 17), (7, 511)):
        angle = p / 10000 ** (2 * d / 1024)
        assert table[p, 2 * d] == pytest.approx(math.sin(angle), abs=1e-6)
        assert table[p, 2 * d + 1] == pytest.approx(math.cos(angle), abs=1e-6)


def test_the_order_of_the_factors_matters_only_through_positions():
    of = clips()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    permuted = ToyClips({ARRAY: of.arrays[ARRAY][:, order]}, of.labels)
    ordered, unordered = SMALL, replace(SMALL, positions=False)
    assert not torch.allclose(
        probabilities(ordered, made(ordered), of), probabilities(ordered, made(ordered), permuted), atol=1e-4
    )
    assert torch.allclose(
        probabilities(unordered, made(unordered), of), probabilities(unordered, made(unordered), permuted), atol=1e-6
    )


def test_no_planes_give_the_bits_of_full_attention():
    none, full = replace(SMALL, planes=0), replace(SMALL, attention="full")
    assert torch.equal(probabilities(none, made(none), clips()), probabilities(full, made(full), clips()))
    sparse = probabilities(SMALL, made(), clips())
    assert not torch.equal(sparse, probabilities(full, made(full), clips()))


def test_the_hash_seed_changes_the_planes_and_nothing_else():
    first, other = made(), made(replace(SMALL, hash_seed=1))
    for name, value in first.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]) is not name.endswith("planes")


def test_a_subset_of_the_factors_is_the_same_as_a_smaller_store():
    head = replace(SMALL, af=(6.0, 2.32258))
    assert factor_positions(INPUTS, ARRAY, head.af) == (1, 4)
    of = clips()
    smaller = replace(INPUTS, shapes={ARRAY: (2, WIDTH)}, coordinates={ARRAY: {"af": (AF[1], AF[4])}})
    torch.manual_seed(0)
    network = SMALL.network(smaller)
    reduced = ToyClips({ARRAY: of.arrays[ARRAY][:, [1, 4]]}, of.labels)
    assert torch.equal(probabilities(head, made(head), of), probabilities(SMALL, network, reduced))


def test_a_factor_that_is_not_stored_is_named_with_those_that_are():
    with pytest.raises(
        RecipeError, match=r"af=9 is not in features_mrn/vector. Take some of 2, 2.32258, 2.64516, 5, 6"
    ):
        replace(SMALL, af=(5.0, 9.0)).network(INPUTS)
    with pytest.raises(RecipeError, match="af=5 is named twice"):
        replace(SMALL, af=(5.0, 5.0)).network(INPUTS)


def test_every_parameter_learns_and_the_planes_do_not():
    network, of = made().train(), clips()
    SMALL.loss(network, of.whole(), of).backward()
    assert without_gradient(network) == []
    assert not any(name.endswith(("planes", "positions", "shift", "scale")) for name, _ in network.named_parameters())


def test_the_loss_is_the_cross_entropy():
    network, of = made().train(), clips()
    loss = SMALL.loss(network, of.whole(), of)
    found = probabilities(SMALL, network, of)
    assert loss.item() == pytest.approx(-found[torch.arange(24), of.labels].log().mean().item(), abs=1e-6)


def test_views_are_the_weights():
    views = SMALL.views(made().eval(), clips().whole())
    attention, fusion = views["attention[layer,head,query,key]"], views["fusion[af]"]
    assert attention.shape == (24, 2, 2, len(AF), len(AF))
    assert fusion.shape == (24, len(AF))
    assert {a.dtype for a in views.values()} == {np.dtype("float32")}
    rows = attention.sum(-1)
    assert np.all((np.abs(rows - 1) < 1e-5) | (rows == 0))
    assert (attention == 0).any()
    assert np.abs(fusion.sum(1) - 1).max() < 1e-5
    full = SMALL.views(made(replace(SMALL, attention="full")).eval(), clips().whole())
    assert (full["attention[layer,head,query,key]"] > 0).all()


def test_statistics_come_from_the_training_clips_and_are_kept_in_the_checkpoint():
    head, of = replace(SMALL, af=(5.0, 6.0)), clips(100)
    of.arrays[ARRAY][:, :, 7] = 3
    network = made(head)
    head.prepare(network, of)
    values = of.arrays[ARRAY][:, [3, 4]].double().reshape(-1, WIDTH)
    assert torch.allclose(network.state_dict()["shift"].double(), values.mean(0), atol=1e-5)
    expected = values.std(0, correction=0)
    expected[7] = 1
    assert torch.allclose(network.state_dict()["scale"].double(), expected, atol=1e-5)
    plain = made()
    replace(SMALL, standardise=False).prepare(plain, of)
    assert (plain.shift == 0).all()
    assert (plain.scale == 1).all()


def test_features_enter_standardised_and_positions_do_not():
    """Any scale and shift of the features cancel out."""
    of = clips()
    other = ToyClips({ARRAY: 0.05 * of.arrays[ARRAY].float() + 2}, of.labels)
    found = []
    for each in (of, other):
        network = made()
        SMALL.prepare(network, each)
        found.append(probabilities(SMALL, network, each))
    assert torch.allclose(found[0], found[1], atol=1e-4)


def test_a_planted_signal_is_learnt_and_labels_that_say_nothing_are_not():
    train, test = clips(60, 1, signal=1.5), clips(60, 2, signal=1.5)
    network = trained(SMALL, INPUTS, train, 60, 0.03)
    assert accuracy(SMALL, network, test) > 0.9
    network = trained(SMALL, INPUTS, train.relabelled(), 60, 0.03)
    assert accuracy(SMALL, network, test) < 0.6


def test_a_checkpoint_gives_the_same_bits():
    of = clips()
    network = trained(SMALL, INPUTS, of, 3, 1e-3)
    again = made(seed=9)
    again.load_state_dict(network.state_dict())
    assert torch.equal(probabilities(SMALL, network, of), probabilities(SMALL, again, of))


def test_training_repeats_from_its_seed():
    head = replace(SMALL, dropout=0.3)
    first, second = (trained(head, INPUTS, clips(), 5, 1e-3).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_mixed_precision_stays_near():
    network, of = made(), clips()
    exact = probabilities(SMALL, network, of)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        near = probabilities(SMALL, network, of)
    assert near.dtype == torch.float32
    # A query near a plane may change its bucket: most clips stay near, not all.
    assert (near - exact).abs().median() < 0.02


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attention": "dense"}, "attention='dense' is unknown. Take one of sparse, full"),
        ({"mask": "none"}, "mask='none' is unknown"),
        ({"planes": -1}, "planes=-1 is below 0"),
        ({"planes": 63}, "planes=63 is above 62"),
        ({"tables": 0}, "tables=0 is below 1"),
        ({"dropout": 1.0}, "dropout=1.0 is no share below 1"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(RecipeError, match=message):
        Mrn(**settings)


def test_heads_must_divide_the_features():
    with pytest.raises(RecipeError, match="heads=3 do not divide the features' width 16"):
        Mrn(heads=3).network(INPUTS)
