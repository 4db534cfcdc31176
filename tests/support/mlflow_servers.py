"""Starts MLflow servers on this machine, with a store in SQLite or PostgreSQL, and stuck ones."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal
from urllib.error import URLError
from urllib.request import urlopen

POSTGRES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


def free_port() -> int:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        return reserved.getsockname()[1]


@contextmanager
def mlflow_server(folder: Path, store: str, port: int | None = None) -> Iterator[str]:
    """Run a server from ``with`` to its end; yield its address."""
    port = port or free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", store, "--artifacts-destination", str(folder / "artifacts")]
    command += ["--workers", "2"]
    # Nothing here asks it for jobs, and the processes that wait for them cost what is measured.
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with open(folder / "server.txt", "ab") as log:
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address, process, folder / "server.txt")
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(f"{address}/health", timeout=1):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"the server did not start: {log.read_text()[-2000:]}")


class StuckServer(socketserver.ThreadingTCPServer):
    """Accepts every request and never gives a whole answer.

    Attributes:
        address: where it is.
        asked: how many connections were made.
    """

    daemon_threads = True

    def __init__(self, how: Literal["silent", "drips", "too many requests"]) -> None:
        super().__init__(("127.0.0.1", 0), _Stuck)
        self.how = how
        self.asked = 0
        self.over = threading.Event()
        self.address = f"http://127.0.0.1:{self.server_address[1]}"


class _Stuck(socketserver.BaseRequestHandler):
    server: StuckServer

    def handle(self) -> None:
        self.server.asked += 1
        self.request.recv(65536)
        if self.server.how == "too many requests":
            answer = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3600\r\nContent-Length: 0"
            self.request.sendall(answer + b"\r\nConnection: close\r\n\r\n")
            return
        if self.server.how == "drips":
            self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            with suppress(ConnectionError):  # of a client that gave up
                while not self.server.over.wait(0.02):
                    self.request.sendall(b" ")
        self.server.over.wait()


@contextmanager
def stuck_server(how: Literal["silent", "drips", "too many requests"]) -> Iterator[StuckServer]:
    """Run a server that is stuck from ``with`` to its end."""
    with StuckServer(how) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """Run PostgreSQL with an empty database, as its own user, which may not be root."""
    assert POSTGRES is not None
    port = free_port()
    shutil.chown(folder, "postgres")
    data = folder / "data"
    prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder}
    subprocess.run([*prefix, POSTGRES / "initdb", "-D", data, "-A", "trust", "-N"], **quiet)
    options = f"-c listen_addresses=127.0.0.1 -p {port} -c unix_socket_directories={folder}"
    control = [*prefix, POSTGRES / "pg_ctl", "-D", data, "-w"]
    subprocess.run([*control, "-o", options, "-l", folder / "log.txt", "start"], **quiet)
    try:
        yield f"postgresql+psycopg2://postgres@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], **quiet)
