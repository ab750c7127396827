"""Figures, and how they are shown: a table for people and JSON for programs."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One measured thing. Values are seconds (or `unit`), one a round, in the order of the rounds."""

    part: str
    name: str
    ours: Sequence[float]
    peer: str = ""
    theirs: Sequence[float] = ()
    unit: str = "s"
    # Things done in the measured time; where given, rates are shown.
    count: int = 0
    # What the project promises: the ratio, or our own value, at most.
    ratio_goal: float | None = None
    value_goal: float | None = None

    @property
    def ratios(self) -> list[float]:
        """Ours by theirs, round by round; below 1 Cenote takes less."""
        return [a / b for a, b in zip(self.ours, self.theirs)]

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached by the median; none where there is no goal."""
        if self.ratio_goal is not None and self.theirs:
            return statistics.median(self.ratios) <= self.ratio_goal
        if self.value_goal is not None:
            return statistics.median(self.ours) <= self.value_goal
        return None

    def as_json(self) -> dict[str, object]:
        """The figure for programs."""
        return {
            "part": self.part, "name": self.name, "unit": self.unit, "count": self.count,
            "ours": list(self.ours), "peer": self.peer, "theirs": list(self.theirs), "ratios": self.ratios,
            "ratio_goal": self.ratio_goal, "value_goal": self.value_goal, "reached": self.reached,
        }


@dataclass
class Report:
    """All figures of a run, shown as they come."""

    machine: dict[str, object]
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, figure: Figure) -> None:
        """Keeps a figure and says it."""
        self.figures.append(figure)
        print("  " + " | ".join(_row(figure)), flush=True)

    def note(self, text: str) -> None:
        """Keeps a fact that is no figure, such as an answer that was checked."""
        self.notes.append(text)
        print(f"  {text}", flush=True)

    def table(self) -> str:
        """The figures as a Markdown table."""
        head = ("part", "what", "Cenote", "beside", "its value", "ratio (min–max)", "goal")
        rows = [head, tuple("---" for _ in head), *(_row(f) for f in self.figures)]
        return "\n".join("| " + " | ".join(row) + " |" for row in rows)

    def save(self, path: Path) -> None:
        """Writes everything as JSON."""
        content = {"machine": self.machine, "figures": [f.as_json() for f in self.figures], "notes": self.notes}
        path.write_text(json.dumps(content, indent=1) + "\n")


def _row(figure: Figure) -> tuple[str, ...]:
    ratio = goal = ""
    if figure.theirs:
        ratios = figure.ratios
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
    if figure.ratio_goal is not None:
        goal = f"≤ {figure.ratio_goal:g}"
    elif figure.value_goal is not None:
        goal = _value(figure, [figure.value_goal], bound=True)
    if figure.reached is not None:
        goal += " ✓" if figure.reached else " ✗"
    theirs = _value(figure, figure.theirs) if figure.theirs else ""
    return (figure.part, figure.name, _value(figure, figure.ours), figure.peer, theirs, ratio, goal)


def _value(figure: Figure, values: Sequence[float], bound: bool = False) -> str:
    value = statistics.median(values)
    if figure.count:
        rate = figure.count / value
        text = f"{rate / 1e6:.2f} M/s" if rate >= 1e5 else f"{rate:,.0f}/s"
        return f"≥ {text}" if bound else text
    if figure.unit == "s":
        text = f"{value * 1000:,.1f} ms" if value < 1 else f"{value:,.2f} s"
    else:
        text = f"{value:,.2f} {figure.unit}".strip()
    return f"≤ {text}" if bound else text
