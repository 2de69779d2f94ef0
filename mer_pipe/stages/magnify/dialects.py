"""The dialects of published learned-magnification checkpoints, told apart by names and shapes of their tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mer_pipe.types import ModelError

if TYPE_CHECKING:
    from torch import Tensor

OPTIONAL = ("encoder.shape_conv", "decoder.texture_up", "decoder.extra")
BLOCKS = {"encoder.blocks": 3, "encoder.texture_blocks": 2, "encoder.shape_blocks": 2, "decoder.blocks": 9}


@dataclass(frozen=True)
class Dialect:
    """How one published code names its layers, and the conventions that its tensors do not show.

    Attributes
    ----------
    name : what it is called in messages.
    places : our name of a layer to theirs; a trailing ".*" stands for the numbered residual blocks.
    halves : their names of the two convolutions of a residual block.
    first : our name of a run of blocks to the number of its first, where they do not count from 0.
    excess : whether the net is fed AF - 1 (else AF).
    base : frame whose shape code the magnified difference is added to: "reference" or "target".
    signed : whether images are scaled to -1..1 (else 0..1).
    """

    name: str
    places: Mapping[str, str]
    halves: tuple[str, str]
    first: Mapping[str, int]
    excess: bool
    base: str
    signed: bool


@dataclass(frozen=True)
class Shape:
    """What the tensors of a checkpoint show.

    Attributes
    ----------
    bias : whether convolutions have biases.
    kernel : side of the kernel of g.
    shape_conv, texture_up, extra : which optional layers it has.
    width : channels of the decoder's blocks, 64 as published; codes have half as many and the first layer a quarter.
    """

    bias: bool
    kernel: int
    shape_conv: bool
    texture_up: bool
    extra: bool
    width: int = 64


DIALECTS = (
    Dialect(
        "resblks (AF - 1, as the original)",
        {
            "encoder.enter": "encoder.conv1",
            "encoder.halve": "encoder.conv2",
            "encoder.blocks.*": "encoder.resblks",
            "encoder.texture_conv": "encoder.conv1_text",
            "encoder.texture_blocks.*": "encoder.resblks_text",
            "encoder.shape_conv": "encoder.conv1_shape",
            "encoder.shape_blocks.*": "encoder.resblks_shape",
            "manipulator.g": "manipulator.convblks.0.conv1",
            "manipulator.h": "manipulator.convblks_after.0.conv1",
            "manipulator.block": "manipulator.resblks.0",
            "decoder.texture_up": "decoder.conv1_text",
            "decoder.blocks.*": "decoder.resblks",
            "decoder.narrow": "decoder.conv1",
            "decoder.leave": "decoder.conv2",
        },
        ("conv1", "conv2"),
        {},
        excess=True,
        base="target",
        signed=True,
    ),
    Dialect(
        "cba",
        {
            "encoder.enter": "encoder.cba_1.conv2d",
            "encoder.halve": "encoder.cba_2.conv2d",
            "encoder.blocks.*": "encoder.resblks",
            "encoder.texture_conv": "encoder.texture_cba.conv2d",
            "encoder.texture_blocks.*": "encoder.texture_resblks",
            "encoder.shape_conv": "encoder.motion_cba.conv2d",
            "encoder.shape_blocks.*": "encoder.motion_resblks",
            "manipulator.g": "manipulator.g.conv2d",
            "manipulator.h": "manipulator.h_conv.conv2d",
            "manipulator.block": "manipulator.h_resblk",
            "decoder.texture_up": "decoder.texture_cba.conv2d",
            "decoder.blocks.*": "decoder.resblks",
            "decoder.narrow": "decoder.cba_1.conv2d",
            "decoder.leave": "decoder.cba_2.conv2d",
        },
        ("cba_1.conv2d", "cba_2.conv2d"),
        {},
        excess=False,
        base="target",
        signed=True,
    ),
    Dialect(
        "numbered (base is the reference, images 0..1)",
        {
            "encoder.enter": "encoder.conv.1",
            "encoder.halve": "encoder.conv.4",
            "encoder.blocks.*": "encoder.res",
            "encoder.texture_conv": "encoder.texture.1",
            "encoder.texture_blocks.*": "encoder.texture",
            "encoder.shape_conv": "encoder.shape.1",
            "encoder.shape_blocks.*": "encoder.shape",
            "manipulator.g": "manipulator.conv1.1",
            "manipulator.h": "manipulator.conv2.1",
            "manipulator.block": "manipulator.conv2.2",
            "decoder.blocks.*": "decoder.res",
            "decoder.narrow": "decoder.deconv.2",
            "decoder.leave": "decoder.deconv.5",
        },
        ("block.1", "block.4"),
        {"encoder.texture_blocks": 3, "encoder.shape_blocks": 3},
        excess=False,
        base="reference",
        signed=False,
    ),
    Dialect(
        "res_encoder",
        {
            "encoder.enter": "encoder.res_encoder.conv1",
            "encoder.halve": "encoder.res_encoder.conv2",
            "encoder.blocks.*": "encoder.res_encoder.residual",
            "encoder.texture_conv": "encoder.conv_tex",
            "encoder.texture_blocks.*": "encoder.texture_resblk",
            "encoder.shape_conv": "encoder.conv_sha",
            "encoder.shape_blocks.*": "encoder.shape_resblk",
            "manipulator.g": "res_manipulator.conv1",
            "manipulator.h": "res_manipulator.conv2",
            "manipulator.block": "res_manipulator.residual.0",
            "decoder.texture_up": "decoder.conv_tex_aft_upsample",
            "decoder.blocks.*": "decoder.res_decoder.residual",
            "decoder.extra": "decoder.res_decoder.conv_up_sample",
            "decoder.narrow": "decoder.res_decoder.conv1",
            "decoder.leave": "decoder.res_decoder.conv2",
        },
        ("conv1", "conv2"),
        {},
        excess=False,
        base="target",
        signed=True,
    ),
)


def layers(dialect: Dialect) -> dict[str, str]:
    """Our name of every convolution that `dialect` may have, to theirs (without ".weight" or ".bias")."""
    names = {}
    for ours, theirs in dialect.places.items():
        if ours.endswith(".*"):
            run = ours[:-2]
            start = dialect.first.get(run, 0)
            for i in range(BLOCKS[run]):
                for half, word in zip(dialect.halves, ("a", "b"), strict=True):
                    names[f"{run}.{i}.{word}"] = f"{theirs}.{start + i}.{half}"
        elif ours.endswith(".block"):
            for half, word in zip(dialect.halves, ("a", "b"), strict=True):
                names[f"{ours}.{word}"] = f"{theirs}.{half}"
        else:
            names[ours] = theirs
    return names


def recognise(state: Mapping[str, Tensor], label: str) -> tuple[Dialect, Shape, dict[str, Tensor]]:
    """The dialect of a checkpoint, its shape, and its tensors under our names.

    A dialect fits when it accounts for every tensor and lacks none but whole optional layers; sizes are checked when
    the network loads them. ModelError, naming what was found, if none fits.
    """
    for dialect in DIALECTS:
        names = layers(dialect)
        bias = f"{names['encoder.enter']}.bias" in state
        kinds = ("weight", "bias") if bias else ("weight",)
        present = {ours: theirs for ours, theirs in names.items() if f"{theirs}.weight" in state}
        wanted = {f"{ours}.{kind}": f"{theirs}.{kind}" for ours, theirs in present.items() for kind in kinds}
        if all(ours in present or ours in OPTIONAL for ours in names) and set(wanted.values()) == set(state):
            shape = Shape(
                bias=bias,
                kernel=int(state[f"{names['manipulator.g']}.weight"].shape[-1]),
                shape_conv="encoder.shape_conv" in present,
                texture_up="decoder.texture_up" in present,
                extra="decoder.extra" in present,
                width=4 * int(state[f"{names['encoder.enter']}.weight"].shape[0]),
            )
            return dialect, shape, {ours: state[theirs] for ours, theirs in wanted.items()}
    values = sum(tensor.numel() for tensor in state.values())
    few = ", ".join(list(state)[:3])
    raise ModelError(
        f"{label} is no learned magnifier of a known dialect: {len(state)} tensors, {values:,} values, named {few} ...",
        f"known dialects: {'; '.join(dialect.name for dialect in DIALECTS)}",
    )
