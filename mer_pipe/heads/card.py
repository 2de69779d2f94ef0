"""The card of a run, README.md in its folder: what was trained, on what, and how well. For people and model hubs."""

from __future__ import annotations

import json

from mer_pipe.heads.evaluate import Row, flat, table
from mer_pipe.heads.runs import Run
from mer_pipe.store.durable import write_file


def write_card(run: Run) -> None:
    """Write README.md; the figures are computed from the predictions.

    Raises
    ------
    TrainingError : no seed of the run is complete.
    """
    write_file(run.path / "README.md", card(run).encode())


def card(run: Run) -> str:
    """The card's text."""
    facts = run.facts
    rows = table([run])
    subjects = len({clip["subject"] for clip in facts["clips"]})
    out = [
        f"# {facts['title']} on {facts['store']['database']}\n",
        *(f"**Mind: {text}.**\n" for text in run.cautions),
        f"{facts['protocol']}: {len(facts['clips'])} clips of {subjects} subjects, {len(facts['folds'])} folds, classes "
        f"{', '.join(facts['classes'])}. Predictions of all folds are pooled.\n",
        "| database | clips | seeds | Acc | UF1 | UAR |\n|---|---|---|---|---|---|",
        *(_line(row) for row in rows),
        "\nMean over seeds, ± standard deviation; in brackets the 95 % bootstrap interval over subjects.\n",
        *([f"Left out, without a class: {', '.join(facts['left_out'])}.\n"] if facts["left_out"] else []),
        "## Settings\n",
        "| name | value |\n|---|---|",
        *(f"| `{name}` | `{json.dumps(value)}` |" for name, value in flat(facts["settings"]).items()),
        f"\n## Data\n\nStore `{facts['store']['contents']}` of `{facts['store']['database']}`, recipe "
        f"`{facts['store']['recipe']}`; mer-pipe {facts['mer_pipe']}.\n",
        "The clips are of consenting people under the database's licence: neither they nor this model may be used to "
        "identify or judge anybody.\n",
    ]
    return "\n".join(out)


def _line(row: Row) -> str:
    figures = []
    for figure in (row.acc, row.uf1, row.uar):
        spread = "" if figure.spread is None else f" ± {figure.spread:.3f}"
        figures.append(f"{figure.mean:.3f}{spread} ({figure.low:.2f}..{figure.high:.2f})")
    return f"| {row.database} | {row.clips} | {len(row.seeds)} | {' | '.join(figures)} |"
