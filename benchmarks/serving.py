"""A server of the app in a process of its own, as `make app` starts it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]


class App(NamedTuple):
    """A running app: where it is, and the number of its process."""

    address: str
    pid: int


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


@contextmanager
def running_app(
    checkpoints: Path | None = None,
    *,
    log: Path = Path(os.devnull),
    path: str = "",
    **environment: str,
) -> Iterator[App]:
    """The app on the runs in `checkpoints` (the default ones if None), once it answers.

    `log` takes what it says; `path` is where below its address the environment puts it.
    """
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    command += ["--server.headless", "true"]  # no window on a developer's screen
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **environment}
    if checkpoints is not None:
        environment["NCVIZ_CHECKPOINTS"] = str(checkpoints.resolve())
    with log.open("w") as said:
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | environment, stdout=said, stderr=said
        )
    app = App(f"http://localhost:{port}{path}", process.pid)
    try:
        _wait_for(app.address, process)
        yield app
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_for(address: str, process: subprocess.Popen) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the app did not start")
