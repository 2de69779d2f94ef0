"""Compiling with numba. Imports numba: import it lazily."""

from __future__ import annotations

import numba


def kernel(function):
    """Compile with numba; keep the machine code on disk where a place for it can be written."""
    options = {"nogil": True, "fastmath": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # numba found no writable cache folder; compiling anew gives the same code
        return numba.njit(**options)(function)
