"""What a training leaves: weights, a report for programs, a card for people, a curve. Imports torch: import it lazily."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

import mer_pipe
from mer_pipe.pretrain.curve import BLUE, GREEN, ORANGE, Panel, draw
from mer_pipe.pretrain.magnifier import network, sources, validation

if TYPE_CHECKING:
    from mer_pipe.pretrain.magnifier.run import Prepared

WEIGHTS, REPORT, CARD, CURVE = "magnifier.safetensors", "report.json", "card.md", "curve.png"


def document(prepared: Prepared, history: list[dict]) -> dict[str, Any]:
    """The report, as plain JSON values.

    Keys: "identity" (settings, recipe, digests of photographs), "dialect", "licences", "validation" (mean SSIM of what moves
    for each AF, of the network that is kept and of the target left as it is), "history" (an entry a round), "machine".
    """
    left = validation.likeness(None, validation.pairs(prepared.settings), torch.device("cpu"))
    names = [f"af {af:g}" for af in validation.FACTORS]
    return {
        "identity": prepared.identity,
        "dialect": network.DIALECT.name,
        "licences": sources.LICENCES,
        "validation": {
            "learned": {name: history[-1][name] for name in names},
            "copy": dict(zip(names, left, strict=True)),
        },
        "history": history,
        "machine": {
            "mer_pipe": mer_pipe.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "device": _device(prepared.device),
            "threads": torch.get_num_threads(),
        },
    }


def write(out: Path, tensors: dict[str, Tensor], told: dict[str, Any]) -> dict[str, Any]:
    """Write the four files and return the report with "weights" added: the file's name, digest and number of values.

    The weights' metadata has one entry, "mer_pipe": the report without times and machine, so that the same training gives
    the same bytes. The report is renamed into place last: where it is, the others are.
    """
    import hashlib

    from safetensors.torch import save

    from mer_pipe.store.durable import write_files

    inside = {key: value for key, value in told.items() if key not in ("history", "machine")}
    plain = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    content = save(plain, {"mer_pipe": json.dumps(inside, sort_keys=True)})
    values = sum(tensor.numel() for tensor in plain.values())
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    told = {**told, "weights": {"file": WEIGHTS, "digest": digest, "values": values, "dtype": "float32"}}
    write_files(
        [
            (out / WEIGHTS, content),
            (out / CURVE, curve(told["history"])),
            (out / CARD, card(told).encode()),
            (out / REPORT, (json.dumps(told, indent=2) + "\n").encode()),
        ]
    )
    return told


def curve(history: list[dict[str, Any]]) -> bytes:
    """Draw the loss, and the SSIM on the validation scenes, over steps; a PNG."""
    losses = Panel(2 * min(entry["loss"] for entry in history), {"training loss": ("loss", BLUE)})
    lines = {"validation SSIM, AF 2": ("af 2", GREEN), "AF 6": ("af 6", ORANGE), "AF 13": ("af 13", BLUE)}
    return draw(history, "step", [losses, Panel(1.0, lines)])


def card(told: dict[str, Any]) -> str:
    """The report as a page of Markdown."""
    settings, weights = told["identity"]["settings"], told["weights"]
    seconds = sum(entry["seconds"] for entry in told["history"])
    lines = [
        "# Learned magnifier",
        "",
        f"For `magnify.weights`: `{weights['file']}`, {weights['digest']}",
        "",
        "* The network of Oh et al., ECCV 2018, at a width of "
        f"{settings['width']} (64 as published): {weights['values']:,} values, {weights['dtype']}.",
        f"* Dialect: {told['dialect']}.",
        f"* {settings['steps']} steps of {settings['batch']} scenes of {settings['size']} px, {settings['precision']}, "
        f"{seconds / 60:.0f} min on {told['machine']['device']}, {told['machine']['threads']} thread(s).",
        "",
        "## Validation",
        "",
        f"Mean SSIM of what moves on {validation.SCENES} generated scenes of pictures that were not trained on, "
        "noise of sigma 1:",
        "",
        "| | " + " | ".join(told["validation"]["copy"]) + " |",
        "|---" * (len(told["validation"]["copy"]) + 1) + "|",
        *(
            f"| {word} | " + " | ".join(f"{v:.4f}" for v in told["validation"][key].values()) + " |"
            for key, word in (("copy", "the target left as it is"), ("learned", "magnified"))
        ),
        "",
        "## Pictures",
        "",
        "Generated textures, and photographs that scikit-image ships:",
        "",
        *(
            f"* {name}: {licence}" + (", for validation alone" if name in sources.VALIDATION else "")
            for name, licence in told["licences"].items()
        ),
        "",
        "## Settings",
        "",
        *(f"* {name}: {value}" for name, value in settings.items()),
        "",
        f"Made with mer-pipe {told['machine']['mer_pipe']}, PyTorch {told['machine']['torch']}.",
    ]
    return "\n".join(lines) + "\n"


def _device(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{platform.machine()} CPU"
