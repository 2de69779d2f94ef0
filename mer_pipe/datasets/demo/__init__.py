"""The demo database: generated faces in CASME II's layout, with the true motion beside them.

``generate`` writes it, ``list_clips`` lists it and writes it first where it is absent, ``read_truth`` reads what moved.
"""

from __future__ import annotations

from typing import Any

_PUBLIC = {"generate": "write", "list_clips": "listing", "read_truth": "listing", "Truth": "listing"}
__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    # Drawing needs numba and scikit-image; naming the demo must not.
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
