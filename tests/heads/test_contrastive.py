"""Contrastive losses against values computed by hand."""

from __future__ import annotations

import math

import pytest
import torch

from mer_pipe.heads.contrastive import info_nce, overlap, weighted_contrastive


def features(n: int, width: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, width, generator=torch.Generator().manual_seed(seed))


def test_the_overlap_is_intersection_over_union():
    sets = [{1, 2, 4}, {1, 2}, {12}, set(), set(), {4, 12}]
    numbers = (1, 2, 4, 12)
    units = torch.tensor([[float(unit in own) for unit in numbers] for own in sets])
    truth = [[len(a & b) / len(a | b) if a | b else 0 for b in sets] for a in sets]
    assert torch.allclose(overlap(units), torch.tensor(truth))
    assert overlap(units)[3, 4] == 0  # 0/0


def test_clips_of_a_store_without_units_overlap_nowhere():
    assert torch.equal(overlap(torch.zeros(3, 0)), torch.zeros(3, 3))


def test_three_clips_by_hand():
    """Two at a right angle and one between them; only the first and the last share units, by a half."""
    z = torch.tensor([[3.0, 0.0], [0.0, 5.0], [1.0, 1.0]])
    weights = torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, 0.0], [0.5, 0.0, 1.0]])
    t, side = 0.5, math.exp(math.sqrt(0.5) / 0.5)
    of_first = -math.log(side / (side + math.exp(0 / t)))  # others: the second at cosine 0, the third at .707
    of_third = -math.log(side / (side + side))
    # The second has no partner and is left out of the mean.
    assert weighted_contrastive(z, weights, t).item() == pytest.approx((of_first + of_third) / 2, rel=1e-6)


def test_it_is_the_sum_written_out():
    z, weights, t = features(7), torch.rand(7, 7, generator=torch.Generator().manual_seed(1)), 0.1
    weights[2] = 0
    unit = z / z.norm(dim=1, keepdim=True)
    losses = []
    for i in range(7):
        others = [j for j in range(7) if j != i]
        below = sum(math.exp(float(unit[i] @ unit[k]) / t) for k in others)
        pulled = sum(float(weights[i, j]) * math.log(math.exp(float(unit[i] @ unit[j]) / t) / below) for j in others)
        if i != 2:
            losses.append(-pulled / sum(float(weights[i, j]) for j in others))
    assert weighted_contrastive(z, weights, t).item() == pytest.approx(sum(losses) / 6, rel=1e-5)


def test_a_clip_is_not_its_own_partner():
    z, weights = features(4), torch.rand(4, 4, generator=torch.Generator().manual_seed(1))
    other = weights.clone().fill_diagonal_(100.0)
    assert torch.equal(weighted_contrastive(z, weights, 0.1), weighted_contrastive(z, other, 0.1))


def test_weights_of_one_and_nothing_give_the_supervised_contrastive_loss():
    labels = torch.tensor([0, 0, 1, 1, 1])
    same = (labels[:, None] == labels[None]).float()
    z = torch.nn.functional.normalize(features(5), dim=1)
    shares = (z @ z.T / 0.1 - 1e9 * torch.eye(5)).log_softmax(1)
    truth = [-shares[i][(labels == labels[i]) & (torch.arange(5) != i)].mean() for i in range(5)]
    assert weighted_contrastive(z, same, 0.1).item() == pytest.approx(torch.stack(truth).mean().item(), rel=1e-5)


@pytest.mark.parametrize("n", [1, 3])
def test_without_a_pair_there_is_no_loss_and_no_nan(n):
    z = features(n).requires_grad_()
    loss = weighted_contrastive(z, torch.zeros(n, n), 0.1) + 0 * z.sum()
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(z.grad, torch.zeros_like(z))


def test_the_gradient_pulls_partners_together():
    z = torch.nn.functional.normalize(features(4, seed=3), dim=1).requires_grad_()
    weights = torch.zeros(4, 4)
    weights[0, 1] = weights[1, 0] = 1
    before = torch.cosine_similarity(z[0], z[1], dim=0).item()
    for _ in range(20):
        loss = weighted_contrastive(z, weights, 0.5)
        (slope,) = torch.autograd.grad(loss, z)
        z = (z - 0.5 * slope).detach().requires_grad_()
    assert slope.isfinite().all()
    assert torch.cosine_similarity(z[0], z[1], dim=0).item() > before + 0.2


def test_two_modalities_by_hand():
    """The first clips agree fully; the second clip's modalities are at right angles."""
    a, b, t = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [3.0, 0.0]]), 0.5
    e = math.exp(1 / t)
    forth = (-math.log(e / (e + e)) - math.log(1 / 2)) / 2  # rows: cosines (1, 1) and (0, 0)
    back = (-math.log(e / (e + 1)) - math.log(1 / (e + 1))) / 2  # columns: (1, 0) and (1, 0)
    assert info_nce(a, b, t).item() == pytest.approx((forth + back) / 2, rel=1e-6)


def test_infonce_takes_both_directions_alike_and_reads_no_lengths():
    a, b = features(6), features(6, seed=1)
    assert torch.allclose(info_nce(a, b, 0.2), info_nce(b, a, 0.2))
    assert torch.allclose(info_nce(a, b, 0.2), info_nce(7 * a, b / 3, 0.2), rtol=1e-5)


def test_modalities_that_agree_and_differ_between_clips_have_almost_no_loss():
    z = torch.eye(5)
    assert info_nce(z, z, 0.05).item() < 1e-7
    assert info_nce(z, z.roll(1, 0), 0.05).item() > 10
    assert info_nce(z[:1], z[1:2], 0.05).item() == 0
    same = torch.ones(5, 3)  # nothing to tell the clips by: log n
    assert info_nce(same, same, 0.05).item() == pytest.approx(math.log(5), rel=1e-5)
