"""Where a training runs and how exactly. Imports torch: import it lazily."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch

from mer_pipe.types import RecipeError


def choose_device(name: str) -> torch.device:
    """The device called "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:<n>"; RecipeError where it is not here."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise RecipeError(f"there is no device {name!r} here: {str(error).splitlines()[0][:120]}", "try auto") from None
    return device


def choose_precision(name: str, device: torch.device) -> str:
    """What "auto" stands for on a device."""
    if name != "auto":
        return name
    able = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    return "bfloat16" if able else "float32"


@contextlib.contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Only kernels that give the same bits in every run; as it was before, afterwards."""
    was, fast = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was)
        torch.backends.cudnn.benchmark = fast
