"""Sparse attention against PyTorch's own attention, loops over pairs, and the identities of hashing."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from mer_pipe.heads import gate
from mer_pipe.heads.sparse_attention import (
    SparseBlock,
    SparseSelfAttention,
    alike,
    buckets,
    draw_planes,
    weights,
)

N, HEADS, LENGTH, WIDTH = 3, 2, 7, 4


def vectors(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*(shape or (N, HEADS, LENGTH, WIDTH)), generator=torch.Generator().manual_seed(seed))


def planes(number: int = 3, tables: int = 4, seed: int = 0) -> torch.Tensor:
    return draw_planes(seed, tables, 1, HEADS, number, WIDTH)[:, 0]


def test_a_bucket_is_the_signs_of_the_projections():
    x, h = vectors(1), planes()
    found = buckets(x, h)
    assert found.shape == (N, 4, HEADS, LENGTH)
    assert found.dtype == torch.int64
    for n, table, head, i in ((0, 0, 0, 0), (1, 3, 1, 5), (2, 2, 0, 6)):
        signs = [float(x[n, head, i] @ h[table, head, bit]) >= 0 for bit in range(3)]
        assert found[n, table, head, i] == sum(2**bit for bit, positive in enumerate(signs) if positive)
    assert found.min() >= 0
    assert found.max() < 8


def test_scale_does_not_move_a_vector_to_another_bucket():
    assert torch.equal(buckets(vectors(1), planes()), buckets(1000 * vectors(1), planes()))


def test_pairs_are_those_that_share_a_bucket_in_any_table():
    q, k, h = vectors(1), vectors(2), planes()
    own, other = buckets(q, h), buckets(k, h)
    found = alike(q, k, h)
    for n in range(N):
        for head in range(HEADS):
            for i in range(LENGTH):
                for j in range(LENGTH):
                    shared = any(own[n, t, head, i] == other[n, t, head, j] for t in range(4))
                    assert found[n, head, i, j] == shared
    assert 0 < found.float().mean() < 1


def test_equal_vectors_are_always_a_pair():
    q = vectors(1)
    assert alike(q, q, planes(12, 1)).diagonal(dim1=-2, dim2=-1).all()


def test_opposite_vectors_never_are():
    q = vectors(1)
    assert not alike(q, -q, planes()).diagonal(dim1=-2, dim2=-1).any()


def test_near_vectors_hash_alike_more_often_than_far_ones():
    """Charikar: one plane parts two vectors with the probability of their angle over pi."""
    many = torch.randn(20000, 1, 1, 2, generator=torch.Generator().manual_seed(0))
    for degrees in (15, 60, 120):
        a = math.radians(degrees)
        q, k = torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([[[[math.cos(a), math.sin(a)]]]])
        apart = (buckets(q, many) != buckets(k, many)).float().mean()
        assert apart == pytest.approx(degrees / 180, abs=0.012)


def test_a_further_table_only_adds_pairs():
    q, k, found = vectors(1), vectors(2), []
    for tables in range(1, 7):
        found.append(alike(q, k, planes(5, tables)))
    for fewer, more in itertools.pairwise(found):
        assert not (fewer & ~more).any()
    assert found[-1].sum() > found[0].sum()


def test_a_further_table_leaves_the_planes_of_the_others_in_every_layer():
    assert torch.equal(draw_planes(5, 6, 3, 2, 3, 4)[:2], draw_planes(5, 2, 3, 2, 3, 4))


def test_a_seed_names_the_planes():
    assert torch.equal(planes(seed=3), planes(seed=3))
    assert not torch.equal(planes(seed=3), planes(seed=4))
    layers = draw_planes(0, 1, 2, 1, 3, 4)
    assert not torch.equal(layers[:, 0], layers[:, 1])


def test_drawing_planes_leaves_the_default_generator_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    planes()
    assert torch.equal(torch.rand(3), expected)


def test_no_planes_are_full_attention():
    q, k, v = vectors(1), vectors(2), vectors(3)
    allowed = alike(q, k, planes(0))
    assert allowed.all()
    reference = F.scaled_dot_product_attention(q.double(), k.double(), v.double())
    assert (weights(q, k, allowed).double() @ v.double() - reference).abs().max() < 1e-6


@pytest.mark.parametrize("number", [1, 3, 6])
def test_masked_attention_is_pytorchs_where_a_query_has_a_key(number):
    q, k, v = vectors(1), vectors(2), vectors(3)
    allowed = alike(q, k, planes(number, 2))
    some = allowed.any(-1)
    reference = F.scaled_dot_product_attention(q.double(), k.double(), v.double(), attn_mask=allowed)
    mixed = weights(q, k, allowed).double() @ v.double()
    assert (mixed - reference)[some].abs().max() < 1e-6
    assert (weights(q, k, allowed).sum(-1)[some] - 1).abs().max() < 1e-6


def test_a_query_with_an_empty_bucket_has_a_zero_row_and_finite_gradients():
    q, k = vectors(1).requires_grad_(), vectors(2).requires_grad_()
    allowed = torch.ones(N, HEADS, LENGTH, LENGTH, dtype=torch.bool)
    allowed[0, 1, 2] = False
    for mask in ("pre_softmax", "post_softmax"):
        found = weights(q, k, allowed, mask)
        assert (found[0, 1, 2] == 0).all()
        assert found.isfinite().all()
        assert (found[0, 1, 3] > 0).all()
        for gradient in torch.autograd.grad(found.square().sum(), (q, k)):
            assert gradient.isfinite().all()
            assert gradient.abs().max() > 0
        assert (torch.autograd.grad(weights(q, k, allowed, mask).square().sum(), q)[0][0, 1, 2] == 0).all()


def test_many_planes_leave_real_queries_without_keys():
    q, k = vectors(1), vectors(2)
    allowed = alike(q, k, planes(12, 1))
    rows = weights(q, k, allowed).sum(-1)
    assert (~allowed.any(-1)).any()
    assert torch.equal(rows == 0, ~allowed.any(-1))


def test_masking_after_the_softmax_does_not_renormalise():
    q, k = vectors(1), vectors(2)
    allowed = alike(q, k, planes())
    every = (q @ k.transpose(-1, -2) / math.sqrt(WIDTH)).softmax(-1)
    assert torch.allclose(weights(q, k, allowed, "post_softmax"), every * allowed, atol=1e-7)
    before = weights(q, k, allowed, "pre_softmax")
    again = (every * allowed) / (every * allowed).sum(-1, keepdim=True)
    assert torch.allclose(before[allowed.any(-1)], again[allowed.any(-1)], atol=1e-6)


def test_half_precision_overflows_nothing():
    q, k = ((30 * vectors(seed)).bfloat16() for seed in (1, 2))
    found = weights(q, k, alike(q, k, planes()))
    assert found.isfinite().all()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(buckets(q, planes()), buckets(q.float(), planes()))


def test_the_module_is_pytorchs_multi_head_attention_when_every_pair_is_allowed():
    torch.manual_seed(0)
    width, heads = 8, 2
    full = SparseSelfAttention(None, width, heads)
    none = SparseSelfAttention(torch.zeros(3, heads, 0, width // heads), width, heads)
    none.load_state_dict(full.state_dict(), strict=False)
    reference = torch.nn.MultiheadAttention(width, heads, bias=False, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat([full.query.weight, full.key.weight, full.value.weight]))
        reference.out_proj.weight.copy_(full.output.weight)
        x = vectors(4, 3, 5, width)
        truth, attention = reference(x, x, x, average_attn_weights=False)
        mixed, found = full(x)
        assert torch.allclose(mixed, truth, atol=1e-6)
        assert torch.allclose(found, attention, atol=1e-6)
        assert all(torch.equal(a, b) for a, b in zip((mixed, found), none(x), strict=True))


def test_a_block_with_full_attention_is_pytorchs_encoder_layer():
    torch.manual_seed(0)
    width, heads, hidden = 8, 2, 12
    block = SparseBlock(SparseSelfAttention(None, width, heads), width, hidden)
    layer = torch.nn.TransformerEncoderLayer(width, heads, hidden, dropout=0.0, batch_first=True)
    state = block.state_dict()
    own = {
        "self_attn.in_proj_weight": torch.cat([state[f"attention.{x}.weight"] for x in ("query", "key", "value")]),
        "self_attn.in_proj_bias": torch.zeros(3 * width),
        "self_attn.out_proj.weight": state["attention.output.weight"],
        "self_attn.out_proj.bias": torch.zeros(width),
    }
    for theirs, ours in (("linear1", "feed_forward.0"), ("linear2", "feed_forward.2"), ("norm1",) * 2, ("norm2",) * 2):
        own |= {f"{theirs}.{part}": state[f"{ours}.{part}"] for part in ("weight", "bias")}
    layer.load_state_dict(own)
    x = vectors(4, 3, 5, width)
    assert torch.allclose(block(x, drop=True)[0], layer(x), atol=1e-6)


def test_a_block_drops_values_only_when_told():
    torch.manual_seed(0)
    block = SparseBlock(SparseSelfAttention(None, 8, 2), 8, 12, dropout=0.5).eval()
    x = vectors(4, 2, 5, 8)
    assert torch.equal(block(x, drop=False)[0], block(x, drop=False)[0])
    assert not torch.equal(block(x, drop=True)[0], block(x, drop=True)[0])


def test_a_gates_weights_are_sigmoids_over_their_sum():
    torch.manual_seed(0)
    unit, x = gate.Gate(4), vectors(1)
    sigmoid = torch.sigmoid(x @ unit.q0)
    expected = sigmoid / sigmoid.sum(-1, keepdim=True)
    assert torch.allclose(unit(x), expected, atol=1e-6)
    assert torch.allclose(gate.mean(x, unit(x)), (expected[..., None] * x).sum(-2), atol=1e-6)
    assert torch.equal(gate.Gate(4, learnt=False)(x), torch.full(x.shape[:-1], 1 / LENGTH))
    assert not list(gate.Gate(4, learnt=False).parameters())


def test_a_gate_is_defined_where_every_sigmoid_rounds_to_zero():
    unit = gate.Gate(1)
    with torch.no_grad():
        unit.q0.fill_(-1)
    found = unit(torch.tensor([[[300.0], [301.0]]]))
    assert torch.allclose(found, torch.tensor([[1.0, math.exp(-1)]]) / (1 + math.exp(-1)), atol=1e-5)
