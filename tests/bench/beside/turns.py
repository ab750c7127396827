"""Runs the sides of a comparison in turn, so that what else the machine does meets them all."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Side:
    """One of the compared: `run` is timed, `prepare` before each run is not. `run` returns its answer."""

    name: str
    run: Callable[[], Any]
    prepare: Callable[[], object] | None = None

    def timed(self) -> tuple[float, Any]:
        """The seconds of one run, and its answer."""
        if self.prepare:
            self.prepare()
        start = time.perf_counter()
        answer = self.run()
        return time.perf_counter() - start, answer


@dataclass
class Turns:
    """Seconds by side, one a round, and the last answers."""

    seconds: dict[str, list[float]]
    answers: dict[str, Any]


def in_turn(sides: Sequence[Side], rounds: int, warm: bool = True) -> Turns:
    """Runs every side `rounds` times after one run that does not count, the order reversed each round."""
    turns = Turns({s.name: [] for s in sides}, {})
    if warm:
        for side in sides:
            side.timed()
    for number in range(rounds):
        for side in sides if number % 2 == 0 else reversed(sides):
            seconds, turns.answers[side.name] = side.timed()
            turns.seconds[side.name].append(seconds)
    return turns
