"""A PostgreSQL of the tests' own: a cluster in a folder, on the loopback, started and stopped as a test wants."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine

from orchestrator.db.engines import open_engine

_USER = "postgres"


def binaries() -> Path:
    """The folder of the newest PostgreSQL on this machine; the test is skipped where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).parent
    if not found:
        pytest.skip("PostgreSQL is not installed here (apt-get install postgresql)")
    return found[-1]


class PostgresqlServer:
    """One cluster. `url(name)` is a database of it."""

    def __init__(self, folder: Path) -> None:
        self._binaries = binaries()
        self._data = folder / "cluster"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port: int = free.getsockname()[1]
        if os.getuid() == 0:
            # PostgreSQL refuses to run as root.
            owner = pwd.getpwnam(_USER)
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        self._run("initdb", "--pgdata", str(self._data), "--auth=trust", f"--username={_USER}", "--no-locale", "-EUTF8")

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=200"
        log = str(self._data.parent / "log")
        self._run("pg_ctl", "--pgdata", str(self._data), "--wait", f"--log={log}", f"--options={options}", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop: `fast` ends every connection, `immediate` does not even flush, as a crash would not."""
        self._run("pg_ctl", "--pgdata", str(self._data), "--wait", f"--mode={mode}", "stop")

    def url(self, name: str) -> str:
        """The URL of a database."""
        return f"postgresql://{_USER}@127.0.0.1:{self._port}/{name}"

    def create(self, name: str, template: str = "template1") -> str:
        """A new database, and its URL."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
        return self.url(name)

    def drop(self, name: str) -> None:
        """Away with a database, whoever is connected to it."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), *arguments]
        if os.getuid() == 0:
            command = ["runuser", "-u", _USER, "--", *command]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", timeout=60)
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"


@contextmanager
def running() -> Iterator[PostgresqlServer]:
    """A cluster that runs, and is gone afterwards."""
    binaries()  # skips, before there is a folder
    # Not in pytest's folder, which nobody but its owner may enter.
    with tempfile.TemporaryDirectory(prefix="fedelta-postgresql-", ignore_cleanup_errors=True) as folder:
        server = PostgresqlServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")


@contextmanager
def engine_on(url: str) -> Iterator[Engine]:
    """An engine, let go of afterwards."""
    engine = open_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()
