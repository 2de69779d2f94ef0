"""mer-pipe: offline preprocessing pipeline and feature store for micro-expression recognition.

From Python: `open` a published store, or use the functions that the stages are made of. Each is loaded when it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_WHERE = {
    "open": ("mer_pipe.store.open", "open_store"),
    "magnify": ("mer_pipe.stages.magnify", "magnify"),
    "metrics": ("mer_pipe.heads.metrics", "metrics"),
    "optical_strain": ("mer_pipe.stages.strain", "optical_strain"),
    "rank_pool": ("mer_pipe.stages.dynamic", "rank_pool"),
    "show": ("mer_pipe.report.notebook", "show"),
    "tim": ("mer_pipe.stages.interpolate", "tim"),
    "torch_dataset": ("mer_pipe.heads.dataset", "torch_dataset"),
    "tvl1": ("mer_pipe.stages.flow", "tvl1"),
    "tvl1_pairs": ("mer_pipe.stages.flow", "tvl1_pairs"),
}
__all__ = ["__version__", *_WHERE]

if TYPE_CHECKING:
    from mer_pipe.heads.dataset import torch_dataset as torch_dataset
    from mer_pipe.heads.metrics import metrics as metrics
    from mer_pipe.report.notebook import show as show
    from mer_pipe.stages.dynamic import rank_pool as rank_pool
    from mer_pipe.stages.flow import tvl1 as tvl1
    from mer_pipe.stages.flow import tvl1_pairs as tvl1_pairs
    from mer_pipe.stages.interpolate import tim as tim
    from mer_pipe.stages.magnify import magnify as magnify
    from mer_pipe.stages.strain import optical_strain as optical_strain
    from mer_pipe.store.open import open_store as open  # noqa: F401


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'mer_pipe' has no attribute {name!r}")
    import importlib

    module, function = _WHERE[name]
    return getattr(importlib.import_module(module), function)


def __dir__() -> list[str]:
    return sorted(__all__)
