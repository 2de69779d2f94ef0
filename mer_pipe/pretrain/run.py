"""One training from two sheets to weights and their report. Imports torch: import it lazily."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mer_pipe.observing import unfailing
from mer_pipe.pretrain import checkpoint, folder, network, report, train
from mer_pipe.pretrain.devices import choose_device, choose_precision
from mer_pipe.pretrain.events import Began, Observer, Reading, Testing
from mer_pipe.pretrain.ferplus import Faces, read
from mer_pipe.pretrain.measures import measure
from mer_pipe.pretrain.parts import Parts, divide
from mer_pipe.pretrain.settings import Settings
from mer_pipe.types import Weights


@dataclass(frozen=True)
class Prepared:
    """What would be trained, read and checked.

    Attributes
    ----------
    faces, parts : the images.
    settings : with the precision that the device gives to "auto".
    device : where it would be trained.
    init : weights to begin with, or None for random ones.
    out : the run's folder.
    """

    faces: Faces
    parts: Parts
    settings: Settings
    device: torch.device
    init: Weights | None
    out: Path

    @property
    def identity(self) -> dict[str, Any]:
        """All that the trained network depends on, but for the machine."""
        return {
            "settings": asdict(self.settings),
            "data": self.faces.digests,
            "weights": {"init": self.init.digest if self.init else None},
        }

    @property
    def data(self) -> dict[str, Any]:
        """Counts, exclusions and digests, as the report tells them."""
        found = {"Training": self.parts.training, "PublicTest": self.parts.public, "PrivateTest": self.parts.private}
        return {
            "digests": self.faces.digests,
            "images": {name: part.counts for name, part in found.items()},
            "left_out": self.parts.left_out,
            "unusable_rows": [asdict(one) for one in self.faces.excluded],
            "agreement_with_fer2013": self.faces.agreement,
        }


def prepare(
    pixels: Path,
    sheet: Path,
    out: Path,
    settings: Settings,
    *,
    init: Path | None = None,
    device: str = "auto",
    tell: Observer = lambda event: None,
) -> Prepared:
    """Read and check everything; train and write nothing.

    Parameters
    ----------
    pixels, sheet : `fer2013.csv` and `fer2013new.csv`.
    out : the run's folder; it need not exist.
    settings : see `Settings`.
    init : a ResNet-18 checkpoint with torchvision's names to begin with, as ImageNet's.
    device : see `devices.choose_device`.
    tell : hears `Reading`.

    Raises
    ------
    DatasetError : see `ferplus.read` and `parts.divide`.
    RecipeError : there is no such device.
    ModelError : `init` cannot be read.
    """
    from mer_pipe.stages.weights import file_digest

    say = unfailing(tell, "the training")
    place = choose_device(device)
    resolved = replace(settings, precision=choose_precision(settings.precision, place))
    weights = None
    if init is not None:
        path = str(init.expanduser().absolute())
        weights = Weights(file_digest(path), path)
    faces = read(pixels, sheet, lambda done, rows: say(Reading(done, rows)))
    return Prepared(faces, divide(faces, settings.mode, settings.repeats), resolved, place, weights, out)


def run(prepared: Prepared, tell: Observer = lambda event: None) -> tuple[dict[str, Any], bool]:
    """Train, test once, and write weights, card, curve and report; or go on where an earlier run was cut short.

    Returns
    -------
    The report (see `report.document`), and whether anything was done: a finished run of the same identity is read, no more.

    Raises
    ------
    RecipeError : the folder holds another training; or the training diverges.
    ModelError : a checkpoint or the initial weights are damaged.
    StoreError : the folder cannot be written to.
    """
    say = unfailing(tell, "the training")
    done = folder.finished(prepared.out / report.REPORT, prepared.identity)
    if done is not None:
        return done, False
    folder.make(prepared.out)
    state = checkpoint.read(prepared.out, prepared.identity) or checkpoint.State(0, _first(prepared).state_dict())
    settings, parts, device = prepared.settings, prepared.parts, prepared.device
    say(Began(settings.epochs, state.epoch, len(parts.training), str(device), settings.precision))
    state = train.train(
        parts, settings, state, device, lambda now: checkpoint.write(prepared.out, now, prepared.identity), say
    )
    tensors, epoch = train.tensors_of(state, settings)
    say(Testing(len(parts.public) + len(parts.private)))
    net = network.Classifier()
    net.load_state_dict(tensors)
    net.to(device, memory_format=torch.channels_last)
    found = {
        name: measure(part.truth, _classes(net, part.images, settings.final_side))
        for name, part in (("PublicTest", parts.public), ("PrivateTest", parts.private))
    }
    made = report.write(prepared.out, tensors, report.document(prepared, state.history, epoch, found))
    (prepared.out / checkpoint.NAME).unlink(missing_ok=True)
    return made, True


def _classes(net: network.Classifier, images, side: int):
    """Predicted classes, in float32 as the features stage computes."""
    at = next(net.parameters()).device
    return network.predict(net, torch.from_numpy(images).to(at), side).argmax(1).cpu().numpy()


def _first(prepared: Prepared) -> network.Classifier:
    from mer_pipe.stages import resnet

    return network.first(prepared.settings.seed, resnet.load(prepared.init) if prepared.init else None)
