"""What the programs of this folder share: their command lines, seeds, and rounds on a server of their own."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from .compare import Tally
from .server import Server

# A round: the server, a folder for its own use, its randomness, what it compared, and the statements that it ran.
Round = Callable[[Server, Path, random.Random, Tally, list[str]], None]


def add_arguments(parser: argparse.ArgumentParser, rounds: int) -> None:
    """The binary, how much to do, and the seed."""
    parser.add_argument("--cenote", type=Path, required=True, help="the path of the binary")
    parser.add_argument("--rounds", type=int, default=rounds, help="how many rounds (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="the seed of a run to repeat (or CENOTE_ORACLE_SEED)")


def seed_of(arguments: argparse.Namespace, name: str) -> int:
    """The seed that was asked for, or a new one; printed either way."""
    seed = arguments.seed
    if seed is None:
        seed = int(os.environ.get("CENOTE_ORACLE_SEED") or random.SystemRandom().randrange(1_000_000_000))
    print(f"{name}: {arguments.rounds} rounds, seed {seed}", flush=True)
    return seed


def play_rounds(name: str, doc: str | None, rounds: int, play: Round) -> None:
    """Runs the rounds of an oracle on one server and prints what was compared.

    Round n draws from seed + n, so that `--seed` of a failed round and `--rounds 1` repeat it alone.
    """
    parser = argparse.ArgumentParser(description=doc)
    add_arguments(parser, rounds)
    parser.add_argument("--keep-going", action="store_true", help="go on after a round that failed, and fail at the end")
    arguments = parser.parse_args()
    first, started, tally, failed = seed_of(arguments, name), time.monotonic(), Tally(), 0
    with tempfile.TemporaryDirectory(prefix=f"cenote-{name}-") as folder_name:
        folder = Path(folder_name)
        with Server(arguments.cenote, folder / "warehouse", folder / "log") as server:
            for seed in range(first, first + arguments.rounds):
                history: list[str] = []
                try:
                    play(server, folder, random.Random(seed), tally, history)
                except Exception as error:
                    failed += 1
                    print(f"--- {name}: seed {seed} failed after\n" + ";\n".join(history) + f"\n--- {error}",
                          file=sys.stderr, flush=True)
                    if not arguments.keep_going:
                        raise
    result = "all equal" if not failed else f"{failed} FAILED"
    print(f"{name}: {arguments.rounds} rounds in {time.monotonic() - started:.0f} s, {result}\n{tally.report()}")
    sys.exit(failed > 0)
