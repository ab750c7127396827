"""kill -9 under transfers: two bank tables and a ledger, two servers and `cenote sql` runs on one warehouse.

Each round, clients move money in transactions over three tables while one process or several are killed. Then:
the money is all there, an acknowledged transfer stands once in the ledger, a refused one never, one with an unknown
outcome once or never and from then on for ever, the accounts agree with the ledger, and deltalake reads the same rows.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from .command import add_arguments, seed_of
from .compare import same_stored
from .server import Row, Server, rows_on_disk, table_path

BANKS = ("checking", "savings")
ACCOUNTS = 6
OPENING_BALANCE = 1000
CLIENTS = 3
TABLES = {"checking": ["id", "balance"], "savings": ["id", "balance"],
          "ledger": ["id", "from_bank", "from_id", "to_bank", "to_id", "amount"]}
# So many rounds leave so many small files that the ledger is rewritten into one.
ROUNDS_PER_FOLD = 10
UNKNOWN_OUTCOME = "the outcome of the commit is not known"
CONFLICT = "could not serialize access"


@dataclass(frozen=True)
class Transfer:
    """One attempt to move money. A conflict is tried again under another id, so that no attempt may stand twice."""

    id: str
    from_bank: str
    from_id: int
    to_bank: str
    to_id: int
    amount: int

    def statements(self) -> list[str]:
        """The work between BEGIN and COMMIT."""
        move = "UPDATE {} SET balance = balance + {} WHERE id = {}"
        return [move.format(self.from_bank, -self.amount, self.from_id),
                move.format(self.to_bank, self.amount, self.to_id),
                f"INSERT INTO ledger VALUES ('{self.id}', '{self.from_bank}', {self.from_id}, "
                f"'{self.to_bank}', {self.to_id}, {self.amount})"]

    def script(self) -> str:
        """The whole transaction as one text."""
        return "; ".join(["BEGIN", *self.statements(), "COMMIT"])


@dataclass
class Book:
    """What the clients know of their attempts."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    # By attempt: must stand in the ledger so often. None: not known.
    expected: dict[str, int | None] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def note(self, transfer: Transfer, expected: int | None, event: str) -> None:
        """Keeps how an attempt ended."""
        with self.lock:
            self.expected[transfer.id] = expected
            self.events[event] += 1

    def fault(self, text: str) -> None:
        """Keeps an answer that must not be."""
        with self.lock:
            self.faults.append(text)


class Teller(threading.Thread):
    """A client: makes transfers until told to stop, through servers or through `cenote sql`."""

    def __init__(self, bank: Bank, name: str, seed: int, through_sql: bool) -> None:
        super().__init__(name=name)
        self.bank, self.rng, self.through_sql = bank, random.Random(seed), through_sql

    def run(self) -> None:
        """Makes one attempt after the other."""
        n = 0
        while not self.bank.stop.is_set():
            n += 1
            banks = [self.rng.choice(BANKS), self.rng.choice(BANKS)]
            ids = self.rng.sample(range(ACCOUNTS), 2)
            transfer = Transfer(f"{self.name}.{n}", banks[0], ids[0], banks[1], ids[1], self.rng.randint(1, 9))
            try:
                if self.through_sql:
                    self.by_command(transfer)
                else:
                    self.by_connection(transfer)
            except Exception as error:  # a fault of this program must not end as a silent thread
                self.bank.book.fault(f"{transfer}: {error!r}")
                return

    def by_connection(self, transfer: Transfer) -> None:
        """One attempt through one of the servers: statement by statement, or as one text."""
        book, is_sent = self.bank.book, False
        try:
            with self.rng.choice(self.bank.servers).connect() as connection:
                if self.rng.random() < 0.3:
                    is_sent = True
                    connection.execute(transfer.script().encode())
                else:
                    for statement in ["BEGIN", *transfer.statements()]:
                        connection.execute(statement.encode())
                    is_sent = True
                    self.bank.committing.set()
                    connection.execute("COMMIT")
                # From here on the transfer is acknowledged, however the connection ends.
                book.note(transfer, 1, "acknowledged")
        except psycopg.Error as error:
            if transfer.id in book.expected:
                return
            if error.sqlstate == "40001":
                book.note(transfer, 0, "conflict")
            elif error.sqlstate is None or error.sqlstate in ("08006", "08007"):
                book.note(transfer, None if is_sent else 0, "outcome unknown" if is_sent else "cut off before COMMIT")
                self.bank.stop.wait(0.02)
            else:
                book.fault(f"{transfer}: {error.sqlstate} {error}")

    def by_command(self, transfer: Transfer) -> None:
        """One attempt through a process of its own, which may be killed."""
        book = self.bank.book
        process = subprocess.Popen(
            [str(self.bank.cenote), "sql", "--data", str(self.bank.warehouse), "-c", transfer.script()],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.bank.command = process
        out, err = process.communicate()
        if process.returncode == 0 and out.rstrip().endswith("COMMIT"):
            book.note(transfer, 1, "acknowledged by sql")
        elif process.returncode == -signal.SIGKILL or UNKNOWN_OUTCOME in err:
            book.note(transfer, None, "outcome unknown of sql")
        elif CONFLICT in err:
            book.note(transfer, 0, "conflict of sql")
        else:
            book.fault(f"{transfer}: cenote sql ended with {process.returncode}: {out} {err}")


class Bank:
    """A warehouse with its two servers and the clients of one round at a time."""

    def __init__(self, cenote: Path, folder: Path, rng: random.Random) -> None:
        self.cenote, self.rng = cenote, rng
        self.warehouse, self.log = folder / "warehouse", folder / "log"
        self.book, self.stop, self.committing = Book(), threading.Event(), threading.Event()
        self.command: subprocess.Popen[str] | None = None
        self.servers = [self.start(), self.start()]
        with self.servers[0].connect() as connection:
            for bank in BANKS:
                connection.execute(f"CREATE TABLE {bank} (id integer NOT NULL, balance bigint NOT NULL)".encode())
                connection.execute(f"INSERT INTO {bank} SELECT n, {OPENING_BALANCE} "
                                   f"FROM generate_series(0, {ACCOUNTS - 1}) AS g(n)".encode())
            connection.execute("CREATE TABLE ledger (id text NOT NULL, from_bank text, from_id integer, to_bank text, "
                               "to_id integer, amount bigint)")

    def start(self) -> Server:
        """Another server on the warehouse."""
        return Server(self.cenote, self.warehouse, self.log)

    def round(self, number: int) -> None:
        """Transfers, a kill at a random moment, transfers after it, and everything looked at."""
        self.stop.clear()
        tellers = [Teller(self, f"r{number}c{c}", self.rng.getrandbits(32), through_sql=c == 0) for c in range(CLIENTS)]
        for teller in tellers:
            teller.start()
        # The delays only choose the moment: nothing is expected to have happened by then.
        if self.rng.random() < 0.6:
            self.committing.clear()
            self.committing.wait(timeout=5)
            time.sleep(self.rng.uniform(0.0, 0.01))
        else:
            time.sleep(self.rng.uniform(0.0, 0.5))
        victims = self.rng.choice(["first", "second", "both", "sql", "sql and one"])
        self.kill(victims)
        time.sleep(self.rng.uniform(0.0, 0.2))
        self.stop.set()
        for teller in tellers:
            teller.join()
        self.book.events[f"kill: {victims}"] += 1
        self.check()
        if number % ROUNDS_PER_FOLD == 0:
            with self.servers[0].connect() as connection:
                connection.execute("UPDATE ledger SET amount = amount")
            self.check()

    def kill(self, victims: str) -> None:
        """kill -9, and new servers in the places of those that died."""
        if victims.startswith("sql") and self.command is not None:
            self.command.send_signal(signal.SIGKILL)
        dead = {"first": [0], "second": [1], "both": [0, 1], "sql": [], "sql and one": [self.rng.randrange(2)]}[victims]
        for place in dead:
            self.servers[place].kill()
        for place in dead:
            self.servers[place] = self.start()

    def check(self) -> None:
        """Everything that must hold between rounds."""
        assert not self.book.faults, "\n".join(self.book.faults)
        with self.rng.choice(self.servers).connect() as connection, connection.transaction():
            rows = {name: connection.execute(f"SELECT {', '.join(columns)} FROM {name}".encode()).fetchall()
                    for name, columns in TABLES.items()}
        self.check_ledger(rows["ledger"])
        self.check_accounts(rows)
        for name, columns in TABLES.items():
            same_stored(f"{name}, read by deltalake", rows_on_disk(table_path(self.warehouse, name), columns),
                        rows[name], reals=set())

    def check_ledger(self, ledger: list[Row]) -> None:
        """Each attempt stands as often as its client was told; what was unknown is settled now for good."""
        stands = Counter(row[0] for row in ledger)
        unheard = set(stands) - set(self.book.expected)
        assert not unheard, f"transfers that nobody made: {sorted(unheard)}"
        for attempt, expected in self.book.expected.items():
            found = stands[attempt]
            if expected is None:
                assert found <= 1, f"{attempt}, outcome unknown, stands {found} times"
                self.book.expected[attempt] = found
                self.book.events[f"unknown, found {'done' if found else 'undone'}"] += 1
            else:
                assert found == expected, f"{attempt} stands {found} times, expected {expected}"

    def check_accounts(self, rows: dict[str, list[Row]]) -> None:
        """The balances are those that the ledger makes of the opening ones."""
        want = {(bank, account): OPENING_BALANCE for bank in BANKS for account in range(ACCOUNTS)}
        for _, from_bank, from_id, to_bank, to_id, amount in rows["ledger"]:
            want[from_bank, from_id] -= amount
            want[to_bank, to_id] += amount
        got = {(bank, account): balance for bank in BANKS for account, balance in rows[bank]}
        assert sum(map(len, (rows[bank] for bank in BANKS))) == len(want), "an account is lost or doubled"
        assert got == want, f"accounts {got}, the ledger says {want}"
        assert sum(got.values()) == len(want) * OPENING_BALANCE, "the money is not all there"

    def close(self) -> None:
        """Ends both servers."""
        for server in self.servers:
            server.stop()


def main() -> None:
    """Runs the rounds and prints what happened in them."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser, rounds=100)
    parser.add_argument("--seconds", type=int, default=170, help="begin no round after this time (default: %(default)s)")
    arguments = parser.parse_args()
    seed = seed_of(arguments, "bank")
    started, number = time.monotonic(), 0
    with tempfile.TemporaryDirectory(prefix="cenote-bank-") as folder:
        bank = Bank(arguments.cenote, Path(folder), random.Random(seed))
        try:
            while number < arguments.rounds and time.monotonic() - started < arguments.seconds:
                number += 1
                try:
                    bank.round(number)
                except BaseException:
                    print(f"round {number} of seed {seed} failed\n--- the servers' log\n{bank.log.read_text()[-4000:]}",
                          file=sys.stderr)
                    raise
        finally:
            bank.stop.set()
            bank.close()
    print(f"bank: {number} rounds in {time.monotonic() - started:.0f} s, each as it must be")
    for event, n in sorted(bank.book.events.items()):
        print(f"  {n:>6}  {event}")


if __name__ == "__main__":
    main()
