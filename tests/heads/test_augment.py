"""Augmentation against fields and images whose change is known."""

from __future__ import annotations

import math

import pytest
import torch

from mer_pipe.heads import augment

SIZE = (33, 41)


def grid() -> torch.Tensor:
    """(2, y, x): each pixel's x and y from the centre of the image."""
    y, x = torch.meshgrid(torch.arange(SIZE[0]) - 16.0, torch.arange(SIZE[1]) - 20.0, indexing="ij")
    return torch.stack([x, y])


def turn(degrees: float, factor: float = 1.0, mirror: bool = False) -> torch.Tensor:
    a = math.radians(degrees)
    flip = torch.diag(torch.tensor([-1.0 if mirror else 1.0, 1.0]))
    return factor * torch.tensor([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]]) @ flip


def inner(x: torch.Tensor) -> torch.Tensor:
    """What lies far from the border: it stays inside under all that is tried here."""
    return x[..., 8:-8, 10:-10]


def linear(matrix: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """The flow matrix @ place + shift, (1, 2, y, x)."""
    return (torch.einsum("ij,jyx->iyx", matrix, grid()) + shift[:, None, None])[None]


MOVES = [turn(10), turn(-7, 0.9), turn(0, 1, True), turn(9, 1.1, True), turn(0, 1.1), turn(90)]


@pytest.mark.parametrize("move", MOVES)
def test_any_linear_flow_turns_with_its_image(move):
    """A point at p goes to p + B p + t. After the move M it lies at M p and goes to M (p + B p + t)."""
    b, t = torch.tensor([[0.02, -0.05], [0.03, 0.01]]), torch.tensor([1.5, -0.7])
    truth = linear(move @ b @ torch.linalg.inv(move), move @ t)
    assert (inner(augment.moved_flow(linear(b, t), move[None]) - truth)).abs().max() < 2e-4


@pytest.mark.parametrize("degrees", [10.0, -8.0])
def test_a_flow_that_is_itself_a_rotation_does_not_feel_one(degrees):
    flow = linear(turn(3) - torch.eye(2), torch.zeros(2))
    assert inner(augment.moved_flow(flow, turn(degrees)[None]) - flow).abs().max() < 1e-4


def test_a_mirror_turns_the_sense_of_a_rotation():
    flow = linear(turn(3) - torch.eye(2), torch.zeros(2))
    back = linear(turn(-3) - torch.eye(2), torch.zeros(2))
    assert inner(augment.moved_flow(flow, turn(0, 1, True)[None]) - back).abs().max() < 1e-4


def test_a_translation_turns_by_the_angle():
    flow = linear(torch.zeros(2, 2), torch.tensor([2.0, 0.0]))
    moved = inner(augment.moved_flow(flow, turn(10)[None]))[0, :, 5, 5]
    assert moved.tolist() == pytest.approx([2 * math.cos(math.radians(10)), 2 * math.sin(math.radians(10))], abs=1e-5)


def test_moving_only_the_places_would_be_wrong():
    """The oracle above can fail: without turning the vectors the error is large."""
    flow = linear(torch.zeros(2, 2), torch.tensor([2.0, 0.0]))
    move = turn(10)[None]
    assert inner(augment.moved(flow, move) - augment.moved_flow(flow, move)).abs().max() > 0.3


@pytest.mark.parametrize("move", MOVES)
def test_the_strain_is_the_same_after_a_similarity(move):
    """So it needs no change beside its place. Of a linear flow, it is one number."""

    def strain(flow):
        (uy, ux), (vy, vx) = (torch.gradient(part, dim=(0, 1)) for part in flow[0])
        return inner((ux**2 + vy**2 + (uy + vx) ** 2 / 2).sqrt())

    flow = linear(torch.tensor([[0.02, -0.05], [0.03, 0.01]]), torch.zeros(2))
    assert (strain(augment.moved_flow(flow, move[None])) - strain(flow)).abs().max() < 1e-4


def test_images_move_about_their_centre():
    image = torch.zeros(1, 1, *SIZE)
    image[0, 0, 16, 30] = 1  # 10 px right of the centre
    down = augment.moved(image, turn(90)[None])
    assert down[0, 0, 26, 20] == pytest.approx(1, abs=1e-4)  # x to y: 10 px below it
    left = augment.moved(image, turn(0, 1, True)[None])
    assert left[0, 0, 16, 10] == pytest.approx(1, abs=1e-4)
    assert torch.allclose(augment.moved(image, torch.eye(2)[None]), image, atol=1e-5)


def test_what_comes_from_outside_is_zero():
    small = augment.moved(torch.ones(1, 1, *SIZE), turn(0, 0.5)[None])
    assert small[0, 0, :6].abs().max() == 0
    assert inner(small).min() > 0.99


def test_similarities_keep_their_bounds():
    torch.manual_seed(0)
    matrices = augment.similarities(4000, 10, 0.1, 0.5, torch.device("cpu"))
    factor = matrices[:, :, 1].norm(dim=1)
    angle = torch.rad2deg(torch.atan2(-matrices[:, 0, 1], matrices[:, 1, 1]))
    assert factor.min() >= 0.9 - 1e-5
    assert factor.max() <= 1.1 + 1e-5
    assert angle.abs().max() <= 10 + 1e-3
    assert angle.std().item() == pytest.approx(10 / math.sqrt(3), rel=0.05)
    mirrored = torch.linalg.det(matrices) < 0
    assert mirrored.float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert torch.allclose((matrices[:, :, 0] * matrices[:, :, 1]).sum(1), torch.zeros(4000), atol=1e-6)
    still = augment.similarities(3, 0, 0, 0, torch.device("cpu"))
    assert torch.equal(still, torch.eye(2).expand(3, 2, 2))


def test_bfloat16_does_not_round_the_places():
    image, move = torch.rand(1, 1, *SIZE, generator=torch.Generator().manual_seed(0)), turn(9)[None]
    with torch.autocast("cpu", torch.bfloat16):
        low = augment.moved(image, move)
    assert torch.equal(low, augment.moved(image, move))


def test_a_mirrored_image_is_mirrored_or_itself():
    torch.manual_seed(0)
    images = torch.rand(200, 1, 3, 4)
    out = augment.mirrored(images, 0.5)
    flipped = (out == images.flip(3)).flatten(1).all(1)
    assert (flipped | (out == images).flatten(1).all(1)).all()
    assert flipped.float().mean().item() == pytest.approx(0.5, abs=0.1)
    assert torch.equal(augment.mirrored(images, 0), images)


def test_erasing_replaces_one_box_of_the_wanted_area():
    torch.manual_seed(0)
    images = torch.full((600, 2, 40, 60), 9.0)
    out = augment.erased(images, 0.5)
    changed = (out != 9).any(1)
    hit = changed.flatten(1).any(1)
    assert hit.float().mean().item() == pytest.approx(0.5, abs=0.06)
    rows, columns = changed.any(2)[hit], changed.any(1)[hit]
    area = (rows.sum(1) * columns.sum(1)).float() / 2400
    assert torch.equal(changed[hit].flatten(1).sum(1), rows.sum(1) * columns.sum(1))  # a full box
    assert area.min() > 0.015
    assert area.max() < 0.31
    noise = out[changed[:, None].expand_as(out)]
    assert noise.mean().abs() < 0.02
    assert noise.std().item() == pytest.approx(1, abs=0.02)
    assert torch.equal(augment.erased(images, 0), images)
