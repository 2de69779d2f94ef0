"""The grammar of action units in cells: a descent through tokens. What the forms mean is told in `mer_pipe.datasets.aus`."""

from __future__ import annotations

import re
from dataclasses import replace

from mer_pipe.datasets.aus import Either, Item, Remark, Unit
from mer_pipe.types import DatasetError

_DEEPEST = 8

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<ref> ref \s* \( )
    | (?P<k> \( \s* k \s* \) )
    | (?P<or> or (?![a-z]) | / )
    | (?P<and> [+,;&] )
    | (?P<unit> (?:AU\s*)? (?P<side> (?:[ABLMRT] (?:/[ABLMRT])* \s*)?) (?P<number> \d+ )
        (?P<intensity> (?: \s* [A-E] (?: \s*[/-]\s* [A-E])? (?![a-z0-9]) )? ) )
    | (?P<open> \( ) | (?P<close> \) ) | (?P<doubt> \? )
    | (?P<word> [^\W\d_] [^\W\d_.'-]* [.'-]* (?: [^\W\d_]+ [.'-]* )* )
    )""",
    re.VERBOSE | re.IGNORECASE,
)


class Reader:
    """Reads one cell once: ``Reader(text).cell()``; raises DatasetError where it stops making sense."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, re.Match[str], int]] = []
        at, end = 0, len(text)
        while at < end:
            found = _TOKEN.match(text, at)
            if found is None:
                raise self._error(at, "is not understood")
            kind = next(k for k in ("ref", "k", "or", "and", "unit", "open", "close", "doubt", "word") if found[k])
            self.tokens.append((kind, found, found.start(kind)))
            at = found.end()
        self.at = 0

    def cell(self) -> tuple[Item, ...]:
        """What the whole cell holds."""
        items = self._readings(0)
        if self.at < len(self.tokens):
            raise self._error(self._place(), "is not expected")
        return items

    def _readings(self, depth: int) -> tuple[Item, ...]:
        """reading ("or" reading)*"""
        if depth > _DEEPEST:
            raise self._error(self._place(), "is nested too deeply")
        read = [self._reading(depth)]
        while self._kind() == "or":
            self.at += 1
            read.append(self._reading(depth))
        if len(read) == 1:
            items, grouped = read[0]
            # Parentheses that no "or" needs mark what they hold as uncertain.
            return _marked(items, uncertain=True) if grouped else items
        readings: list[tuple[Item, ...]] = []
        for items, grouped in read:
            if len(items) == 1 and isinstance(items[0], Either):
                readings += items[0].readings
            elif grouped and len(items) == 1:
                readings.append(_marked(items, uncertain=True))
            else:
                readings.append(items)
        return (Either(tuple(readings)),)

    def _reading(self, depth: int) -> tuple[tuple[Item, ...], bool]:
        """item ("+" item)*; and whether it is one group in parentheses whose marks are still open."""
        first, grouped = self._item(depth)
        if self._kind() != "and":
            return first, grouped
        items = _marked(first, uncertain=True) if grouped else first
        while self._kind() == "and":
            self.at += 1
            more, grouped = self._item(depth)
            items += _marked(more, uncertain=True) if grouped else more
        return items, False

    def _item(self, depth: int) -> tuple[tuple[Item, ...], bool]:
        kind = self._kind()
        if kind == "unit":
            return (self._unit(),), False
        if kind in ("word", "doubt"):
            return (self._remark(),), False
        if kind not in ("ref", "open"):
            raise self._error(self._place(), "stands where a unit is expected")
        opened = self._place()
        self.at += 1
        items = self._readings(depth + 1)
        if self._kind() != "close":
            raise self._error(opened, "is not closed")
        self.at += 1
        if kind == "ref":
            items = _marked(items, reference=True)
        if self._doubt():
            return _marked(items, uncertain=True), False
        if kind == "ref":
            return items, False
        return items, not any(isinstance(item, Either) for item in items)

    def _unit(self) -> Unit:
        _, found, at = self.tokens[self.at]
        self.at += 1
        side = re.sub(r"\s", "", found["side"]).upper()
        intensity = re.sub(r"\s", "", found["intensity"]).upper().replace("-", "/")
        if len(found["number"].lstrip("0")) not in (1, 2):
            raise self._error(at, "is no action unit")
        return Unit(int(found["number"]), side, intensity, uncertain=self._doubt())

    def _remark(self) -> Remark:
        if self._kind() == "doubt":
            self.at += 1
            return Remark("?")
        words = []
        while self._kind() == "word":
            words.append(self.tokens[self.at][1]["word"])
            self.at += 1
        return Remark(" ".join(words))

    def _doubt(self) -> bool:
        marked = self._kind() in ("doubt", "k")
        self.at += marked
        return marked

    def _kind(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else "end"

    def _place(self) -> int:
        return self.tokens[self.at][2] if self.at < len(self.tokens) else len(self.text)

    def _error(self, at: int, why: str) -> DatasetError:
        what = f"{self.text[at : at + 12]!r} at character {at + 1}" if at < len(self.text) else "the end"
        return DatasetError(f"action units {self.text[:80]!r} cannot be read: {what} {why}", "Correct the cell.")


def _marked(items: tuple[Item, ...], **mark: bool) -> tuple[Item, ...]:
    """The items with a mark on each unit, those within alternatives too."""
    return tuple(
        replace(item, **mark)
        if isinstance(item, Unit)
        else Either(tuple(_marked(reading, **mark) for reading in item.readings))
        if isinstance(item, Either)
        else item
        for item in items
    )
