"""The dual branch: what it reads, what learns, and that it learns what is there."""

from __future__ import annotations

import copy
import dataclasses
import functools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mer_pipe.heads import augment, flow_pictures
from mer_pipe.heads.contrastive import overlap, weighted_contrastive
from mer_pipe.heads.dual_branch import Branch
from mer_pipe.heads.ruan import GRAY, OFFSET, ONSET, Ruan, class_weights
from mer_pipe.stages import resnet
from mer_pipe.types import ModelError, RecipeError
from tests.heads.image_clips import ImageClips, accuracy, inputs_of, trained

NUMBERS = (1, 4, 12, 17)
PLAIN = Ruan(flip=0, erasing=0, dropout=0, region_replacing=0)


def clips(labels: list[int], seed: int = 0, size: int = 64) -> ImageClips:
    """Faces of noise. Class 0 moves the brows (AU 1, 4), any other class the mouth (AU 12)."""
    source = torch.Generator().manual_seed(seed)
    n = len(labels)
    image = torch.randint(0, 256, (n, size, size), generator=source, dtype=torch.uint8)
    onset, offset = (0.1 * torch.randn(n, size, size, 2, generator=source) for _ in range(2))
    units = torch.zeros(n, 4)
    for i, label in enumerate(labels):
        rows = slice(size // 8, size // 4) if label == 0 else slice(5 * size // 8, 3 * size // 4)
        onset[i, rows, size // 4 : 3 * size // 4, 1] += 2
        offset[i, rows, size // 4 : 3 * size // 4, 1] += 1
        units[i, [0, 1] if label == 0 else [2]] = 1
    return ImageClips({GRAY: image, ONSET: onset.half(), OFFSET: offset.half()}, torch.tensor(labels), units)


@functools.cache
def fresh(head: Ruan, classes: int) -> torch.nn.Module:
    torch.manual_seed(0)
    return head.network(inputs_of(clips([0]), tuple("abc"[:classes]), NUMBERS))


def made(head: Ruan = PLAIN, labels: tuple[int, ...] = (0, 1, 0, 1)):
    """Clips, their inputs and a prepared network."""
    some = clips(list(labels))
    classes = max(labels) + 1
    of_network = dataclasses.replace(PLAIN, attention=head.attention, weights=head.weights)
    network = copy.deepcopy(fresh(of_network, classes))
    head.prepare(network, some)
    return some, inputs_of(some, tuple("abc"[:classes]), NUMBERS), network


def test_shapes():
    some, _, network = made()
    images = network.standardised(PLAIN.pictures(some.all()))
    output = network(images)
    assert images.shape == (4, 3, 64, 64)
    assert output.eyes.shape == output.mouth.shape == (4, 2)
    assert output.features.shape == (4, 1024)
    assert [part.shape for part in output.maps] == [(4, 512, 1, 2), (4, 512, 1, 2)]
    assert PLAIN.probabilities(network.eval(), some.all()).shape == (4, 2)
    assert [need.array for need in PLAIN.needs] == [GRAY, ONSET, OFFSET]
    assert {need.system for need in PLAIN.needs} == {"ruan"}


def test_the_three_channels():
    some = clips([0, 1])
    pictures = PLAIN.pictures(some.all())
    assert torch.equal(pictures[:, 0], some.arrays[GRAY].float() / 255)
    assert torch.allclose(pictures[:, 1], some.arrays[ONSET].float().square().sum(3).sqrt())
    assert torch.allclose(pictures[:, 2], some.arrays[OFFSET].float().square().sum(3).sqrt())
    released = dataclasses.replace(PLAIN, flow_view="released").pictures(some.all())
    assert torch.equal(released[:, 2], flow_pictures.released(some.arrays[OFFSET]) / 255)


def test_the_training_clips_are_standardised():
    some, _, network = made()
    images = network.standardised(PLAIN.pictures(some.all()))
    assert images.mean((0, 2, 3)).abs().max() < 1e-4
    assert (images.std((0, 2, 3)) - 1).abs().max() < 1e-3


def test_eyes_and_mouth_go_separate_ways():
    """In evaluation, the lower half reaches the mouth's map and not the eyes'; both reach both heads by the AWM."""
    some, _, network = made()
    network.eval()
    images = network.standardised(PLAIN.pictures(some.all()))
    other = images.clone()
    other[:, :, 32:] += 1
    with torch.no_grad():
        before, after = network(images), network(other)
    assert torch.allclose(before.maps[0], after.maps[0], atol=1e-5)
    assert not torch.allclose(before.maps[1], after.maps[1], atol=1e-3)
    assert not torch.allclose(before.eyes, after.eyes, atol=1e-6)


def test_without_attention_a_branch_is_resnet18():
    some, _, network = made(dataclasses.replace(PLAIN, attention="off", weights="random:3"))
    network.eval()
    images = network.standardised(PLAIN.pictures(some.all()))
    peer = resnet.read(resnet.random_state(3), "peer")
    with torch.no_grad():
        output = network(images)
        for half, part in zip(images.chunk(2, 2), output.maps, strict=True):
            truth = peer(half)[1]
            assert (part - truth).abs().max() < 1e-4 * truth.abs().max()


def test_the_area_weights_are_the_papers():
    """Weighted features = features * sigmoid(W2 relu(W1 x + b1) + b2), the first 512 of them the eyes'."""
    some, _, network = made()
    network.eval()
    state = network.state_dict()
    with torch.no_grad():
        output = network(network.standardised(PLAIN.pictures(some.all())))
        x = torch.cat([part.mean((2, 3)) for part in output.maps], 1).double()
        hidden = (x @ state["area_weights.first.weight"].double().T + state["area_weights.first.bias"]).clamp(min=0)
        raw = hidden @ state["area_weights.second.weight"].double().T + state["area_weights.second.bias"]
    assert hidden.shape == (4, 1024)
    assert (output.features - x / (1 + (-raw).exp())).abs().max() < 1e-5


def test_a_checkpoint_starts_both_branches(tmp_path):
    state = resnet.random_state(5)
    torch.save(state, tmp_path / "net.pth")
    _, _, network = made(dataclasses.replace(PLAIN, weights=str(tmp_path / "net.pth")))
    found = network.state_dict()
    for branch in ("eyes", "mouth"):
        assert torch.equal(found[f"{branch}.layers.1.1.conv2.weight"], state["layer4.1.conv2.weight"])
        assert torch.equal(found[f"{branch}.layers.0.0.downsample.0.weight"], state["layer3.0.downsample.0.weight"])
    assert torch.equal(found["base.layers.5.0.bn2.running_var"], state["layer2.0.bn2.running_var"])
    assert network.eyes.layers[0][0].conv1.weight is not network.mouth.layers[0][0].conv1.weight
    with pytest.raises(ModelError, match="cannot be read"):
        made(dataclasses.replace(PLAIN, weights=str(tmp_path / "absent.pth")))


def test_a_random_start_draws_the_branches_apart():
    _, _, network = made()
    assert not torch.equal(network.eyes.layers[1][1].conv2.weight, network.mouth.layers[1][1].conv2.weight)


def test_attention_is_in_every_block_of_the_branches_and_nowhere_else():
    names = [name for name in made()[2].state_dict() if name.endswith("attention.channel_weight")]
    layers = [
        f"{branch}.layers.{layer}.{block}" for branch in ("eyes", "mouth") for layer in (0, 1) for block in (0, 1)
    ]
    assert names == [f"{layer}.attention.channel_weight" for layer in layers]


@pytest.mark.parametrize(("attention", "sets"), [("unshared", 4), ("shared", 1), ("off", 0)])
def test_so_many_sets_of_weights_has_the_attention(attention, sets):
    branch = Branch(resnet.ResNet18(), dataclasses.replace(PLAIN, attention=attention).block_attention())
    weights = [value for name, value in branch.named_parameters() if name.endswith("attention.channel_weight")]
    assert [len(value) for value in weights] == [sets] * 4 if sets else weights == []


def test_every_parameter_learns():
    head = dataclasses.replace(PLAIN, region_replacing=0.5)
    some, _, network = made(head, (0, 1) * 4)
    head.loss(network.train(), some.all(), some).backward()
    for name, value in network.named_parameters():
        assert value.grad is not None, name
        assert value.grad.abs().max() > 0, name


def test_each_head_learns_from_its_own_half():
    some, _, network = made()
    F.cross_entropy(network.train()(network.standardised(PLAIN.pictures(some.all()))).mouth, some.labels).backward()
    silent = {name.split(".")[0] for name, value in network.named_parameters() if value.grad is None}
    assert silent == {"eyes_head"}


def test_the_loss_is_the_papers():
    head = dataclasses.replace(PLAIN, contrast=0.3)
    some, _, network = made(head, (0, 1, 1, 1, 2, 0))
    network.eval()  # so that two passes are the same
    batch = some.all()
    output = network(network.standardised(head.pictures(batch)))
    counts = torch.tensor([2.0, 3.0, 1.0])
    weights = (3 / counts)[batch.labels]
    classified = 0
    for logits in (output.eyes, output.mouth):
        own = -logits.log_softmax(1)[torch.arange(6), batch.labels]
        classified = classified + (weights * own).sum() / weights.sum()
    paired = weighted_contrastive(output.features, overlap(batch.units), 0.1)
    assert head.loss(network, batch, some).item() == pytest.approx((0.7 * classified + 0.3 * paired).item(), rel=1e-5)
    alone = dataclasses.replace(head, contrast=0)
    assert alone.loss(network, batch, some).item() == pytest.approx(classified.item(), rel=1e-5)


def test_the_prediction_is_the_sum_of_both_heads():
    some, _, network = made()
    network.eval()
    with torch.no_grad():
        output = network(network.standardised(PLAIN.pictures(some.all())))
        chances = PLAIN.probabilities(network, some.all())
    assert torch.equal(chances.argmax(1), (output.eyes + output.mouth).argmax(1))
    assert torch.allclose(chances.sum(1), torch.ones(4))


def test_class_weights_come_from_the_training_clips_alone():
    assert class_weights(torch.tensor([0, 2, 2, 2, 0, 2]), 4).tolist() == [2, 0, 1, 0]
    some, _, network = made(labels=(0, 1, 1, 1, 2, 1))
    assert network.class_weights.tolist() == [4, 1, 4]
    assert set(some.asked) == set(range(6))
    other = clips([2, 2, 2, 0, 1, 2])
    PLAIN.prepare(network, other)
    assert network.class_weights.tolist() == [4, 4, 1]


def test_mouths_and_their_units_come_from_training_clips_of_the_class():
    head = dataclasses.replace(PLAIN, region_replacing=1.0)
    labels = [0, 1, 0, 1, 0, 1, 1]
    some, _, network = made(head, tuple(labels))
    some.units = torch.rand(7, 4, generator=torch.Generator().manual_seed(1)).round()
    own, whole = some.all(), head.pictures(some.all())
    for seed in range(5):
        torch.manual_seed(seed)
        pictures, units = head.training_clips(network, own, some)
        for i in range(7):
            assert torch.equal(pictures[i, :, :32], whole[i, :, :32])
            (donor,) = (j for j in range(7) if torch.equal(pictures[i, :, 32:], whole[j, :, 32:]))
            assert donor != i
            assert labels[donor] == labels[i]
            assert units[i].tolist() == [*own.units[i, :2].tolist(), *some.units[donor, 2:].tolist()]


def test_a_batch_of_some_clips_finds_donors_among_all():
    """The donors of clips 1 and 3 are asked for by their places in the fold, not in the batch."""
    head = dataclasses.replace(PLAIN, region_replacing=1.0)
    some, _, network = made(head, (0, 1, 0, 1, 0, 0, 0, 1))
    batch = some.batch(torch.tensor([3, 1]))
    some.asked.clear()
    torch.manual_seed(0)
    pictures, _ = head.training_clips(network, batch, some)
    assert len(some.asked) == 2
    assert some.asked[0] in (1, 7)
    assert some.asked[1] in (3, 7)
    assert torch.equal(pictures[0, :, 32:], head.pictures(some.batch(torch.tensor(some.asked[:1])))[0, :, 32:])


def test_without_region_replacing_no_other_clip_is_read():
    some, _, network = made()
    batch = some.batch(torch.tensor([0, 1]))
    some.asked.clear()
    pictures, units = PLAIN.training_clips(network, batch, some)
    assert some.asked == []
    assert torch.equal(pictures, PLAIN.pictures(batch))
    assert torch.equal(units, batch.units)


def test_a_mirrored_flow_has_the_mirrored_picture():
    """So a flip needs no change of sign: magnitudes have no direction."""
    flow = clips([0, 1]).arrays[ONSET].float()
    mirrored = flow.flip(2) * torch.tensor([-1.0, 1.0])
    for view in flow_pictures.VIEWS:
        picture = flow_pictures.picture(flow, view)[:, None]
        assert torch.equal(flow_pictures.picture(mirrored, view)[:, None], augment.mirrored(picture, 1.0))


def test_it_learns_what_is_there():
    head = Ruan(erasing=0.2)
    seen, unseen = clips([0, 1] * 4), clips([0, 1] * 8, seed=9)
    network = trained(head, seen, inputs_of(seen, ("a", "b"), NUMBERS), 6, 8, 1e-3)
    assert accuracy(head, network, unseen) > 0.9


def test_it_does_not_learn_labels_that_have_no_cause():
    """As many of either label among the clips of either kind."""
    head = Ruan(erasing=0.2)
    seen, unseen = clips([0, 1] * 4), clips([0, 1] * 8, seed=9)
    for some in (seen, unseen):
        some.labels = torch.arange(len(some)) // 2 % 2
    network = trained(head, seen, inputs_of(seen, ("a", "b"), NUMBERS), 4, 8, 1e-3)
    assert 0.25 <= accuracy(head, network, unseen) <= 0.75


def test_the_same_seed_gives_the_same_network():
    head = Ruan()
    some = clips([0, 1] * 2)
    inputs = inputs_of(some, ("a", "b"), NUMBERS)
    first, again = (trained(head, some, inputs, 1, 4, 1e-3).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    torch.manual_seed(1)
    other = head.loss(fresh(PLAIN, 2), some.all(), some)
    torch.manual_seed(2)
    assert head.loss(fresh(PLAIN, 2), some.all(), some) != other


def test_a_checkpoint_is_whole():
    some, inputs, network = made(labels=(0, 1, 1, 1))
    fresh = PLAIN.network(inputs)
    fresh.load_state_dict(network.state_dict(), strict=True)
    with torch.no_grad():
        before, after = (PLAIN.probabilities(net.eval(), some.all()) for net in (network, fresh))
    assert torch.equal(before, after)


def test_au_cam_shows_where_the_features_come_from():
    some, _, network = made()
    network.eval()
    view = PLAIN.views(network, some.all())["au_cam[y,x]"]
    assert view.shape == (4, 64, 64)
    assert view.dtype == np.float32
    assert view.min() >= 0
    assert view.max((1, 2)) == pytest.approx(1)
    assert all(value.grad is None for value in network.parameters())
    with torch.no_grad():  # as a caller may have it
        assert np.array_equal(PLAIN.views(network, some.all())["au_cam[y,x]"], view)


def test_au_cam_is_grad_cam_of_the_largest_weighted_feature():
    """Against slopes by finite differences, for the mouth of one clip, in float64."""
    some, _, network = made()
    network.eval().double()
    images = network.standardised(PLAIN.pictures(some.batch(torch.tensor([1]))).double())
    with torch.no_grad():
        maps = network(images).maps

        x = torch.cat([part.mean((2, 3)) for part in maps], 1)

        def largest(step):
            """With each of the mouth's 512 channels moved by a step, at both places of its map."""
            moved = x + step * torch.eye(1024, dtype=torch.float64)[512:]
            return (moved * network.area_weights(moved))[:, 512:].amax(1)

        slopes = (largest(1e-6) - largest(-1e-6)) / 2e-6 / 2
        cam = (slopes[:, None, None] * maps[1][0]).sum(0).clamp(min=0)
    network.float()
    lower = PLAIN.views(network, some.batch(torch.tensor([1])))["au_cam[y,x]"][0, 32:]
    truth = F.interpolate(cam[None, None], (32, 64), mode="bilinear", align_corners=False)[0, 0].numpy()
    assert lower.max() > 0
    assert np.abs(lower / lower.max() - truth / truth.max()).max() < 1e-3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flow_view": "colour"}, "flow_view='colour' is unknown"),
        ({"attention": "on"}, "attention='on'"),
        ({"groups": 3}, "256 channels do not divide into 2 x 3"),
        ({"region_replacing": 1.5}, "region_replacing=1.5 is no share"),
        ({"temperature": 0.0}, "temperature=0.0"),
    ],
)
def test_bad_settings_are_refused(change, message):
    with pytest.raises(RecipeError, match=message):
        dataclasses.replace(PLAIN, **change)


def test_images_that_do_not_halve_are_refused():
    some = clips([0, 1], size=65)
    with pytest.raises(RecipeError, match=r"65 x 65 px do not divide.*even height"):
        PLAIN.network(inputs_of(some, ("a", "b")))
    some.arrays[OFFSET] = some.arrays[OFFSET][:, :32]
    with pytest.raises(RecipeError, match="do not lie together"):
        PLAIN.network(inputs_of(some, ("a", "b")))


def test_a_store_without_units_still_trains():
    some, inputs = clips([0, 1, 0, 1]), None
    some.units = torch.zeros(4, 0)
    inputs = inputs_of(some, ("a", "b"))
    network = trained(Ruan(), some, inputs, 1, 4, 1e-3)
    assert torch.isfinite(Ruan().probabilities(network, some.all())).all()


def test_it_trains_in_bfloat16():
    some, _, network = made(Ruan())
    with torch.autocast("cpu", torch.bfloat16):
        loss = Ruan().loss(network.train(), some.all(), some)
    loss.backward()
    assert loss.isfinite()
