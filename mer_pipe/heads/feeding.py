"""Open a feed: rows of several arrays of a store onto a device, by the fastest way that there is.

========  =============================================================================================================
backend   what it does
========  =============================================================================================================
resident  whole arrays lie on the device; a batch is one gather there
pinned    two page-locked buffers in turn: while one batch is in use, the next is copied and sent on a stream of its own
gds       from the file onto the device without the host's memory (GPUDirect Storage, where the machine has it)
pageable  mapped rows gathered in the host's memory, then sent
mapped    mapped rows gathered in the host's memory, which is the device: the CPU's own
zarr      a sample at a time through zarr, then sent: the reference, slow
========  =============================================================================================================

All give the same values in the store's dtype (uint8 images, float16 features): convert on the device.

Imports torch: import it lazily.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from mer_pipe.heads.direct import DRIVER, GdsFeed, has_gds
from mer_pipe.heads.feeds import Feed, HostFeed, ResidentFeed, Source, size_of, torch_dtype
from mer_pipe.heads.pinned import CudaLane, PinnedFeed
from mer_pipe.store.arrays import open_plain
from mer_pipe.store.mapped import Mapped, open_array
from mer_pipe.store.open import read_facts
from mer_pipe.types import MachineError, RecipeError, StoreError

BACKENDS = ("auto", "resident", "pinned", "gds", "pageable", "mapped", "zarr")
SHARE = 0.5
"""Part of the device's free memory that "auto" lets resident arrays take; the rest is for the network."""
BY_NAME = "it was asked for by name"


def open_feed(
    path: str | Path,
    arrays: Sequence[str],
    device: str | torch.device = "cpu",
    backend: str = "auto",
) -> Feed:
    """Open a feed of some arrays of a store; `backend` and `why` of the result tell which was taken and why.

    Parameters
    ----------
    path : the store.
    arrays : their names, as ("magnify/image", "features_mrn/vector").
    device : where batches are wanted.
    backend : one of `BACKENDS`. "auto" takes, on the CPU, mapped (zarr where an array cannot be mapped); on a GPU,
        resident where the arrays fit into `SHARE` of the free memory, else gds where the machine's driver has it and it
        reads what the map holds, else pinned; on other devices pageable.

    Raises
    ------
    StoreError : there is no such store or array, or it is damaged.
    RecipeError : the backend is unknown or is none for this device; the message names one that is.
    MachineError : the device is not there, has too little memory, or lacks GPUDirect Storage; the same.
    """
    if backend not in BACKENDS:
        raise RecipeError(f"there is no backend {backend!r}", f"take one of {', '.join(BACKENDS)}")
    place = find_device(device)
    sources = open_sources(Path(path), arrays, plain=backend == "zarr")
    size = sum(size_of(source) for source in sources.values())
    unmapped = next((source.why for source in sources.values() if not isinstance(source, Mapped)), "")
    free = free_bytes(place)
    if backend == "auto":
        options, why = choose(place.type, size, free, unmapped, has_gds())
    else:
        check_asked(backend, place, size, free, sources)
        options, why = (backend,), BY_NAME
    for option in options[:-1]:
        try:
            return _open(option, sources, place, why)
        except MachineError as error:
            why = f"{why}; {option} was tried: {error.message}"
    return _open(options[-1], sources, place, why)


def choose(kind: str, size: int, free: int | None, unmapped: str, direct: bool) -> tuple[tuple[str, ...], str]:
    """What "auto" takes: backends to try in turn, and why.

    Parameters
    ----------
    kind : type of the device.
    size : bytes of the arrays.
    free : bytes free on the device; None where unknown.
    unmapped : why an array cannot be mapped; "" when all are.
    direct : whether the machine's driver has GPUDirect Storage.
    """
    if kind == "cpu":
        if unmapped:
            return ("zarr",), unmapped
        return ("mapped",), "on the CPU a copy of the arrays would only cost memory"
    if kind != "cuda":
        return ("zarr" if unmapped else "pageable",), unmapped or f"{kind} is neither a CPU nor a CUDA device"
    told = f"the arrays take {_size(size)} of {_size(free)} free"
    if free is not None and size <= SHARE * free:
        return ("resident", "pinned"), told
    return ("gds", "pinned") if direct and not unmapped else ("pinned",), told


def check_asked(backend: str, place: torch.device, size: int, free: int | None, sources: Mapping[str, Source]) -> None:
    """Raise unless a backend that was asked for by name can be had; see `open_feed`."""
    kind = place.type
    suits = {"mapped": kind == "cpu", "pageable": kind != "cpu", "pinned": kind == "cuda", "gds": kind == "cuda"}
    usual = {"cpu": "mapped", "cuda": "pinned"}.get(kind, "pageable")
    if not suits.get(backend, True):
        raise RecipeError(f"backend {backend} is not for {place}", f"take backend={usual}, or auto")
    if backend in ("mapped", "pageable", "gds"):
        for source in sources.values():
            if not isinstance(source, Mapped):
                other = "pinned" if kind == "cuda" else "zarr"
                raise StoreError(f"backend {backend}: {source.why}", f"take backend={other}, or auto")
    if backend == "gds" and not has_gds():
        told = f"this machine's driver has no GPUDirect Storage ({DRIVER} is not there)"
        raise MachineError(told, "take backend=pinned, or auto")
    if backend == "resident" and free is not None and size > free:
        told = f"the arrays take {_size(size)}, and {_size(free)} are free on {place}"
        raise MachineError(told, f"take backend={usual}, or auto")


def open_sources(path: Path, arrays: Sequence[str], plain: bool = False) -> dict[str, Source]:
    """Arrays of a store by name, each with the clips along its first axis and a dtype that PyTorch has.

    Raises
    ------
    StoreError : see `open_feed`.
    RecipeError : no array is named.
    """
    if not arrays:
        raise RecipeError("no array was named", "name some, as magnify/image")
    facts = read_facts(path)
    sources: dict[str, Source] = {}
    for name in arrays:
        source = sources[name] = (open_plain if plain else open_array)(path, name, facts)
        if source.dims[:1] != ("sample",):
            raise StoreError(f"{name} of {path} lies along {', '.join(source.dims)}, not along the clips")
        torch_dtype(source)
    return sources


def find_device(device: str | torch.device) -> torch.device:
    """A device that is there, a GPU with its number.

    Raises
    ------
    RecipeError : PyTorch knows no device of this name.
    MachineError : it is not there.
    """
    try:
        place = torch.device(device)
    except RuntimeError as error:
        said = str(error).splitlines()[0]
        raise RecipeError(f"there is no device {str(device)!r}: {said}", "take cpu or cuda") from None
    if place.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (place.index or 0) >= count:
            raise MachineError(f"device {place} is not there: PyTorch sees {count} GPUs", "take device=cpu")
        place = torch.device("cuda", torch.cuda.current_device() if place.index is None else place.index)
    return place


def free_bytes(device: torch.device) -> int | None:
    """Bytes free on a device, with those that PyTorch keeps and does not use; None where nothing tells."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    if device.type == "cpu":
        try:
            lines = Path("/proc/meminfo").read_text().splitlines()
        except OSError:
            return None
        return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)
    return None


def _open(backend: str, sources: Mapping[str, Source], place: torch.device, why: str) -> Feed:
    if backend == "resident":
        return ResidentFeed(sources, place, why)
    if backend == "pinned":
        return PinnedFeed(sources, CudaLane(place), why)
    if backend == "gds":
        return GdsFeed(sources, place, why)
    return HostFeed(sources, place, backend, why)


def _size(count: int | None) -> str:
    return "an unknown number of bytes" if count is None else f"{count / 2**30:.2f} GiB"
