"""MSMMT with small transformers: what it reads, what learns, and that it learns what is there."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mer_pipe.heads.contrastive import info_nce
from mer_pipe.heads.msmmt import DYNAMIC, MOTION, Msmmt, images
from mer_pipe.heads.multi_scale import Modality, smaller
from mer_pipe.heads.patch_weighting import patch_weights
from mer_pipe.stages import vit
from mer_pipe.types import ModelError, RecipeError
from tests.heads.image_clips import ImageClips, accuracy, inputs_of, trained

SMALL = Msmmt(depth=3, width=24, heads=3, patch=4, hidden=16, dropout=0)
STILL = dataclasses.replace(SMALL, rotation=0, zoom=0, flip=0)


def clips(labels: list[int], seed: int = 0, size: int = 32) -> ImageClips:
    """Noise; class 0 moves up above the middle, class 1 down below it, in both modalities."""
    source = torch.Generator().manual_seed(seed)
    n = len(labels)
    dynamic = 1e-3 * torch.randn(n, size, size, 3, generator=source)
    motion = torch.randn(n, size, size, 3, generator=source)
    for i, label in enumerate(labels):
        rows = slice(0, size // 2) if label == 0 else slice(size // 2, size)
        dynamic[i, rows] += 2e-3
        motion[i, rows, :, 1] += 2 if label else -2
        motion[i, rows, :, 2] += 2
    return ImageClips({DYNAMIC: dynamic, MOTION: motion.half()}, torch.tensor(labels))


def made(head: Msmmt = STILL, labels: tuple[int, ...] = (0, 1, 0, 1), seed: int = 0):
    """Clips, their inputs and a prepared network, in evaluation mode."""
    some = clips(list(labels))
    inputs = inputs_of(some, ("a", "b"))
    torch.manual_seed(seed)
    network = head.network(inputs)
    head.prepare(network, some)
    return some, inputs, network.eval()


def standardised(network, some: ImageClips) -> list[torch.Tensor]:
    return [network.standardised(part, i) for i, part in enumerate(images(some.all()))]


def livelier(network, seed: int = 1):
    """The same network with larger weights: fresh transformers attend almost evenly."""
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if value.ndim > 1 and "norm" not in name:
                value.add_(0.3 * torch.randn(value.shape, generator=source))
    return network


def test_shapes():
    some, _, network = made()
    output = network(*standardised(network, some))
    assert output.logits.shape == (4, 2)
    assert [part.shape for part in output.features] == [(4, 72), (4, 72)]  # three class tokens of 24
    assert [part.shape for part in output.weights] == [(4, 64), (4, 64)]
    chances = STILL.probabilities(network, some.all())
    assert torch.allclose(chances.sum(1), torch.ones(4))
    assert {need.array: need.system for need in STILL.needs} == {DYNAMIC: "msmmt", MOTION: "msmmt"}


def test_the_default_is_two_vit_b_16():
    head = Msmmt()
    some = ImageClips({DYNAMIC: torch.zeros(1, 64, 64, 3), MOTION: torch.zeros(1, 64, 64, 3)}, torch.zeros(1))
    with torch.device("meta"):
        network = head.network(inputs_of(some, ("a", "b", "c")))
    positions = (197 - 17) * 768  # 4 x 4 patches instead of 14 x 14
    transformers = sum(value.numel() for name, value in network.named_parameters() if "classifier" not in name)
    assert transformers == 2 * (85_798_656 - positions)
    assert network.classifier[0].weight.shape == (768, 6 * 768)


def test_smaller_images_are_means_of_squares():
    image = torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    quarter = smaller(image, 4)
    assert quarter.shape == (2, 3, 2, 3)
    assert torch.allclose(quarter[1, 2, 1, 0], image[1, 2, 4:, :4].mean())
    assert torch.equal(smaller(image, 1), image)


def test_scales_go_through_the_transformer_one_by_one():
    """Without weighting, each scale's class token is the transformer's own."""
    some, _, network = made(dataclasses.replace(STILL, weighting="off"))
    dynamic, motion = standardised(network, some)
    output = network(dynamic, motion)
    for part, modality, whole in ((0, network.dynamic, dynamic), (1, network.motion, motion)):
        (net,) = modality.transformers
        for i, side in enumerate((32, 16, 8)):
            small = F.interpolate(whole, (side, side), mode="area")
            assert torch.allclose(output.features[part][:, 24 * i : 24 * (i + 1)], net(small)[0][:, 0], atol=1e-5)
    assert torch.equal(output.weights[0], torch.ones(4, 64))


def test_three_transformers_where_they_are_not_shared():
    _, _, network = made(dataclasses.replace(STILL, shared=False))
    assert len(network.dynamic.transformers) == len(network.motion.transformers) == 3
    assert len(made()[2].dynamic.transformers) == 1
    weights = [net.blocks[0].attn.qkv.weight for net in network.dynamic.transformers]
    assert not torch.equal(weights[0], weights[1])


def test_the_last_layer_attends_to_weighted_patches():
    """The full scale written out: weights from the layers before, then the last layer on weighted, normed tokens."""
    some, _, network = made()
    livelier(network)
    whole = standardised(network, some)[0]
    (net,) = network.dynamic.transformers
    with torch.no_grad():
        tokens, maps = net(whole, maps=True)
        x = net.tokens(whole)
        for layer in net.blocks[:-1]:
            x, _ = layer(x)
        weights = patch_weights([part.mean(1) for part in maps[:-1]])
        assert weights.std() > 0.1
        last = net.blocks[-1]
        seen = last.norm1(x) * torch.cat([torch.ones(4, 1), weights], 1)[..., None]
        x = x + last.attn(seen)[0]
        x = net.norm(x + last.mlp(last.norm2(x)))
        output = network(*standardised(network, some))
    assert torch.allclose(output.weights[0], weights, atol=1e-4)
    assert torch.allclose(output.features[0][:, :24], x[:, 0], atol=1e-4)
    assert not torch.allclose(x[:, 0], tokens[:, 0], atol=1e-2)


def test_before_the_norm_the_weights_are_divided_out_again():
    """Why `place` is "normed": word by word, the norm undoes the weighting."""
    some, _, network = made()
    livelier(network)
    whole = standardised(network, some)[0]
    net = network.dynamic.transformers[0]
    with torch.no_grad():
        plain, literal, normed = (
            Modality([net], weighting, place)(whole)[0]
            for weighting, place in (("off", "input"), ("mean", "input"), ("mean", "normed"))
        )
    assert (literal - plain).abs().max() < 0.02 * (normed - plain).abs().max()


def test_statistics_come_from_the_training_clips():
    some, _, network = made(labels=(0, 1, 1))
    dynamic, motion = standardised(network, some)
    assert dynamic.mean((0, 2, 3)).abs().max() < 1e-4
    assert (dynamic.std((0, 2, 3)) - 1).abs().max() < 1e-3
    assert motion[:, 2].mean().abs() < 1e-4
    assert (motion[:, 2].std() - 1).abs() < 1e-3
    assert (motion[:, :2].square().mean() - 1).abs() < 1e-3
    assert network.mean[1, :2].tolist() == [0, 0]
    assert network.scale[1, 0] == network.scale[1, 1]
    assert sorted(set(some.asked)) == [0, 1, 2]


def test_still_clips_do_not_divide_by_zero():
    some, _, network = made()
    some.arrays = {name: torch.zeros_like(array) for name, array in some.arrays.items()}
    STILL.prepare(network, some)
    assert torch.equal(network.scale, torch.ones(2, 3))
    assert STILL.probabilities(network, some.all()).isfinite().all()


def test_the_loss_is_the_papers():
    head = dataclasses.replace(STILL, alpha=0.3, temperature=0.5)
    some, _, network = made(head)
    output = network(*standardised(network, some))
    classified = -output.logits.log_softmax(1)[torch.arange(4), some.labels].mean()
    truth = 0.7 * info_nce(*output.features, 0.5) + 0.3 * classified
    assert head.loss(network, some.all(), some).item() == pytest.approx(truth.item(), rel=1e-5)
    assert Msmmt().alpha == 0.1


def test_every_parameter_learns():
    some, _, network = made(SMALL)
    SMALL.loss(network.train(), some.all(), some).backward()
    for name, value in network.named_parameters():
        assert value.grad is not None, name
        # A bias of the keys adds the same number to a whole row of scores: the softmax does not see it.
        part = value.grad.chunk(3)[0] if name.endswith("qkv.bias") else value.grad
        assert part.abs().max() > 0, name


def test_the_contrastive_loss_does_not_reach_the_classifier():
    some, _, network = made(dataclasses.replace(STILL, alpha=0.0))
    dataclasses.replace(STILL, alpha=0.0).loss(network, some.all(), some).backward()
    assert all(value.grad.abs().max() == 0 for value in network.classifier.parameters())
    assert network.motion.transformers[0].blocks[0].attn.qkv.weight.grad.abs().max() > 0


def test_a_quarter_turn_takes_the_vectors_along(monkeypatch):
    """In every channel: a face that moves right in its left half moves down in its upper half after a quarter turn."""
    quarter = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    monkeypatch.setattr("mer_pipe.heads.augment.similarities", lambda *_: quarter[None])
    motion = torch.zeros(1, 3, 16, 16)
    motion[:, 0, :, :8] = 1.5
    motion[:, 2, :, :8] = 0.2
    dynamic = motion * 3
    turned_dynamic, turned = SMALL.augmented(dynamic, motion)
    truth = torch.zeros(1, 3, 16, 16)
    truth[:, 1, :8] = 1.5  # v, down
    truth[:, 2, :8] = 0.2
    assert torch.allclose(turned, truth, atol=1e-5)
    assert torch.allclose(turned_dynamic, torch.rot90(dynamic, -1, (2, 3)), atol=1e-5)  # an image has no direction


def test_both_modalities_of_a_clip_move_together():
    torch.manual_seed(0)
    image = torch.rand(5, 3, 24, 24)
    dynamic, motion = SMALL.augmented(image, image)
    assert torch.allclose(dynamic[:, 2], motion[:, 2])
    assert not torch.allclose(dynamic[:, 0], motion[:, 0])
    assert not torch.allclose(dynamic[0], image[0], atol=0.05)
    still = STILL.augmented(image, image)
    assert all(torch.allclose(part, image, atol=1e-5) for part in still)


def test_augmentation_keeps_lengths_up_to_the_zoom():
    torch.manual_seed(1)
    motion = torch.zeros(64, 3, 24, 24)
    motion[:, 0] = 1
    head = dataclasses.replace(SMALL, zoom=0.1)
    centre = head.augmented(motion, motion)[1][:, :2, 12, 12]
    lengths, angles = centre.norm(dim=1), torch.rad2deg(torch.atan2(centre[:, 1], centre[:, 0].abs()))
    assert lengths.min() >= 0.9 - 1e-4
    assert lengths.max() <= 1.1 + 1e-4
    assert angles.abs().max() <= 10 + 1e-3
    assert 0.25 < (centre[:, 0] < 0).float().mean() < 0.75  # mirrored


@pytest.mark.parametrize(("size", "words"), [(224, "192 or 256"), (300, "256 or 320"), (48, "size=64")])
def test_a_quarter_that_does_not_divide_into_patches_is_refused_and_sizes_told(size, words):
    some = ImageClips({name: torch.zeros(1, size, size, 3) for name in (DYNAMIC, MOTION)}, torch.zeros(1))
    with pytest.raises(RecipeError, match=f"a quarter of {size} x {size} px.*multiple of 64.*{words}"):
        Msmmt().network(inputs_of(some, ("a", "b")))


def test_sizes_that_the_message_names_work():
    for size in (192, 256):
        some = ImageClips({name: torch.zeros(1, size, size, 3) for name in (DYNAMIC, MOTION)}, torch.zeros(1))
        network = dataclasses.replace(SMALL, patch=16).network(inputs_of(some, ("a", "b")))
        assert network(*images(some.all())).weights[0].shape == (1, (size // 16) ** 2)


def test_modalities_of_two_sizes_are_refused():
    some = ImageClips({DYNAMIC: torch.zeros(1, 32, 32, 3), MOTION: torch.zeros(1, 64, 64, 3)}, torch.zeros(1))
    with pytest.raises(RecipeError, match="not two images"):
        SMALL.network(inputs_of(some, ("a", "b")))


def test_it_learns_what_is_there():
    seen, unseen = clips([0, 1] * 8), clips([0, 1] * 8, seed=9)
    head = dataclasses.replace(SMALL, alpha=0.5)
    network = trained(head, seen, inputs_of(seen, ("a", "b")), 25, 16, 2e-3)
    assert accuracy(head, network, unseen) > 0.9


def test_it_does_not_learn_labels_that_have_no_cause():
    """As many of either label among the clips of either kind."""
    seen, unseen = clips([0, 1] * 8), clips([0, 1] * 8, seed=9)
    for some in (seen, unseen):
        some.labels = torch.arange(len(some)) // 2 % 2
    head = dataclasses.replace(SMALL, alpha=0.5)
    network = trained(head, seen, inputs_of(seen, ("a", "b")), 12, 16, 2e-3)
    assert 0.25 <= accuracy(head, network, unseen) <= 0.75


def test_the_same_seed_gives_the_same_network():
    some = clips([0, 1] * 3)
    inputs = inputs_of(some, ("a", "b"))
    first, again, other = (trained(SMALL, some, inputs, 2, 4, 1e-3, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["classifier.0.weight"], other["classifier.0.weight"])


def test_a_checkpoint_is_whole():
    some, inputs, network = made()
    fresh = STILL.network(inputs)
    fresh.load_state_dict(network.state_dict(), strict=True)
    before, after = (STILL.probabilities(net.eval(), some.all()) for net in (network, fresh))
    assert torch.equal(before, after)


def test_a_timm_checkpoint_starts_both_modalities(tmp_path):
    layout = vit.Layout(3, 24, 3, 4, (5, 5))
    state = vit.random_state(4, layout)
    torch.save(state | {"head.weight": torch.zeros(10, 24)}, tmp_path / "vit.pth")
    some, _, network = made(dataclasses.replace(STILL, weights=str(tmp_path / "vit.pth")))
    for modality in (network.dynamic, network.motion):
        (net,) = modality.transformers
        assert net.layout.grid == (5, 5)  # interpolated to 8 x 8, 4 x 4 and 2 x 2
        assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert STILL.probabilities(network, some.all()).isfinite().all()
    with pytest.raises(ModelError, match="no Vision Transformer of depth 4"):
        made(dataclasses.replace(STILL, depth=4, weights=str(tmp_path / "vit.pth")))


def test_the_views_are_the_weights_of_the_patches():
    some, _, network = made()
    livelier(network)
    views = STILL.views(network, some.all())
    assert set(views) == {"patches_dynamic[row,column]", "patches_motion[row,column]"}
    for view in views.values():
        assert view.shape == (4, 8, 8)
        assert view.dtype == np.float32
        assert np.allclose(view.mean((1, 2)), 1, atol=1e-5)
        assert view.std() > 0.05


def test_it_trains_in_bfloat16():
    some, _, network = made(SMALL)
    with torch.autocast("cpu", torch.bfloat16):
        loss = SMALL.loss(network.train(), some.all(), some)
    loss.backward()
    assert math.isfinite(loss.item())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weighting": "median"}, "weighting='median' is unknown"),
        ({"place": "output"}, "place='output'"),
        ({"depth": 1}, "depth=1 is below 2"),
        ({"width": 25}, "width=25 cannot be shared by heads=3"),
        ({"alpha": 1.2}, "alpha=1.2 is no share"),
        ({"zoom": 1.0}, "zoom=1.0"),
        ({"temperature": -1.0}, "temperature=-1.0"),
    ],
)
def test_bad_settings_are_refused(change, message):
    with pytest.raises(RecipeError, match=message):
        dataclasses.replace(SMALL, **change)
