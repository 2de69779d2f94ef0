"""The HTML report of a store: one index with a contact sheet, one page a clip, and no network."""

from mer_pipe.report.page.drift import Change, Drift, compare
from mer_pipe.report.page.write import write_report

__all__ = ["Change", "Drift", "compare", "write_report"]
