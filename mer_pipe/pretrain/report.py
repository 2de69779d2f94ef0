"""What a training leaves: weights, a report for programs, a card for people, a curve. Imports torch: import it lazily."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

import mer_pipe
from mer_pipe.pretrain.curve import curve
from mer_pipe.pretrain.votes import EMOTIONS
from mer_pipe.stages.features import IMAGENET_MEAN, IMAGENET_STD

if TYPE_CHECKING:
    from mer_pipe.pretrain.run import Prepared

WEIGHTS, REPORT, CARD, CURVE = "resnet18-ferplus.safetensors", "report.json", "card.md", "curve.png"


def document(prepared: Prepared, history: list[dict], epoch: int, found: dict[str, dict]) -> dict[str, Any]:
    """The report, as plain JSON values.

    Keys: "trained_on" ("FER+" or "generated faces", see `Faces.source`), "identity" (settings, digests of the data, initial
    weights), "classes" (order of the logits), "input" (side and normalisation), "data" (counts, exclusions by reason, unusable
    rows), "epoch" (of the network that is kept), "PublicTest" and "PrivateTest" (see `measures.measure`), "history" (an entry
    an epoch, PublicTest), "machine".
    """
    return {
        "trained_on": prepared.faces.source,
        "identity": prepared.identity,
        "classes": list(EMOTIONS),
        "input": {
            "side": prepared.settings.final_side,
            "channels": "grey, three times",
            "mean": list(IMAGENET_MEAN),
            "std": list(IMAGENET_STD),
        },
        "data": prepared.data,
        "epoch": epoch,
        **found,
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
    """Write the four files and return the report with "weights" added: the file's name and digest.

    The weights' metadata has one entry, "mer_pipe": the report without times and machine, so that the same training gives
    the same bytes. The report is renamed into place last: where it is, the others are.
    """
    import hashlib

    from safetensors.torch import save

    from mer_pipe.store.durable import write_files

    inside = {key: value for key, value in told.items() if key not in ("history", "machine")}
    plain = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    content = save(plain, {"mer_pipe": json.dumps(inside, sort_keys=True)})
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    told = {**told, "weights": {"file": WEIGHTS, "digest": digest}}
    write_files(
        [
            (out / WEIGHTS, content),
            (out / CURVE, curve(told["history"], told["epoch"])),
            (out / CARD, card(told).encode()),
            (out / REPORT, (json.dumps(told, indent=2) + "\n").encode()),
        ]
    )
    return told


def card(told: dict[str, Any]) -> str:
    """The report as a page of Markdown."""
    settings, private, public = told["identity"]["settings"], told["PrivateTest"], told["PublicTest"]
    begun = told["identity"]["weights"]["init"]
    lines = [
        f"# ResNet-18 trained on {told['trained_on']}",
        "",
        f"For `features.weights`: `{told['weights']['file']}`, {told['weights']['digest']}",
        "",
        f"* Labels: mode {settings['mode']} of Barsoum et al., ICMI 2016.",
        f"* Epoch {told['epoch']} of {settings['epochs']}, "
        + ("the last." if settings["take"] == "last" else "the best on PublicTest among those that may be taken."),
        f"* Judged at {told['input']['side']} px, in float32, where a majority agreed. PrivateTest chose nothing.",
        f"* Begun from {begun or 'random weights'}.",
        "",
        "| | images | accuracy | macro F1 |",
        "|---|---|---|---|",
        *(
            f"| {name} | {one['images']} | {one['accuracy']:.4f} | {one['macro_f1']:.4f} |"
            for name, one in (("PublicTest", public), ("PrivateTest", private))
        ),
        "",
        "## PrivateTest by class",
        "",
        "| | images | precision | recall | F1 |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {one['images']} | " + " | ".join(_figure(one[k]) for k in ("precision", "recall", "f1")) + " |"
            for name, one in private["classes"].items()
        ),
        "",
        "Confusion: a row a true class, a column a predicted one.",
        "",
        "| | " + " | ".join(told["classes"]) + " |",
        "|---" * (len(told["classes"]) + 1) + "|",
        *(
            f"| {name} | " + " | ".join(map(str, row)) + " |"
            for name, row in zip(told["classes"], private["confusion"], strict=True)
        ),
        "",
        "## Data",
        "",
        *(f"* {name}: {digest}" for name, digest in told["data"]["digests"].items()),
        *(f"* {part}: {sum(counts.values())} images used" for part, counts in told["data"]["images"].items()),
        *(
            f"* {part}: {count} left out, {reason}"
            for part, reasons in told["data"]["left_out"].items()
            for reason, count in reasons.items()
        ),
        f"* unusable rows: {len(told['data']['unusable_rows'])}",
        *(f"  * {row['id']}: {row['reason']}" for row in told["data"]["unusable_rows"]),
        "",
        "## Settings",
        "",
        *(f"* {name}: {value}" for name, value in settings.items()),
        "",
        f"Made with mer-pipe {told['machine']['mer_pipe']}, PyTorch {told['machine']['torch']}, {told['machine']['device']}.",
    ]
    return "\n".join(lines) + "\n"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _device(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{platform.machine()} CPU"
