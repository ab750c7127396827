"""Random statements by sqlsmith, through a proxy that sees what the server answers.

usage: sqlsmith.py HOST:PORT SEED STATEMENTS REPORT

sqlsmith tells neither SQLSTATEs nor the statement that ended a connection, so it talks to the server through this
program. An internal error (class XX), a connection that the server ends and a statement far beyond its timeout are
failures; each is written to REPORT, a line of JSON, with the statement.
"""

import asyncio
import collections
import json
import struct
import sys
import time

# Twenty times the statement_timeout that sqlsmith sets.
SLOW_SECONDS = 20
RANDOM_STATEMENTS = {"SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "MERGE"}
STARTUP_ENCRYPTION = {80877103, 80877104}


class Watch:
    """What the statements of a run came to."""

    def __init__(self, report):
        self.report = report
        self.codes = collections.Counter()
        self.failures = 0

    def failure(self, what, statement, **more):
        self.failures += 1
        line = {"failure": what, **more, "statement": statement}
        self.report.write(json.dumps(line, ensure_ascii=False) + "\n")
        self.report.flush()


class Connection:
    """One connection of sqlsmith and its counterpart to the server."""

    def __init__(self, watch):
        self.watch = watch
        self.statement = None
        self.asked_at = 0.0
        self.leaving = False

    def asked(self, kind, body):
        if kind == b"Q":
            self.statement = body.rstrip(b"\0").decode("utf-8", "replace")
            self.asked_at = time.monotonic()
        elif kind == b"X":
            self.leaving = True

    def answered(self, kind, body):
        if kind == b"C":
            # What sqlsmith says around its statements always succeeds.
            if self.statement and self.statement.split(maxsplit=1)[0].upper() in RANDOM_STATEMENTS:
                self.watch.codes["00000"] += 1
        elif kind == b"E":
            fields = {f[:1]: f[1:].decode("utf-8", "replace") for f in body.split(b"\0") if f}
            code = fields.get(b"C", "?")
            self.watch.codes[code] += 1
            if code.startswith("XX"):
                self.watch.failure("internal error", self.statement, code=code, message=fields.get(b"M"))
        elif kind == b"Z" and self.statement is not None:
            seconds = time.monotonic() - self.asked_at
            if seconds > SLOW_SECONDS:
                self.watch.failure("slow", self.statement, seconds=round(seconds, 1))

    async def requests(self, reader, writer):
        while True:
            head = await reader.readexactly(4)
            body = await reader.readexactly(struct.unpack("!I", head)[0] - 4)
            writer.write(head + body)
            if struct.unpack("!I", body[:4])[0] not in STARTUP_ENCRYPTION:
                break
        await self.messages(reader, writer, self.asked)

    async def messages(self, reader, writer, seen):
        while True:
            head = await reader.readexactly(5)
            body = await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)
            seen(head[:1], body)
            writer.write(head + body)
            await writer.drain()

    async def replies(self, reader, writer):
        try:
            await self.messages(reader, writer, self.answered)
        except (asyncio.IncompleteReadError, ConnectionError):
            if not self.leaving:
                self.watch.failure("the server ended the connection", self.statement)
        finally:
            writer.close()


async def serve(client_reader, client_writer, server, watch):
    server_reader, server_writer = await asyncio.open_connection(*server)
    connection = Connection(watch)
    replies = asyncio.create_task(connection.replies(server_reader, client_writer))
    try:
        await connection.requests(client_reader, server_writer)
    except (asyncio.IncompleteReadError, ConnectionError):
        # sqlsmith ends without a Terminate when it has had enough.
        connection.leaving = True
    finally:
        server_writer.close()
        await replies


async def main(address, seed, statements, report_path):
    host, port = address.rsplit(":", 1)
    with open(report_path, "w", encoding="utf-8") as report:
        watch = Watch(report)
        proxy = await asyncio.start_server(
            lambda reader, writer: serve(reader, writer, (host, port), watch), "127.0.0.1", 0
        )
        proxy_port = proxy.sockets[0].getsockname()[1]
        target = f"host=127.0.0.1 port={proxy_port} user=cenote dbname=cenote sslmode=disable gssencmode=disable"
        sqlsmith = await asyncio.create_subprocess_exec(
            "sqlsmith",
            f"--target={target}",
            f"--seed={seed}",
            f"--max-queries={statements}",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await sqlsmith.communicate()
    total = sum(watch.codes.values())
    print(f"sqlsmith: seed {seed}, {total} answers: " + ", ".join(f"{n} x {c}" for c, n in watch.codes.most_common()))
    if sqlsmith.returncode != 0:
        print(said.decode("utf-8", "replace")[-2000:])
        return f"sqlsmith ended with {sqlsmith.returncode}"
    # Fewer answers than statements mean that it lost the server, few successes that it misread the catalog.
    if total < statements or watch.codes["00000"] < statements // 20:
        return "sqlsmith hardly ran"
    return f"{watch.failures} failures" if watch.failures else None


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])))
