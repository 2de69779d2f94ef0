"""Learned magnification: every published dialect loads strictly and computes what its own code computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d, interpolate, pad

from mer_pipe.stages.magnify import Learned, magnify
from mer_pipe.stages.magnify.learned import learned
from mer_pipe.stages.magnify.network import build
from mer_pipe.stages.weights import file_digest
from mer_pipe.types import ClipError, ModelError, RecipeError, Weights

PARAMETERS = {"resblks": 928_144, "original": 918_928, "cba": 877_968, "numbered": 879_843, "res_encoder": 966_979}


def sizes(dialect: str) -> dict[str, tuple[int, int, int]]:
    """Layer name in the dialect's own words -> (channels in, channels out, kernel)."""
    names: dict[str, tuple[int, int, int]] = {}

    def blocks(prefix, count, width, halves, start=0):
        for i in range(start, start + count):
            for half in halves:
                names[f"{prefix}.{i}.{half}"] = (width, width, 3)

    if dialect in ("resblks", "original"):
        pair = ("conv1", "conv2")
        names |= {"encoder.conv1": (3, 16, 7), "encoder.conv2": (16, 32, 3)}
        blocks("encoder.resblks", 3, 32, pair)
        names["encoder.conv1_text"] = (32, 32, 3)
        blocks("encoder.resblks_text", 2, 32, pair)
        if dialect == "resblks":
            names["encoder.conv1_shape"] = (32, 32, 3)
        blocks("encoder.resblks_shape", 2, 32, pair)
        names["manipulator.convblks.0.conv1"] = (32, 32, 7)
        names["manipulator.convblks_after.0.conv1"] = (32, 32, 3)
        blocks("manipulator.resblks", 1, 32, pair)
        names["decoder.conv1_text"] = (32, 32, 3)
        blocks("decoder.resblks", 9, 64, pair)
        names |= {"decoder.conv1": (64, 32, 3), "decoder.conv2": (32, 3, 7)}
    elif dialect == "cba":
        pair = ("cba_1.conv2d", "cba_2.conv2d")
        names |= {"encoder.cba_1.conv2d": (3, 16, 7), "encoder.cba_2.conv2d": (16, 32, 3)}
        blocks("encoder.resblks", 3, 32, pair)
        names["encoder.texture_cba.conv2d"] = (32, 32, 3)
        blocks("encoder.texture_resblks", 2, 32, pair)
        names["encoder.motion_cba.conv2d"] = (32, 32, 3)
        blocks("encoder.motion_resblks", 2, 32, pair)
        names |= {"manipulator.g.conv2d": (32, 32, 3), "manipulator.h_conv.conv2d": (32, 32, 3)}
        names |= {f"manipulator.h_resblk.{half}": (32, 32, 3) for half in pair}
        blocks("decoder.resblks", 9, 64, pair)
        names |= {"decoder.cba_1.conv2d": (64, 32, 3), "decoder.cba_2.conv2d": (32, 3, 7)}
    elif dialect == "numbered":
        pair = ("block.1", "block.4")
        names |= {"encoder.conv.1": (3, 16, 7), "encoder.conv.4": (16, 32, 3)}
        blocks("encoder.res", 3, 32, pair)
        for code in ("texture", "shape"):
            names[f"encoder.{code}.1"] = (32, 32, 3)
            blocks(f"encoder.{code}", 2, 32, pair, start=3)
        names |= {"manipulator.conv1.1": (32, 32, 3), "manipulator.conv2.1": (32, 32, 3)}
        names |= {f"manipulator.conv2.2.{half}": (32, 32, 3) for half in pair}
        blocks("decoder.res", 9, 64, pair)
        names |= {"decoder.deconv.2": (64, 32, 3), "decoder.deconv.5": (32, 3, 7)}
    else:
        pair = ("conv1", "conv2")
        names |= {"encoder.res_encoder.conv1": (3, 16, 7), "encoder.res_encoder.conv2": (16, 32, 3)}
        blocks("encoder.res_encoder.residual", 3, 32, pair)
        names |= {"encoder.conv_tex": (32, 32, 3), "encoder.conv_sha": (32, 32, 3)}
        blocks("encoder.texture_resblk", 2, 32, pair)
        blocks("encoder.shape_resblk", 2, 32, pair)
        names |= {"decoder.conv_tex_aft_upsample": (32, 32, 3), "decoder.res_decoder.conv_up_sample": (64, 64, 3)}
        blocks("decoder.res_decoder.residual", 9, 64, pair)
        names |= {"decoder.res_decoder.conv1": (64, 32, 3), "decoder.res_decoder.conv2": (32, 3, 7)}
        names |= {"res_manipulator.conv1": (32, 32, 7), "res_manipulator.conv2": (32, 32, 3)}
        blocks("res_manipulator.residual", 1, 32, pair)
    return names


def random_state(dialect: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """Seeded weights in the dialect's layout, scaled so that the image neither dies nor saturates on its way."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, (enter, leave, kernel) in sizes(dialect).items():
        gain = (1.0 if name.endswith(("conv2", "cba_2.conv2d", "block.4", "deconv.5")) else 2.0) / (enter * kernel**2)
        state[f"{name}.weight"] = torch.randn(leave, enter, kernel, kernel, generator=generator) * gain**0.5 * 0.7
        if dialect in ("numbered", "res_encoder"):
            state[f"{name}.bias"] = torch.randn(leave, generator=generator) * 0.05
    return state


def reference_forward(dialect, state, a, b, af):
    """The published code of each dialect, restated with plain functions on its own names: float (3, y, x) out."""

    def layer(name, x, stride=1):
        weight = state[f"{name}.weight"]
        reach = weight.shape[-1] // 2
        return conv2d(pad(x, (reach,) * 4, mode="reflect"), weight, state.get(f"{name}.bias"), stride)

    def run(prefix, numbers, x):
        first, second = {"cba": ("cba_1.conv2d", "cba_2.conv2d"), "numbered": ("block.1", "block.4")}.get(
            dialect, ("conv1", "conv2")
        )
        for number in numbers:
            name = f"{prefix}.{number}" if number is not None else prefix
            x = x + layer(f"{name}.{second}", torch.relu(layer(f"{name}.{first}", x)))
        return x

    def twice(x):
        return interpolate(x, scale_factor=2, mode="nearest")

    relu = torch.relu
    a, b = (torch.from_numpy(f).permute(2, 0, 1)[None].double() for f in (a, b))
    a, b = (f / 255 if dialect == "numbered" else f / 127.5 - 1 for f in (a, b))
    state = {name: tensor.double() for name, tensor in state.items()}
    if dialect in ("resblks", "original"):

        def encode(x):
            x = run("encoder.resblks", range(3), relu(layer("encoder.conv2", relu(layer("encoder.conv1", x)), 2)))
            texture = run("encoder.resblks_text", range(2), relu(layer("encoder.conv1_text", x, 2)))
            x = relu(layer("encoder.conv1_shape", x)) if dialect == "resblks" else x
            return texture, run("encoder.resblks_shape", range(2), x)

        (_, m_a), (v, m_b) = encode(a), encode(b)
        d = (af - 1.0) * relu(layer("manipulator.convblks.0.conv1", m_b - m_a))
        m = m_b + run("manipulator.resblks", [0], layer("manipulator.convblks_after.0.conv1", d))
        v = relu(layer("decoder.conv1_text", twice(v)))
        c = twice(run("decoder.resblks", range(9), torch.cat([v, m], 1)))
        y = layer("decoder.conv2", relu(layer("decoder.conv1", c)))
    elif dialect == "cba":

        def encode(x):
            x = relu(layer("encoder.cba_2.conv2d", relu(layer("encoder.cba_1.conv2d", x)), 2))
            x = run("encoder.resblks", range(3), x)
            texture = run("encoder.texture_resblks", range(2), relu(layer("encoder.texture_cba.conv2d", x, 2)))
            return texture, run("encoder.motion_resblks", range(2), relu(layer("encoder.motion_cba.conv2d", x)))

        (_, m_a), (v, m_b) = encode(a), encode(b)
        d = layer("manipulator.h_conv.conv2d", relu(layer("manipulator.g.conv2d", m_b - m_a)) * af)
        m = m_b + run("manipulator.h_resblk", [None], d)
        c = twice(run("decoder.resblks", range(9), torch.cat([twice(v), m], 1)))
        y = layer("decoder.cba_2.conv2d", relu(layer("decoder.cba_1.conv2d", c)))
    elif dialect == "numbered":

        def encode(x):
            x = run("encoder.res", range(3), relu(layer("encoder.conv.4", relu(layer("encoder.conv.1", x)), 2)))
            texture = run("encoder.texture", (3, 4), relu(layer("encoder.texture.1", x, 2)))
            return texture, run("encoder.shape", (3, 4), relu(layer("encoder.shape.1", x)))

        (_, m_a), (v, m_b) = encode(a), encode(b)
        d = layer("manipulator.conv2.1", relu(layer("manipulator.conv1.1", m_b - m_a)) * af)
        m = m_a + run("manipulator.conv2.2", [None], d)
        c = twice(run("decoder.res", range(9), torch.cat([twice(v), m], 1)))
        y = layer("decoder.deconv.5", relu(layer("decoder.deconv.2", c)))
    else:

        def encode(x):
            x = relu(layer("encoder.res_encoder.conv2", relu(layer("encoder.res_encoder.conv1", x)), 2))
            x = run("encoder.res_encoder.residual", range(3), x)
            texture = run("encoder.texture_resblk", range(2), relu(layer("encoder.conv_tex", x, 2)))
            return texture, run("encoder.shape_resblk", range(2), relu(layer("encoder.conv_sha", x)))

        (_, m_a), (v, m_b) = encode(a), encode(b)
        d = layer("res_manipulator.conv2", relu(layer("res_manipulator.conv1", m_b - m_a)) * af)
        m = m_b + run("res_manipulator.residual", [0], d)
        v = relu(layer("decoder.conv_tex_aft_upsample", twice(v)))
        c = twice(run("decoder.res_decoder.residual", range(9), torch.cat([v, m], 1)))
        c = relu(layer("decoder.res_decoder.conv_up_sample", c))
        y = layer("decoder.res_decoder.conv2", relu(layer("decoder.res_decoder.conv1", c)))
    y = y[0] * 255 if dialect == "numbered" else (y[0] + 1) * 127.5
    return y.permute(1, 2, 0).numpy()


def frames(height=32, width=40, seed=0):
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    return a, np.roll(a, 1, axis=1)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A function from dialect to weights on disk, wrapped as its training code wraps them."""
    folder = tmp_path_factory.mktemp("weights")

    def save(dialect: str) -> Weights:
        path = folder / f"{dialect}.pth"
        if not path.exists():
            state = random_state(dialect)
            content = {
                "resblks": lambda: {"epoch": 9, "state_dict": {f"module.{k}": v for k, v in state.items()}},
                "original": lambda: {"state_dict": state},
                "cba": lambda: state,
                "numbered": lambda: state,
                "res_encoder": lambda: {"epoch": 9, "model_state_dict": state, "val_loss": [0.1]},
            }[dialect]()
            torch.save(content, path)
        return Weights(file_digest(str(path)), str(path))

    return save


@pytest.mark.parametrize("dialect", PARAMETERS)
def test_each_dialect_loads_every_tensor_of_the_published_size(dialect):
    network = build(random_state(dialect), dialect)
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[dialect]


@pytest.mark.parametrize("dialect", PARAMETERS)
def test_each_dialect_computes_what_its_own_code_computes(dialect, saved):
    a, b = frames()
    out = Learned(saved(dialect))(reference=a, target=b, af=(0.0, 1.0, 2.5, 6.0))["image"]
    exact = np.stack([reference_forward(dialect, random_state(dialect), a, b, af) for af in (0.0, 1.0, 2.5, 6.0)])
    assert np.abs(out - np.clip(exact, 0, 255)).max() <= 0.5 + 1e-2
    inside = (exact > 0) & (exact < 255)
    assert inside.mean() > 0.2  # the comparison is not one of saturated pixels
    assert np.abs(exact[1] - exact[3]).mean() > 1.0  # and AF matters


@pytest.mark.parametrize("dialect", ["resblks", "numbered"])
@pytest.mark.parametrize("channels", [1, 3])
def test_float_frames_are_rounded_neither_before_nor_after(dialect, channels, saved):
    rng = np.random.default_rng(3)
    a = rng.uniform(0, 255, (32, 40, channels)).astype(np.float32)
    b = np.roll(a, 1, axis=1)
    out = learned(a, b, (1.0, 2.5), saved(dialect))
    three = [np.repeat(f, 3, axis=2) if channels == 1 else f for f in (a, b)]
    exact = np.stack([reference_forward(dialect, random_state(dialect), *three, af) for af in (1.0, 2.5)]).clip(0, 255)
    exact = exact @ np.array([[0.299], [0.587], [0.114]]) if channels == 1 else exact
    assert out.dtype == np.float32
    assert np.abs(out - exact).max() < 5e-3
    big = magnify(*(f.squeeze() / np.float32(255) for f in (a, b)), [1, 2.5], "learned", weights=saved(dialect))
    assert np.abs(255 * big.reshape(exact.shape) - exact).max() < 5e-3


def test_afs_together_and_alone_give_the_same_bytes(saved):
    a, b = frames()
    stage = Learned(saved("cba"))
    together = stage(reference=a, target=b, af=(2.0, 4.0))["image"]
    alone = [stage(reference=a, target=b, af=(af,))["image"][0] for af in (2.0, 4.0)]
    assert np.array_equal(together, alone)


def test_the_number_of_threads_does_not_matter(saved):
    a, b = frames(64, 64)
    stage, before, outs = Learned(saved("resblks")), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            outs.append(stage(reference=a, target=b, af=(2.0, 7.0))["image"])
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(outs[0], outs[1])
    assert np.array_equal(outs[0], outs[2])


def test_without_biases_identical_frames_look_the_same_at_every_af(saved):
    a, _ = frames()
    out = Learned(saved("cba"))(reference=a, target=a, af=(0.0, 1.0, 7.0))["image"]
    assert np.array_equal(out[0], out[1])
    assert np.array_equal(out[0], out[2])


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (33, 30), (31, 64)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_and_gray_come_back_as_they_went_in(saved, size, channels):
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 256, (2, *size, channels)).astype(np.uint8)
    stage = Learned(saved("cba"))
    out = stage(reference=a, target=b, af=(3.0,))["image"]
    assert out.shape == (1, *size, channels)
    stage.returns["image"].check(out[0])


@pytest.mark.filterwarnings("error")
def test_read_only_frames_pass_without_a_warning(saved):
    a, b = frames()
    a.flags.writeable = b.flags.writeable = False
    assert Learned(saved("cba"))(reference=a, target=b, af=(3.0,))["image"].shape == (1, *a.shape)


def test_frames_of_two_sizes_are_a_clip_error(saved):
    a, b = frames()
    with pytest.raises(ClipError, match="reference frame has shape"):
        Learned(saved("cba"))(reference=a[:-4], target=b, af=(2.0,))


def test_a_negative_af_is_a_recipe_error(saved):
    a, b = frames()
    with pytest.raises(RecipeError, match="AF -1"):
        Learned(saved("cba"))(reference=a, target=b, af=(-1.0,))


def test_a_checkpoint_of_another_net_is_named_and_refused():
    with pytest.raises(ModelError, match=r"2 tensors, 20 values, named fc\.weight") as refused:
        build({"fc.weight": torch.zeros(4, 4), "fc.bias": torch.zeros(4)}, "x.pth")
    assert "cba" in refused.value.fix


def test_a_missing_and_a_surplus_tensor_are_refused():
    state = random_state("cba")
    with pytest.raises(ModelError, match="no learned magnifier"):
        build({k: v for k, v in state.items() if k != "decoder.cba_2.conv2d.weight"}, "x.pth")
    with pytest.raises(ModelError, match="no learned magnifier"):
        build(state | {"discriminator.weight": torch.zeros(1)}, "x.pth")


def test_a_net_of_another_width_is_refused():
    state = random_state("cba")
    state["decoder.cba_1.conv2d.weight"] = torch.zeros(16, 64, 3, 3)
    with pytest.raises(ModelError, match="other sizes"):
        build(state, "x.pth")
