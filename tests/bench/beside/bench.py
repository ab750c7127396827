"""What all parts of a run share."""

import os
import random
from dataclasses import dataclass
from pathlib import Path

from .report import Figure, Report
from .turns import Side, Turns, in_turn


@dataclass
class Bench:
    """The settings of a run and its report."""

    binary: Path
    work: Path
    cache: Path
    rounds: int
    scale: float
    long: bool
    seed: int
    report: Report

    def folder(self, name: str) -> Path:
        """A fresh folder of this run."""
        path = self.work / name
        path.mkdir()
        # PostgreSQL runs as a user of its own.
        os.chmod(self.work, 0o755)
        return path

    def random(self) -> random.Random:
        """Random numbers that are the same for the same seed."""
        return random.Random(self.seed)

    def compare(self, part: str, name: str, ours: Side, *peers: Side, count: int = 0, rounds: int = 0,
                ratio_goal: float | None = None, warm: bool = True) -> Turns:
        """Measures the sides in turn and reports ours beside each of the others; the goal is on the first."""
        turns = in_turn([ours, *peers], rounds or self.rounds, warm)
        for i, peer in enumerate(peers):
            self.report.add(Figure(part, name, turns.seconds[ours.name], peer.name, turns.seconds[peer.name],
                                   count=count, ratio_goal=ratio_goal if i == 0 else None))
        return turns
