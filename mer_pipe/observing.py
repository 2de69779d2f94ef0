"""Observers: functions that listen to what happens. None may stop the work that it listens to."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TypeVar

Event = TypeVar("Event")


def unfailing(observer: Callable[[Event], None], work: str) -> Callable[[Event], None]:
    """The observer, but it cannot stop the work: when it raises, a warning tells so and it hears no more.

    Parameters
    ----------
    work : what goes on then, as "the build".
    """
    deaf = False

    def tell(event: Event) -> None:
        nonlocal deaf
        if deaf:
            return
        try:
            observer(event)
        except Exception as error:
            deaf = True
            told = f"{work} goes on unseen, its observer failed: {type(error).__name__}: {error}"
            warnings.warn(told, stacklevel=2)

    return tell
