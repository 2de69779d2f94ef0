"""Checkpoint files read safely: the whole digest checked first, tensors only, never code."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mer_pipe.types import ModelError, Weights

if TYPE_CHECKING:
    from torch import Tensor

WRAPPERS = ("state_dict", "model_state_dict")
CONVERT = (
    "where you trust the file, and with the code that wrote it importable, convert it once: python -c "
    "\"import sys, torch; m = torch.load(sys.argv[1], map_location='cpu', weights_only=False); "
    "torch.save(m.state_dict() if hasattr(m, 'state_dict') else m, sys.argv[2])\" OLD NEW"
)


def file_digest(path: str) -> str:
    """``"sha256:<64 hex digits>"`` of a file's bytes, for `Weights.digest`; ModelError if it cannot be read."""
    return _digest(_bytes(path))


def load_state(weights: Weights) -> dict[str, Tensor]:
    """The named tensors of a checkpoint file, on the CPU.

    The file is read once; its bytes are compared with ``weights.digest`` before anything looks inside. safetensors
    files and PyTorch files (zip or the older format) are read; the latter by ``torch.load(weights_only=True)``, which
    builds tensors and plain containers and calls nothing else. A dict under "state_dict" or "model_state_dict" is
    unwrapped, and a "module." that every name starts with (DataParallel) is taken off.

    Raises
    ------
    ModelError : no path, file absent, other digest, not a checkpoint, a pickled module or other object, no tensors.
    """
    if weights.path is None:
        raise ModelError(f"weights {weights.digest} name no file", "give the path of a checkpoint file")
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", weights.digest):
        raise ModelError(f"weights digest {weights.digest!r} is not sha256:<64 hex digits>", "pin the whole digest")
    content = _bytes(weights.path)
    found = _digest(content)
    if found != weights.digest:
        raise ModelError(
            f"{weights.path} is not the pinned file: its digest is {found}, not {weights.digest}",
            "fetch the file again, or pin the new digest if the change is wanted",
        )
    return _state(_opened(content, weights.path), weights.path)


def misfits(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """What keeps named tensors from being those that a network wants, as a clause that names up to three; "" if nothing."""
    wrong = [f"lacks {k}" for k in wanted if k not in found]
    wrong += [f"has unknown {k}" for k in found if k not in wanted]
    wrong += [
        f"{k} is {tuple(found[k].shape)}, not {tuple(v.shape)}"
        for k, v in wanted.items()
        if k in found and found[k].shape != v.shape
    ]
    return "; ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else "")


def _bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}", "check the path of the weights") from None


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _opened(content: bytes, path: str) -> object:
    if _looks_like_safetensors(content):
        import safetensors.torch

        try:
            return safetensors.torch.load(content)
        except Exception as error:
            raise ModelError(f"{path} is a damaged safetensors file: {error}", "fetch the file again") from None
    import pickle

    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch remarks on pickles that it then refuses
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = _forbidden(str(error))
        if reason:
            raise ModelError(f"{path} holds {reason}, not only tensors, and is not opened", CONVERT) from None
        raise ModelError(f"{path} is not a checkpoint of tensors", "give a safetensors file or a state dict") from None
    except Exception as error:  # torch.load raises whatever the malformed bytes lead it to
        raise ModelError(
            f"{path} cannot be read as a checkpoint: {type(error).__name__}", "fetch the file again"
        ) from None


def _looks_like_safetensors(content: bytes) -> bool:
    """Whether a JSON header of plausible length leads the file, as the safetensors format has it."""
    size = int.from_bytes(content[:8], "little")
    return len(content) > 9 and content[8:9] == b"{" and 2 <= size <= len(content) - 8


def _forbidden(message: str) -> str:
    """What a refused pickle asked for, as torch names it; "" when it names nothing."""
    for pattern in (r"GLOBAL (\S+) was not an allowed global", r"Unsupported (?:class|global|operand)[: ]+(\S+)"):
        match = re.search(pattern, message)
        if match:
            return f"a pickled {match[1]}"
    return "a pickled object" if re.search(r"(?i)weights_only|unsupported operand|trusted", message) else ""


def _state(content: object, path: str) -> dict[str, Tensor]:
    import torch

    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping) or not content:
        raise ModelError(f"{path} holds a {type(content).__name__}, not named tensors", "give a state dict")
    odd = [str(name) for name, value in content.items() if not isinstance(value, torch.Tensor)]
    if odd or not all(isinstance(name, str) for name in content):
        raise ModelError(f"{path} holds more than named tensors: {', '.join(odd[:3])}", "save the state dict alone")
    prefix = "module." if all(name.startswith("module.") for name in content) else ""
    return {name.removeprefix(prefix): tensor.detach() for name, tensor in content.items()}
