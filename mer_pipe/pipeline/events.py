"""What a build says while it runs. Progress bars, logs and reports listen; nothing else prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mer_pipe.types import sentences


@dataclass(frozen=True)
class Planned:
    """A plan is ready: `cells` counts the cells to make for each node, over `clips` clips."""

    clips: int
    cells: dict[str, int]


@dataclass(frozen=True)
class Started:
    """A stage call begins: `node` makes `cells` cells of the clip `sample`."""

    sample: str
    node: str
    cells: int


@dataclass(frozen=True)
class Made:
    """A stage call ended and its cells are in the cache."""

    sample: str
    node: str
    cells: int
    seconds: float


@dataclass(frozen=True)
class Remade:
    """A damaged cache entry was found and is made again."""

    sample: str
    key: str
    why: str


@dataclass(frozen=True)
class Failed:
    """A clip cannot be finished: what happened, in which stage ("" before any), what to do next, and the cells made so far."""

    sample: str
    stage: str
    reason: str
    fix: str = ""
    made: Mapping[str, int] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        where = f"{self.sample}, {self.stage}" if self.stage else self.sample
        return sentences(f"{where}: {self.reason}", self.fix)


@dataclass(frozen=True)
class Settled:
    """A clip is finished: everything that the products need of it is in the cache. `made` counts the cells, by node."""

    sample: str
    made: Mapping[str, int] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Suspected:
    """A worker died while it had this clip; the clip is tried once more, alone, at the end."""

    sample: str
    stage: str


@dataclass(frozen=True)
class Publishing:
    """Arrays are being packed: `done` of `total` bytes."""

    done: int
    total: int


Event = Planned | Started | Made | Remade | Failed | Settled | Suspected | Publishing
Observer = Callable[[Event], None]
