"""UAMRN: what its uncertainty is, how it weights the loss, and that it is MRN without it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mer_pipe.heads.head import Need
from mer_pipe.heads.mrn import ARRAY, Mrn
from mer_pipe.heads.uamrn import FLOOR, Passes, Uamrn
from mer_pipe.types import RecipeError
from tests.heads.test_mrn import INPUTS, clips
from tests.heads.toy_clips import accuracy, trained, without_gradient

SMALL = Uamrn(layers=2, heads=2, feed_forward=24, passes=4)
STILL = replace(SMALL, dropout=0.0)


def made(head: Uamrn = SMALL, seed: int = 0):
    torch.manual_seed(seed)
    return head.network(INPUTS)


def passes(m: int = 5, n: int = 6) -> Passes:
    source = torch.Generator().manual_seed(3)
    return Passes(torch.randn(m, n, 3, generator=source), torch.rand(m, n, 3, generator=source) + 0.1)


def test_the_defaults_are_the_papers():
    head = Uamrn()
    assert (head.heads, head.planes, head.tables, head.layers) == (2, 3, 4, 3)
    assert (head.training.epochs, head.training.lr, head.training.every, head.training.factor) == (40, 2e-4, 10, 0.1)
    assert head.needs == (Need("features_mrn/vector", "uamrn"),)


def test_uncertainty_is_the_papers_formula():
    p = passes()
    y, s2 = p.mean.double(), p.variance.double()
    gamma = (y**2).mean(0) - y.mean(0) ** 2 + s2.mean(0)
    assert torch.allclose((p.epistemic() + p.aleatoric()).double(), gamma, atol=1e-6)
    raw = replace(SMALL, gamma="raw").weigh(p)
    assert torch.allclose(raw.double(), gamma.mean(1), atol=1e-6)
    normalised = SMALL.weigh(p)
    assert normalised.mean() == pytest.approx(1)
    assert torch.allclose(normalised / normalised[0], raw / raw[0], atol=1e-6)


def test_no_gradient_passes_through_gamma():
    p = Passes(*(x.requires_grad_() for x in passes()))
    for head in (SMALL, replace(SMALL, gamma="raw")):
        assert not head.weigh(p).requires_grad


def test_the_loss_is_the_weighted_mean_of_surprise():
    """Gamma as a constant gives the same gradient as the loss, number for number."""
    head, of = replace(SMALL, gamma="raw"), clips()
    network = made(head).train()
    torch.manual_seed(5)
    loss = head.loss(network, of.whole(), of)
    loss.backward()
    found = {name: p.grad.clone() for name, p in network.named_parameters()}
    network.zero_grad()
    torch.manual_seed(5)
    learning = head._run(network, of.arrays[ARRAY], 1)
    others = head._run(network, of.arrays[ARRAY], 3)
    y, s2 = (torch.cat(pair).detach().double() for pair in zip(learning, others, strict=True))
    gamma = (y.var(0, correction=0) + s2.mean(0)).mean(1).float()
    expected = (gamma * head.surprise(learning, of.labels)).mean()
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for name, p in network.named_parameters():
        assert torch.allclose(p.grad, found[name], atol=1e-6)


def test_surprise_is_the_cross_entropy_where_the_logits_are_certain():
    y = passes(1).mean
    labels = torch.arange(6) % 3
    certain = SMALL.surprise(Passes(y, torch.full_like(y, 1e-12)), labels)
    assert torch.allclose(certain, torch.nn.functional.cross_entropy(y[0], labels, reduction="none"), atol=1e-4)


def test_surprise_is_the_mean_softmax_of_draws():
    head, one, labels = replace(SMALL, passes=20000), passes(1), torch.arange(6) % 3
    torch.manual_seed(0)
    found = head.surprise(one, labels)
    source = torch.Generator().manual_seed(1)
    draws = one.mean + one.variance.sqrt() * torch.randn(20000, 6, 3, generator=source)
    expected = -draws.softmax(-1).mean(0)[torch.arange(6), labels].log()
    assert torch.allclose(found, expected, atol=0.03)


def test_a_clip_that_is_wrongly_sure_gains_from_variance():
    """Kendall and Gal's attenuation: where the mean is wrong, a larger variance lowers the loss; where it is right, not."""
    y = torch.tensor([[[6.0, 0.0, 0.0]] * 2])
    variance = torch.ones_like(y).requires_grad_()
    torch.manual_seed(0)
    replace(SMALL, passes=500).surprise(Passes(y, variance), torch.tensor([1, 0])).sum().backward()
    assert variance.grad[0, 0].sum() < 0
    assert variance.grad[0, 1].sum() > 0


def test_every_parameter_learns_the_variances_too():
    network, of = made().train(), clips()
    SMALL.loss(network, of.whole(), of).backward()
    assert without_gradient(network) == []
    assert network.classifier.weight.shape == (6, 32)
    assert network.classifier.weight.grad[3:].abs().max() > 0


def test_without_dropout_nothing_is_epistemic_and_the_prediction_is_mrns():
    of = clips()
    network = made(STILL).eval()
    views = STILL.views(network, of.whole())
    assert (views["epistemic[class]"] == 0).all()
    assert (views["uncertainty[class]"] >= FLOOR).all()
    plain = Mrn(layers=2, heads=2, feed_forward=24)
    torch.manual_seed(1)
    twin = plain.network(INPUTS)
    state = network.state_dict()
    twin.load_state_dict(state | {f"classifier.{part}": state[f"classifier.{part}"][:3] for part in ("weight", "bias")})
    with torch.no_grad():
        found = STILL.probabilities(network, of.whole())
        assert torch.equal(found, STILL.probabilities(network, of.whole()))
        assert torch.allclose(found, plain.probabilities(twin.eval(), of.whole()), atol=1e-6)


def test_with_dropout_the_passes_differ_in_evaluation_too():
    network, of = made().eval(), clips()
    views = SMALL.views(network, of.whole())
    assert (views["epistemic[class]"] > 0).all()
    assert (views["uncertainty[class]"] > views["epistemic[class]"]).all()
    assert views["uncertainty[class]"].shape == (24, 3)
    assert views["attention[layer,head,query,key]"].shape == (24, 2, 2, 6, 6)


def test_the_prediction_is_the_mean_of_the_passes_softmax():
    network, of = made().eval(), clips()
    with torch.no_grad():
        torch.manual_seed(2)
        found = SMALL.probabilities(network, of.whole())
        torch.manual_seed(2)
        values = network(of.arrays[ARRAY].repeat(4, 1, 1), drop=True).values[:, :3]
    each = values.reshape(4, 24, 3).double().softmax(-1)
    assert not torch.equal(each[0], each[1])
    assert torch.allclose(found.double(), each.mean(0), atol=1e-6)
    assert torch.allclose(found.sum(1), torch.ones(24), atol=1e-6)


def test_more_passes_are_a_steadier_prediction():
    network, of = made().eval(), clips(6)
    spread = []
    for number in (2, 32):
        head = replace(SMALL, passes=number)
        with torch.no_grad():
            found = torch.stack([head.probabilities(network, of.whole()) for _ in range(20)])
        spread.append(found.std(0).mean())
    assert spread[1] < 0.5 * spread[0]


def test_a_planted_signal_is_learnt_and_labels_that_say_nothing_are_not():
    train, test = clips(60, 1, signal=1.5), clips(60, 2, signal=1.5)
    assert accuracy(SMALL, trained(SMALL, INPUTS, train, 60, 0.03), test) > 0.9
    assert accuracy(SMALL, trained(SMALL, INPUTS, train.relabelled(), 60, 0.03), test) < 0.6


def test_a_checkpoint_and_a_seed_give_the_same_bits():
    of = clips()
    network, same = (trained(SMALL, INPUTS, of, 3, 1e-3) for _ in range(2))
    again = made(seed=9).eval()
    again.load_state_dict(network.state_dict())
    found = []
    for each in (network, same, again):
        torch.manual_seed(4)
        with torch.no_grad():
            found.append(SMALL.probabilities(each, of.whole()))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_bad_settings_are_refused():
    with pytest.raises(RecipeError, match="gamma='max' is unknown. Take one of normalised, raw"):
        Uamrn(gamma="max")
    with pytest.raises(RecipeError, match="passes=0 is below 1"):
        Uamrn(passes=0)
    with pytest.raises(RecipeError, match="attention='dense'"):
        Uamrn(attention="dense")
