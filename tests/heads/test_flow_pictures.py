"""Pictures of a flow against the steps of the released code, written out in NumPy."""

from __future__ import annotations

import numpy as np
import torch

from mer_pipe.heads.flow_pictures import gray, magnitude, picture, released


def flows(n: int = 3) -> torch.Tensor:
    source = torch.Generator().manual_seed(0)
    return (torch.randn(n, 20, 24, 2, generator=source) * torch.arange(1, n + 1)[:, None, None, None]).half()


def test_the_magnitude_is_the_length_of_the_vector():
    flow = torch.zeros(1, 2, 2, 2)
    flow[0, 0, 1] = torch.tensor([3.0, -4.0])
    assert magnitude(flow).tolist() == [[[0, 5], [0, 0]]]
    # A component may leave float16 when it is squared; the length does not.
    assert magnitude(torch.full((1, 1, 1, 2), 300.0).half()).item() == np.float32(300 * 2**0.5)


def test_the_released_picture_is_the_released_codes():
    for flow, made in zip(flows().numpy(), released(flows()).numpy(), strict=True):
        length = np.sqrt((flow.astype(np.float32) ** 2).sum(-1))
        byte = ((length - length.min()) / (length.max() - length.min() + 1e-8) * 255).astype(np.uint8)
        byte[byte < 1.5 * byte.mean()] = 0
        assert (np.abs(made - byte) <= 1).all()  # float32 sums may round to the neighbour
        assert (made == byte).mean() > 0.99
        assert 0 < (made == 0).mean() < 1


def test_the_released_picture_does_not_tell_how_much_a_clip_moves():
    flow = flows(1).float()
    assert torch.equal(released(flow), released(4 * flow))
    assert torch.allclose(magnitude(4 * flow), 4 * magnitude(flow))


def test_each_clip_is_stretched_by_itself():
    together = released(flows())
    assert torch.equal(together[1:2], released(flows()[1:2]))
    assert (together.amax((1, 2)) == 255).all()


def test_a_flow_of_one_length_has_an_empty_picture():
    assert (released(torch.ones(2, 4, 4, 2)) == 0).all()


def test_the_scales():
    assert picture(flows(), "released").max() == 1
    assert torch.equal(picture(flows(), "magnitude"), magnitude(flows()))
    assert gray(torch.tensor([[[0, 51, 255]]], dtype=torch.uint8))[0, 0].tolist() == [0, np.float32(0.2), 1]
