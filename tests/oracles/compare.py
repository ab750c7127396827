"""The one comparison of rows: what counts as equal, and how much was compared or left out."""

from __future__ import annotations

import datetime
import math
import struct
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

UTC = datetime.timezone.utc

# Two engines add floating-point numbers in different orders.
RELATIVE_TOLERANCE = 1e-9


class Mismatch(AssertionError):
    """Two engines disagree."""


class Tally:
    """Counts what was compared, and what was left out and why, for the end of a run."""

    def __init__(self) -> None:
        self.compared: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()

    def report(self) -> str:
        """One line for each kind of comparison, then one for each reason to leave something out."""
        lines = [f"  compared {n:>8}  {what}" for what, n in sorted(self.compared.items())]
        lines += [f"  left out {n:>8}  {why}" for why, n in sorted(self.left_out.items())]
        return "\n".join(lines)


def canonical(value: Any, is_real: bool = False) -> Any:
    """A stored value in one form for all drivers: exact, with its scale, the sign of zero and NaN told apart.

    `is_real`: the column is real; some drivers hand out its shortest decimal text as a double.
    """
    if isinstance(value, float):
        if is_real:
            value = struct.unpack("f", struct.pack("f", value))[0]
        return ("float", "NaN" if math.isnan(value) else repr(value))
    if isinstance(value, Decimal):
        return ("numeric", str(value))
    if isinstance(value, datetime.datetime):
        is_aware = value.tzinfo is not None
        return ("timestamptz", value.astimezone(UTC)) if is_aware else ("timestamp", value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return ("bytea", bytes(value))
    return (type(value).__name__, value)


def same_stored(what: str, got: Sequence[Sequence[Any]], want: Sequence[Sequence[Any]], reals: set[int]) -> None:
    """Both hold the same rows, in any order, value by value. `reals`: positions of columns of type real."""
    def form(rows: Sequence[Sequence[Any]]) -> Counter[tuple[Any, ...]]:
        return Counter(tuple(canonical(v, i in reals) for i, v in enumerate(row)) for row in rows)

    ours, theirs = form(got), form(want)
    if ours != theirs:
        surplus, missing = list((ours - theirs).elements()), list((theirs - ours).elements())
        raise Mismatch(f"{what}: {len(got)} rows, wanted {len(want)}\n"
                       f"  {len(surplus)} not wanted, for example {surplus[:2]}\n"
                       f"  {len(missing)} missing, for example {missing[:2]}")


def same_answer(what: str, got: Sequence[Sequence[Any]], want: Sequence[Sequence[Any]], ordered: bool) -> None:
    """Two results of a query are equal.

    Numbers are compared by value: engines differ in the type of a sum or an average, and in a numeric's scale. If
    one side is floating point, a relative difference of RELATIVE_TOLERANCE is allowed; all else must be equal.
    """
    if len(got) != len(want):
        raise Mismatch(f"{what}: {len(got)} rows, wanted {len(want)}\n  {got[:5]}\n  {want[:5]}")
    if not ordered:
        got, want = sorted(got, key=_sort_key), sorted(want, key=_sort_key)
    for n, (row, wanted) in enumerate(zip(got, want)):
        if len(row) != len(wanted) or not all(map(_same_value, row, wanted)):
            raise Mismatch(f"{what}: row {n} is\n  {tuple(row)}, wanted\n  {tuple(wanted)}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def _same_value(got: Any, want: Any) -> bool:
    if _is_number(got) and _is_number(want):
        if isinstance(got, float) or isinstance(want, float):
            got, want = float(got), float(want)
            return got == want or (math.isnan(got) and math.isnan(want)) or \
                math.isclose(got, want, rel_tol=RELATIVE_TOLERANCE, abs_tol=RELATIVE_TOLERANCE)
        return Decimal(got) == Decimal(want)
    return bool(canonical(got) == canonical(want))


def _sort_key(row: Sequence[Any]) -> tuple[Any, ...]:
    """Exact values first and rounded numbers last, so that a tolerated difference seldom moves a row."""
    exact, rough = [], []
    for value in row:
        if _is_number(value):
            number = float(value)
            rough.append((1, 0.0) if math.isnan(number) else (0, float(f"{number:.6g}")))
            exact.append("number")
        else:
            exact.append(repr(canonical(value)))
    return (tuple(exact), tuple(rough))
