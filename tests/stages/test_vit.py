"""The Vision Transformer against PyTorch's own transformer layers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mer_pipe.stages import vit
from mer_pipe.stages.weights import file_digest
from mer_pipe.types import ModelError, RecipeError, Weights

SMALL = vit.Layout(depth=3, width=24, heads=3, patch=4, grid=(4, 4))


def noisy(layout: vit.Layout = SMALL, seed: int = 0) -> vit.ViT:
    """A transformer in which no norm is the identity and no bias is zero."""
    source = torch.Generator().manual_seed(seed)
    state = {
        name: value + 0.2 * torch.randn(value.shape, generator=source)
        for name, value in vit.random_state(seed, layout).items()
    }
    return vit.read(state, "test", layout)


def images(n: int, y: int, x: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(n, 3, y, x, generator=torch.Generator().manual_seed(seed))


def encoder_layer(layer: vit.Layer, width: int, heads: int) -> torch.nn.TransformerEncoderLayer:
    """PyTorch's own layer with the parameters of ours."""
    other = torch.nn.TransformerEncoderLayer(
        width, heads, 4 * width, 0.0, "gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
    )
    names = {
        "self_attn.in_proj_": "attn.qkv.",
        "self_attn.out_proj.": "attn.proj.",
        "linear1.": "mlp.fc1.",
        "linear2.": "mlp.fc2.",
        "norm1.": "norm1.",
        "norm2.": "norm2.",
    }
    state = layer.state_dict()
    other.load_state_dict(
        {theirs + part: state[ours + part] for theirs, ours in names.items() for part in ("weight", "bias")}
    )
    return other.double().eval()


def by_hand(net: vit.ViT, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The tokens in float64 through PyTorch's layers, and the attention maps of its multi-head attention."""
    state, layout = {k: v.double() for k, v in net.state_dict().items()}, net.layout
    p = layout.patch
    cut = x.double().unfold(2, p, p).unfold(3, p, p)  # n, c, rows, columns, p, p
    cut = cut.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
    patches = cut @ state["patch_embed.proj.weight"].flatten(1).T + state["patch_embed.proj.bias"]
    tokens = torch.cat([state["cls_token"].expand(len(x), -1, -1), patches], 1) + state["pos_embed"]
    maps = []
    for ours in net.blocks:
        layer = encoder_layer(ours, layout.width, layout.heads)
        seen = layer.norm1(tokens)
        maps.append(layer.self_attn(seen, seen, seen, average_attn_weights=False)[1])
        tokens = layer(tokens)
    return F.layer_norm(tokens, (layout.width,), state["norm.weight"], state["norm.bias"], 1e-6), maps


@pytest.mark.parametrize("maps", [False, True])
def test_it_is_a_stack_of_pytorchs_own_layers(maps):
    net, x = noisy(), images(2, 16, 16)
    with torch.no_grad():
        tokens, seen = net(x, maps)
        truth, attention = by_hand(net, x)
    assert tokens.shape == (2, 17, 24)
    assert (tokens - truth).abs().max() < 5e-6
    assert len(seen) == (3 if maps else 0)
    for ours, theirs in zip(seen, attention, strict=False):
        assert ours.shape == (2, 3, 17, 17)
        assert (ours - theirs).abs().max() < 1e-6


def test_the_default_is_vit_b_16():
    state = vit.random_state(0)
    assert sum(value.numel() for value in state.values()) == 85_798_656  # ViT-B/16 less its classifier
    assert state["pos_embed"].shape == (1, 197, 768)
    assert state["blocks.11.mlp.fc1.weight"].shape == (3072, 768)


def test_an_image_does_not_feel_the_images_beside_it():
    net, x = noisy(), images(3, 16, 16)
    with torch.no_grad():
        assert torch.allclose(net(x)[0][1], net(x[1:2])[0][0], atol=1e-6)


def test_the_position_embedding_of_its_own_grid_is_left_as_it_is():
    net = noisy()
    assert net.positions(4, 4) is net.pos_embed


def test_a_constant_position_embedding_is_constant_on_every_grid():
    net = noisy()
    with torch.no_grad():
        net.pos_embed[:, 1:] = 1.5
        for grid in ((2, 2), (8, 8), (3, 7)):
            positions = net.positions(*grid)
            assert positions.shape == (1, 1 + grid[0] * grid[1], 24)
            assert torch.equal(positions[:, 0], net.pos_embed[:, 0])
            assert torch.allclose(positions[:, 1:], torch.tensor(1.5), atol=1e-6)


def test_a_position_embedding_grows_bicubically():
    """Cubic convolution with a = -1/2 (Keys, 1981) reproduces parabolas; linear and a = -3/4 do not."""
    layout = vit.Layout(1, 4, 1, 4, (12, 12))
    net = noisy(layout)
    at = torch.arange(12.0, dtype=torch.float64)
    with torch.no_grad():
        net.pos_embed[0, 1:, 0] = ((at[:, None] - 4) ** 2 / 10 + (at[None] - 6) ** 2 / 20).flatten()
        grown = net.positions(24, 24)[0, 1:, 0].reshape(24, 24)
    rows = (torch.arange(24, dtype=torch.float64) + 0.5) / 2 - 0.5  # corners not aligned
    truth = (rows[:, None] - 4) ** 2 / 10 + (rows[None] - 6) ** 2 / 20
    assert (grown - truth)[4:-4, 4:-4].abs().max() < 1e-5


def test_a_position_embedding_shrinks_without_aliasing():
    """A stripe a patch, which is beyond half the sampling rate of the smaller grid, fades to its mean."""
    layout = vit.Layout(1, 4, 1, 4, (16, 16))
    net = noisy(layout)
    with torch.no_grad():
        net.pos_embed[0, 1:, 0] = torch.tensor([1.0, -1.0]).repeat(128)
        small = net.positions(4, 4)[0, 1:, 0].reshape(4, 4)
    assert small[:, 1:-1].abs().max() < 0.05


def test_other_sizes_than_the_layouts_go_through():
    net = noisy()
    with torch.no_grad():
        assert net(images(1, 8, 24))[0].shape == (1, 13, 24)
    with pytest.raises(RecipeError, match=r"18 x 16 px do not divide into patches of 4 px.*multiple of 4"):
        net(images(1, 18, 16))
    with pytest.raises(RecipeError, match=r"not \(1, 1, 16, 16\)"):
        net(images(1, 16, 16)[:, :1])


def test_a_scale_weighs_what_is_attended_by_and_nothing_else():
    layer, x = noisy().blocks[0], torch.randn(2, 5, 24, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        plain = layer(x)[0]
        assert torch.equal(layer(x, scale=torch.ones(2, 5))[0], plain)
        silent = layer(x, scale=torch.zeros(2, 5))[0]
        mixed = x + layer.attn(torch.zeros_like(x))[0]
        assert torch.allclose(silent, mixed + layer.mlp(layer.norm2(mixed)), atol=1e-6)
        assert not torch.allclose(silent, plain)


def test_every_parameter_learns():
    net = noisy()
    net(images(2, 16, 16), maps=True)[0].square().sum().backward()
    for name, value in net.named_parameters():
        assert value.grad is not None, name
        # A bias of the keys adds the same number to a whole row of scores: the softmax does not see it.
        part = value.grad.chunk(3)[0] if name.endswith("qkv.bias") else value.grad
        assert part.abs().max() > 0, name


def test_a_seed_names_its_weights_and_leaves_the_default_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (vit.random_state(seed, SMALL) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["pos_embed"], other["pos_embed"])
    assert first["patch_embed.proj.weight"].std() == pytest.approx(0.02, rel=0.1)
    assert torch.equal(vit.load(Weights("random:0"), SMALL).state_dict()["cls_token"], first["cls_token"])


def test_a_fresh_network_is_drawn_from_the_default_generator():
    torch.manual_seed(3)
    first = vit.ViT(SMALL).state_dict()
    torch.manual_seed(3)
    assert all(torch.equal(value, first[name]) for name, value in vit.ViT(SMALL).state_dict().items())


def test_a_timm_checkpoint_is_loaded_and_its_classifier_left_out(tmp_path):
    state = noisy().state_dict()
    wrapped = {f"module.{name}": value for name, value in state.items()}
    wrapped |= {"module.head.weight": torch.zeros(1000, 24), "module.head.bias": torch.zeros(1000)}
    torch.save({"state_dict": wrapped}, tmp_path / "vit.pth")
    path = str(tmp_path / "vit.pth")
    net = vit.load(Weights(file_digest(path), path), SMALL)
    assert not net.training
    assert net.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


def test_the_grid_is_the_checkpoints_own():
    larger = vit.Layout(3, 24, 3, 4, (6, 6))
    net = vit.read(vit.random_state(0, larger), "test", SMALL)
    assert net.layout == larger
    oblong = vit.Layout(3, 24, 3, 4, (2, 8))  # 16 patches, as a square of 4 has
    assert vit.read(vit.random_state(0, oblong), "test", oblong).layout == oblong


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("blocks.1.norm1.bias"), "lacks blocks.1.norm1.bias"),
        (lambda s: s.pop("pos_embed"), "lacks pos_embed"),
        (lambda s: s.update({"dist_token": torch.zeros(1)}), "has unknown dist_token"),
        (lambda s: s.update({"blocks.3.norm1.bias": torch.zeros(24)}), "depth 3.*unknown blocks.3.norm1.bias"),
        (lambda s: s.update({"cls_token": torch.zeros(1, 1, 32)}), r"cls_token is \(1, 1, 32\), not \(1, 1, 24\)"),
        (lambda s: s.update({"pos_embed": torch.zeros(1, 24, 24)}), r"pos_embed is \(1, 24, 24\), not \(1, 17, 24\)"),
    ],
)
def test_anything_else_than_such_a_transformer_is_refused(change, message):
    state = vit.random_state(0, SMALL)
    change(state)
    with pytest.raises(ModelError, match=message):
        vit.read(state, "test", SMALL)


def test_bad_sizes_are_refused():
    with pytest.raises(RecipeError, match="width=10 cannot be shared by heads=4"):
        vit.Layout(width=10, heads=4)
    with pytest.raises(RecipeError, match="depth=0"):
        vit.Layout(depth=0)
    with pytest.raises(ModelError, match="names no seed"):
        vit.load(Weights("random:"))
