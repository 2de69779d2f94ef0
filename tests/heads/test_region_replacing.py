"""Region Replacing: donors of the same class from the training clips, and their mouths' units with them."""

from __future__ import annotations

import pytest
import torch

from mer_pipe.heads.region_replacing import (
    EYE_UNITS,
    MOUTH_UNITS,
    donors,
    unit_halves,
    with_mouth_units,
    with_mouths,
)

LABELS = torch.tensor([0, 1, 0, 2, 1, 0, 1, 1])  # class 2 has one clip


def test_a_donor_is_another_clip_of_the_same_class():
    torch.manual_seed(0)
    positions = torch.arange(8).repeat(200)
    found = donors(LABELS, positions, 1.0)
    assert torch.equal(LABELS[found], LABELS[positions])
    assert (found != positions)[LABELS[positions] != 2].all()


def test_every_other_clip_of_the_class_is_as_likely():
    torch.manual_seed(0)
    found = donors(LABELS, torch.full((3000,), 4), 1.0)
    counts = torch.bincount(found, minlength=8)
    assert counts[[0, 2, 3, 4, 5]].sum() == 0
    assert counts[[1, 6, 7]].float().div(1000).sub(1).abs().max() < 0.1


def test_a_clip_alone_in_its_class_keeps_its_mouth():
    torch.manual_seed(0)
    assert (donors(LABELS, torch.full((50,), 3), 1.0) == 3).all()


def test_one_class_of_one_clip_has_no_donor():
    assert donors(torch.tensor([0]), torch.tensor([0]), 1.0).tolist() == [0]


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_so_many_are_replaced(share):
    torch.manual_seed(0)
    positions = torch.full((4000,), 1)
    assert (donors(LABELS, positions, share) != positions).float().mean().item() == pytest.approx(share, abs=0.03)


def test_the_default_generator_decides():
    torch.manual_seed(7)
    first = donors(LABELS, torch.arange(8), 0.5)
    torch.manual_seed(7)
    assert torch.equal(donors(LABELS, torch.arange(8), 0.5), first)


def test_the_lower_half_and_its_units_come_from_the_donor():
    own, other = torch.zeros(2, 3, 6, 4), torch.ones(2, 3, 6, 4)
    out = with_mouths(own, other)
    assert (out[:, :, :3] == 0).all()
    assert (out[:, :, 3:] == 1).all()
    numbers = (1, 4, 9, 12, 17, 54)
    halves = unit_halves(numbers)
    eyes = torch.tensor([[1.0, 0, 1, 1, 0, 1]])  # 1, 9, 12, 54
    mouth = torch.tensor([[1.0, 1, 0, 0, 1, 1]])  # 1, 4, 17, 54
    assert with_mouth_units(eyes, mouth, halves).tolist() == [[1, 0, 1, 0, 1, 0]]  # 1 and 9 of the one, 17 of the other


def test_every_unit_is_of_one_half_at_most():
    assert not EYE_UNITS & MOUTH_UNITS
    assert {1, 2, 4, 5, 6, 7, 43} <= EYE_UNITS  # FACS's upper face
    assert {10, 12, 14, 15, 17, 20, 23, 24, 25, 26} <= MOUTH_UNITS  # its lower face
    assert not {51, 52, 53, 54} & (EYE_UNITS | MOUTH_UNITS)  # movements of the head
    assert unit_halves(()).shape == (2, 0)
