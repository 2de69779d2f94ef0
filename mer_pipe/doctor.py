"""Look at this machine: is everything there that a build needs?"""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from mer_pipe import models
from mer_pipe.store.durable import write_file
from mer_pipe.types import APT_LINE, MerError

_PACKAGES = {
    "numpy": "numpy",
    "numba": "numba",
    "scipy": "scipy",
    "scikit-image": "skimage",
    "opencv-contrib-python": "cv2",
    "mediapipe": "mediapipe",
    "torch": "torch",
    "zarr": "zarr",
    "xarray": "xarray",
    "distributed": "distributed",
    "pillow": "PIL",
    "openpyxl": "openpyxl",
    "safetensors": "safetensors",
}
_LIBRARIES = ("libGL.so.1", "libxcb.so.1", "libglib-2.0.so.0", "libgthread-2.0.so.0", "libEGL.so.1", "libGLESv2.so.2")
_OTHER_OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python-headless")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    name : what.
    ok : whether it is as it should be.
    told : what was found.
    fix : what to do when it is not.
    needed : whether a build fails without it; what is not needed has another way.
    """

    name: str
    ok: bool
    told: str = ""
    fix: str = ""
    needed: bool = True


def examine(cache: Path) -> list[Check]:
    """All checks, in a fixed order. Imports every package that a build uses: some seconds."""
    version = ".".join(map(str, sys.version_info[:3]))
    checks = [Check("Python", sys.version_info >= (3, 11), version, "use Python 3.11 or newer")]
    absent = [name for name in _LIBRARIES if not _loads(name)]
    checks.append(
        Check("system libraries", not absent, ", ".join(absent) or "all found", f"on Debian or Ubuntu: {APT_LINE}")
    )
    checks += [_package(name, module) for name, module in _PACKAGES.items()]
    checks += [_one_opencv(), _tvl1(), _bfloat16(), _landmarker(), _folder(cache)]
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    enough = memory / cores > 1.5
    checks.append(
        Check("memory", enough, f"{cores} cores, {memory:.0f} GiB", "build with fewer --workers", needed=False)
    )
    return checks


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _package(name: str, module: str) -> Check:
    try:
        importlib.import_module(module)
        return Check(name, True, importlib.metadata.version(name))
    except Exception as error:  # whatever stops an import is what the user must hear of
        said = " ".join(str(error).split())
        fix = f"on Debian or Ubuntu: {APT_LINE}" if ".so" in said else f"pip install {name}"
        return Check(name, False, said, fix)


def _one_opencv() -> Check:
    others = []
    for name in _OTHER_OPENCV:
        try:
            others.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    fix = "pip uninstall -y " + " ".join(o.split()[0] for o in others)
    fix += " opencv-contrib-python; pip install opencv-contrib-python"
    return Check("one OpenCV", not others, ", ".join(others) or "only opencv-contrib-python", fix)


def _tvl1() -> Check:
    try:
        import cv2

        cv2.optflow.DualTVL1OpticalFlow_create()
        return Check("OpenCV's TV-L1", True, "flow.engine=opencv works", needed=False)
    except Exception as error:
        said = " ".join(str(error).split())
        return Check("OpenCV's TV-L1", False, said, "flow.engine=native does not need it", needed=False)


def _bfloat16() -> Check:
    """Told, never a fault: bfloat16 works on every processor, but an emulated one is slower than float32."""
    try:
        from mer_pipe.stages._precision import has_bfloat16

        there = has_bfloat16()
    except Exception:  # the rows of the packages tell what is wrong
        return Check("bfloat16", True, "not known", needed=False)
    slow = "not in this processor: leave features.precision and magnify.precision at float32, which is faster"
    return Check("bfloat16", True, "in this processor" if there else slow, needed=False)


def _landmarker() -> Check:
    row = next(row for row in models.status() if row.name == "face_landmarker")
    fix = (
        f"mer-pipe downloads it at the first build; or put {row.url} at {row.path}; or give --landmarker FILE; "
        "or set align.method=cascade, which needs no model"
    )
    return Check("face landmark model", row.state == "ready", f"{row.state}: {row.path}", fix, needed=False)


def _folder(cache: Path) -> Check:
    probe = cache / "probe"
    try:
        write_file(probe, b"probe")
        probe.unlink()
        free = shutil.disk_usage(cache).free
    except (MerError, OSError) as error:
        return Check(
            "cache folder", False, " ".join(str(error).split()), "choose a folder with --cache or MERPIPE_CACHE"
        )
    return Check("cache folder", free > 2e9, f"{cache}, {free / 1e9:.0f} GB free", "choose another --cache")
