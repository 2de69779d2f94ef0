"""Fake copies of the licensed databases, for trying tools on their layouts and faults without a licence.

``write`` makes one and says what must come out of it; ``read_expected`` reads that record again.
"""

from __future__ import annotations

from typing import Any

_PUBLIC = {
    "DATABASES": "writing",
    "Expected": "plan",
    "read_expected": "writing",
    "write": "writing",
}
__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
