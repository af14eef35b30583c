"""A PostgreSQL server of the tests' own: on a free loopback port and a socket, in a folder that goes with it.

It does not flush to the disk (``fsync=off``): nothing here asks what outlasts a power cut, and databases are made in a
few milliseconds.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from itertools import count
from pathlib import Path

import psycopg

from slacktide.executors.store.address import Store, parse_store

USER = "slacktide"
PASSWORD = "s3cr:t@tide"
_NAMES = count(1)


@cache
def binaries() -> Path | None:
    """Return the folder of PostgreSQL's programs, the newest that is installed; None: it is not."""
    found = shutil.which("initdb")
    beside = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    place = beside[-1] if beside else Path(found).resolve() if found else None
    return None if place is None else place.parent


def _as_user() -> list[str]:
    """Return what lets a command run as a user that PostgreSQL accepts: it refuses root."""
    if os.geteuid() != 0:
        return []
    names = {user.pw_name for user in pwd.getpwall()}
    return ["runuser", "-u", "postgres" if "postgres" in names else "nobody", "--"]


class Server:
    """A server that can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._programs = binaries()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        password = folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        signing_in = ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={password}"]
        self._do(
            "initdb", "-D", self._data, "-U", USER, "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", *signing_in
        )

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def _do(self, program: str, *arguments: str) -> None:
        assert self._programs is not None
        command = [*_as_user(), str(self._programs / program), *arguments]
        done = subprocess.run(
            command, cwd=self._folder, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert done.returncode == 0, done.stdout

    def start(self) -> None:
        """Start it, and return once it answers."""
        options = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories={self._folder}"
        log = str(self._folder / "log")
        self._do("pg_ctl", "-D", self._data, "-l", log, "-o", f"{options} -c fsync=off", "-w", "-t", "60", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it: ``fast`` in order, ``immediate`` as if it had crashed."""
        self._do("pg_ctl", "-D", self._data, "-m", mode, "-w", "stop")

    def signal(self, number: int) -> None:
        """Send a signal to all its processes."""
        first = int((self._folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        for process in (first, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(process, number)

    def new_database(self) -> str:
        """Make a database and return its name."""
        name = f"night{next(_NAMES)}"
        self.execute("postgres", f"CREATE DATABASE {name}")
        return name

    def execute(self, database: str, statement: str) -> None:
        """Have a statement done, as who may do everything."""
        with psycopg.connect(
            host=str(self._folder), port=self.port, user=USER, dbname=database, autocommit=True
        ) as connection:
            connection.execute(statement)

    def url(self, database: str, *, password: bool = False) -> str:
        """Return the URL of a database: by the socket, where all are let in, or by the network with the password."""
        if password:
            secret = PASSWORD.replace(":", "%3A").replace("@", "%40")
            return f"postgresql://{USER}:{secret}@127.0.0.1:{self.port}/{database}"
        return f"postgresql://{USER}@/{database}?host={self._folder}&port={self.port}"

    def new_store(self) -> Store:
        """Return the store in a database of its own."""
        return parse_store(self.url(self.new_database()))


@contextmanager
def running_server() -> Iterator[Server]:
    """Have a server; it ends with the block and leaves nothing."""
    folder = Path(tempfile.mkdtemp(prefix="slacktide-postgresql-"))
    try:
        prefix = _as_user()
        if prefix:
            shutil.chown(folder, prefix[2])
        server = Server(folder)
        server.start()
        try:
            yield server
        finally:
            if (folder / "data" / "postmaster.pid").exists():
                server.stop("immediate")
    finally:
        shutil.rmtree(folder)
