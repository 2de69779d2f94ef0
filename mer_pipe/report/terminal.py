"""The overview of a store, and the numbers of one clip, as a terminal shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mer_pipe.report.inspect import Overview, StoredArray
    from mer_pipe.report.one_stage import StageFacts

MOST_MISSING = 20
MOST_SUBJECTS = 12
BAR = 20
RANGE = ("min", "mean", "max")
WIDE = 104
BINS_WIDE = 18
BARS = "▁▂▃▄▅▆▇█"


def overview_table(seen: Overview, libraries: bool) -> RenderableType:
    """See `mer_pipe.report.inspect.render`."""
    return Group(*_parts(seen, libraries))


def clip_table(facts: Mapping[str, Any]) -> RenderableType:
    """See `mer_pipe.report.inspect.render_clip`."""
    told = Table.grid(padding=(0, 2))
    told.add_column(style="dim", no_wrap=True)
    told.add_column(overflow="fold")
    for name, value in facts.items():
        if name != "arrays" and value != "":
            told.add_row(name, Text(_value(value)))
    rows = [
        (path, _axes(array["axes"]), array["dtype"], array["units"], *_spread(array))
        for path, array in facts["arrays"].items()
    ]
    holes = [Text(f"damaged: {a['damaged']}", style="red") for a in facts["arrays"].values() if "damaged" in a]
    return Group(told, "", _Arrays(rows, (*RANGE, ""), RANGE, True), *holes)


def stage_table(seen: StageFacts) -> RenderableType:
    """See `mer_pipe.report.one_stage.stage_facts`."""
    parts: list[RenderableType] = []
    for array in seen.arrays:
        stored = array.stored
        told = Table.grid(padding=(0, 2))
        told.add_column(style="dim", no_wrap=True)
        told.add_column(overflow="fold")
        version = "" if stored.version is None else f", version {stored.version}"
        told.add_row("array", Text(f"{stored.path}  ({human(stored.bytes)})", style="bold"))
        told.add_row("about", Text(stored.about))
        told.add_row("made by", Text(f"{stored.stage}{version}"))
        told.add_row("parameters", Text(_value(array.parameters)[1:-1] or "none"))
        told.add_row("axes", Text(_axes(stored.axes)))
        for dim, values in stored.grid.items():
            told.add_row(dim, Text(", ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in values)))
        told.add_row("type", Text(f"{stored.dtype} {stored.units if stored.units != '1' else ''}".strip()))
        told.add_row("read by", Text(", ".join(stored.systems)))
        if array.least is not None and array.most is not None:
            told.add_row("least", Text(f"{array.least[0]:.4g} in {array.least[1]}"))
            told.add_row("mean", Text(f"{array.mean:.4g}; of a clip {array.means[0]:.4g} to {array.means[1]:.4g}"))
            told.add_row("largest", Text(f"{array.most[0]:.4g} in {array.most[1]}"))
        for sample, why in array.damaged.items():
            told.add_row(Text("damaged", style="red"), Text(f"{sample}: {why}", style="red"))
        parts += [*([""] if parts else []), told]
    return Group(*parts)


def bars(counts: Sequence[int]) -> str:
    """A histogram in block characters, the fullest part at full height; a part with any value is never blank."""
    most = max(counts, default=0)
    return "".join(BARS[-(-count * len(BARS) // most) - 1] if count else " " for count in counts)


def _spread(array: Mapping[str, Any]) -> tuple[str, ...]:
    if "damaged" in array:
        return ("damaged", "", "", "")
    return (*(f"{array[which]:.4g}" for which in RANGE), bars(array["histogram"]))


def human(size: float) -> str:
    """A size in bytes for people: 999 B, 1.2 kB, 34 MB (powers of 1000)."""
    for unit in ("B", "kB", "MB", "GB"):
        # 999.5 would be rounded to four digits, so it goes on to the next unit.
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 99.5 else f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def _parts(seen: Overview, libraries: bool) -> Iterator[RenderableType]:
    lost = len(seen.excluded) + len(seen.failed)
    style = "bold green" if not lost else "bold yellow" if not seen.failed else "bold red"
    verdict = f"{_count(seen.clips, 'clip')} usable, {len(seen.excluded)} excluded, {len(seen.failed)} failed"
    repaired = f" ({seen.repaired} with repaired annotations)" if seen.repaired else ""
    yield Text.assemble((verdict, style), repaired)
    if seen.random_weights:
        seed = seen.random_weights.partition(":")[2]
        yield Text(
            f"FEATURES ARE FROM RANDOM WEIGHTS (seed {seed}): good for trying things out, not for results. "
            "Give a checkpoint with --set features.weights=FILE.",
            style="bold white on red",
        )
    yield from ("", _facts(seen))
    yield from ("", _Arrays([_array_row(array, seen) for array in seen.arrays], ("size", "read by"), ("size",)))
    yield from ("", _counts(seen))
    if lost:
        yield from ("", _missing(seen))
    if seen.warnings:
        yield ""
    for warning in seen.warnings:
        yield Text.assemble(("look at ", "yellow"), str(warning))
    for note in seen.notes:
        yield Text(f"note: {note}", style="dim")
    if libraries:
        table = _plain_table("made with", "version")
        for name, version in {"mer-pipe": seen.mer_pipe, **seen.libraries}.items():
            table.add_row(name, Text(version, style="dim" if version == "absent" else ""))
        yield from ("", table)


def _facts(seen: Overview) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("store", Text(f"{seen.path}  ({human(seen.bytes)}, format {seen.format_version})"))
    table.add_row("database", Text(seen.database or "unnamed"))
    table.add_row("recipe", Text(seen.recipe or "unnamed"))
    if seen.differs is not None:
        told = ", ".join(f"{name}={_value(value)}" for name, value in seen.differs.items())
        table.add_row("differs", Text(told or "in nothing from the default recipe"))
    if seen.head:
        table.add_row("head motion", Text(seen.head))
    for name, digest in seen.models.items():
        table.add_row(name, Text(digest if digest.startswith("random:") else digest[:19] + "…"))
    table.add_row("serves", Text(", ".join(seen.systems) or "no system"))
    return table


@dataclass(frozen=True)
class _Arrays:
    """A table of arrays; a narrow terminal gets type and unit behind the axes.

    Attributes
    ----------
    rows : for each array its path, axes, dtype, units, and a value for each further column.
    more : the further columns; those in `right` are numbers.
    histogram : whether the last one is a histogram, which goes below the axes where there is no room beside them.
    """

    rows: Sequence[tuple[str, ...]]
    more: tuple[str, ...]
    right: tuple[str, ...]
    histogram: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        narrow = options.max_width < WIDE + self.histogram * BINS_WIDE
        below = narrow and self.histogram
        more = self.more[:-1] if below else self.more
        table = _plain_table("array", "axes", *(() if narrow else ("type", "unit")), *more, right=self.right)
        for column in table.columns:
            column.no_wrap = column.header != "axes"
        for path, axes, dtype, units, *rest in self.rows:
            units = units if units != "1" else ""
            middle = [", ".join((axes, f"{dtype} {units}".strip()))] if narrow else [axes, dtype, units]
            if below:
                middle[0] += f"\n{rest.pop()}"
            table.add_row(*(Text(cell) for cell in (path, *middle, *rest)))
        yield table


def _array_row(array: StoredArray, seen: Overview) -> tuple[str, ...]:
    axes = {dim: f"{size}" for dim, size in list(array.axes.items())[1:]}
    axes |= {dim: _range(values) for dim, values in array.grid.items() if dim == "af"}
    everyone = len(array.systems) > 1 and set(array.systems) == set(seen.systems)
    readers = "all" if everyone else ", ".join(array.systems)
    return array.path, _axes(axes), array.dtype, array.units, human(array.bytes), readers


def _axes(axes: Mapping[str, Any]) -> str:
    return " × ".join(f"{dim}={size}" for dim, size in axes.items()) or "one number"


def _range(values: list) -> str:
    shown = [f"{round(v, 2):g}" for v in values]
    return f"{shown[0]}..{shown[-1]}({len(shown)})" if len(shown) > 3 else ",".join(shown)


def _counts(seen: Overview) -> Table:
    grid = Table.grid(padding=(0, 4))
    classes = _plain_table("class", "clips", right=("clips",))
    for name, count in seen.classes.items():
        classes.add_row(Text(name) if name else Text("outside the class set", style="dim"), str(count))
    subjects = _plain_table("subject", "clips", "", right=("clips",))
    shown = list(seen.subjects.items())
    most = max(seen.subjects.values(), default=1)
    for name, count in shown[:MOST_SUBJECTS]:
        subjects.add_row(Text(name), str(count), Text("▪" * round(BAR * count / most), style="cyan", no_wrap=True))
    if len(shown) > MOST_SUBJECTS:
        rest = shown[MOST_SUBJECTS:]
        subjects.add_row(Text(f"and {len(rest)} more", style="dim"), str(sum(count for _, count in rest)), "")
    grid.add_row(classes, subjects)
    return grid


def _missing(seen: Overview) -> Table:
    table = _plain_table("not in the store", "why")
    rows = [("failed", entry) for entry in seen.failed] + [("excluded", entry) for entry in seen.excluded]
    for what, entry in rows[:MOST_MISSING]:
        where = f"{what} in {entry['stage']}: " if entry["stage"] else f"{what}: "
        why = Text.assemble((where, "red" if what == "failed" else "yellow"), entry["reason"])
        if entry["fix"]:
            why.append(f". {entry['fix']}", style="dim")
        table.add_row(Text(entry["id"]), why)
    if len(rows) > MOST_MISSING:
        table.add_row(Text(f"and {len(rows) - MOST_MISSING} more", style="dim"), Text("--json lists all", style="dim"))
    return table


def _plain_table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        if len(value) > 3 and all(isinstance(v, int | float) for v in value):
            return f"{value[0]:g}..{value[-1]:g} ({len(value)})"
        return "[" + ", ".join(_value(v) for v in value) + "]"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {_value(v)}" for k, v in value.items()) + "}"
    return str(value)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
