"""mer-pipe: offline preprocessing pipeline and feature store for micro-expression recognition."""

__version__ = "0.1.0"
