"""Heads: the five published systems and a linear probe, trained from one store. Nothing heavy is imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mer_pipe.types import RecipeError

if TYPE_CHECKING:
    from mer_pipe.heads.head import Head

HEADS = {
    "aman": ("mer_pipe.heads.aman", "Aman"),
    "mrn": ("mer_pipe.heads.mrn", "Mrn"),
    "uamrn": ("mer_pipe.heads.uamrn", "Uamrn"),
    "ruan": ("mer_pipe.heads.ruan", "Ruan"),
    "msmmt": ("mer_pipe.heads.msmmt", "Msmmt"),
    "probe": ("mer_pipe.heads.probe", "Probe"),
}
"""Name -> where the head is."""


def head_of(name: str) -> Head:
    """The head of this name with its default settings; RecipeError for an unknown name."""
    import difflib
    import importlib

    if name not in HEADS:
        near = difflib.get_close_matches(name, HEADS, 1)
        told = f" (did you mean {near[0]}?)" if near else ""
        raise RecipeError(f"there is no head {name!r}{told}", f"take one of {', '.join(HEADS)}")
    module, kind = HEADS[name]
    return getattr(importlib.import_module(module), kind)()
