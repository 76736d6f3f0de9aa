"""The proxies of docs/deployment before the real app: sessions, uploads, passwords, limits."""

from __future__ import annotations

import asyncio
import base64
import getpass
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import websockets

from benchmarks.reader import Reader
from benchmarks.serving import ROOT, App, free_port, running_app

DEPLOYMENT = ROOT / "docs" / "deployment"
PASSWORD = {"Authorization": "Basic " + base64.b64encode(b"reader:secret").decode()}


def environment_of(service: str) -> dict[str, str]:
    """What a systemd unit sets for the app."""
    lines = (line for line in service.splitlines() if line.startswith("Environment="))
    words = (word for line in lines for word in line.partition("=")[2].split())
    return dict(word.split("=", 1) for word in words)


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    """The app as the systemd unit starts it, but for the folders, the name and the port."""
    settings = environment_of((DEPLOYMENT / "ncviz.service").read_text(encoding="utf-8"))
    settings["STREAMLIT_SERVER_ALLOWED_HOSTS"] = "localhost"
    settings["NCVIZ_CHECKPOINTS"] = str(ROOT / "checkpoints")
    del settings["NCVIZ_DATA"]
    with running_app(path="/ncviz", **settings) as app:
        yield app


def port_of(app: App) -> str:
    return app.address.rpartition(":")[2].partition("/")[0]


@contextmanager
def running(command: list, port: int, **options) -> Iterator[str]:
    """A proxy, once it listens; the app's address behind it."""
    process = subprocess.Popen(list(map(str, command)), **options)
    try:
        until = time.monotonic() + 20
        while time.monotonic() < until and process.poll() is None:
            with socket.socket() as there:
                if there.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        else:
            raise RuntimeError(f"{command[0]} did not start")
        yield f"http://localhost:{port}/ncviz"
    finally:
        process.terminate()
        process.wait(timeout=60)


@contextmanager
def nginx(app: App, folder: Path) -> Iterator[str]:
    port = free_port()
    text = (DEPLOYMENT / "nginx.conf").read_text(encoding="utf-8")
    text = "\n".join(line for line in text.splitlines() if "ssl_certificate" not in line)
    for there, here in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port};"),
        ("ncviz.example.org;", "localhost;"),
        ("127.0.0.1:8501", f"127.0.0.1:{port_of(app)}"),
        ("/etc/nginx/ncviz.htpasswd", f"{folder}/htpasswd"),
    ):
        assert there in text
        text = text.replace(there, here)
    (folder / "htpasswd").write_text("reader:{PLAIN}secret\n")
    (folder / "site.conf").write_text(text)
    (folder / "nginx.conf").write_text(
        # As root its workers would be of another user, who cannot read a test's folder.
        f"user {getpass.getuser()}; pid {folder}/pid; error_log {folder}/error.log; daemon off;\n"
        "events {}\n"
        f"http {{ access_log off; include {folder}/site.conf; }}\n"
    )
    with running(["nginx", "-p", folder, "-c", folder / "nginx.conf"], port) as address:
        yield address


@contextmanager
def caddy(app: App, folder: Path) -> Iterator[str]:
    port = free_port()
    made = subprocess.run(
        ["caddy", "hash-password", "--plaintext", "secret"],
        capture_output=True,
        text=True,
        check=True,
    )
    text = (DEPLOYMENT / "Caddyfile").read_text(encoding="utf-8")
    for there, here in (
        ("\nncviz.example.org {", f"\nhttp://localhost:{port} {{"),
        ("127.0.0.1:8501", f"127.0.0.1:{port_of(app)}"),
        ("$2a$14$REPLACE.THIS.BY.THE.HASH.OF.A.PASSWORD", made.stdout.strip()),
    ):
        assert there in text
        text = text.replace(there, here)
    (folder / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https off\n}\n" + text)
    command = ["caddy", "run", "--adapter", "caddyfile", "--config", folder / "Caddyfile"]
    home = {"HOME": str(folder), "PATH": "/usr/bin:/bin"}
    with running(command, port, env=home, stderr=subprocess.DEVNULL) as address:
        yield address


def status(address: str, **headers: str) -> int:
    """What is answered to a request, by its number."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers)) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("proxy", [nginx, caddy], ids=lambda proxy: proxy.__name__)
def test_readers_come_through_the_proxy_of_the_documentation(app, tmp_path, proxy):
    if shutil.which(proxy.__name__) is None:
        pytest.skip(f"{proxy.__name__} is missing: apt-get install {proxy.__name__}")
    with proxy(app, tmp_path) as address:
        assert status(f"{address}/") == 401
        assert status(f"{address}/", **PASSWORD) == 200
        assert status(f"{address}/_stcore/metrics", **PASSWORD) == 403
        asyncio.run(read(address))


async def read(address: str) -> None:
    """Opens pages, steps, and puts files of several sizes, as a reader with a password."""
    async with Reader(address, headers=PASSWORD) as reader:
        opened = await reader.open("Neural_collapse", "run=digits")
        stepped = await reader.press("Previous")
        assert not opened.failures + stepped.failures
        assert set(opened.texts) != set(stepped.texts)
        await reader.open("Upload", "run=digits")
        (place,) = await reader.places_for_files(["a.png"])
        assert reader.put(place.upload_url, "a.png", bytes(19 << 20)) == 204
        assert reader.put(place.upload_url, "a.png", bytes(25 << 20)) == 413
        assert reader.put(place.upload_url, "a.png", bytes(10), **{"X-Xsrftoken": ""}) == 403
        # A page of another site, in the browser of a reader who has given the password.
        with pytest.raises(websockets.exceptions.InvalidStatus, match="403"):
            await websockets.connect(
                f"{address}/_stcore/stream".replace("http", "ws", 1),
                origin="https://evil.example",
                additional_headers=PASSWORD,
            )


def test_the_settings_of_the_container_ask_nobody_for_the_address(tmp_path):
    text = (DEPLOYMENT / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    (line,) = [line for line in text.splitlines() if line.startswith("ENV ")]
    settings = dict(word.split("=", 1) for word in line.split()[1:])
    settings |= {"NCVIZ_CHECKPOINTS": str(ROOT / "checkpoints"), "NCVIZ_DATA": str(tmp_path)}
    assert settings["STREAMLIT_SERVER_ADDRESS"] == "0.0.0.0"
    settings["PYTHONPATH"] = str(tmp_path)
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "def note(event, arguments):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo', 'socket.gethostbyname'):\n"
        "        print('asked', event, arguments, flush=True)\n"
        "sys.addaudithook(note)\n"
    )
    log = tmp_path / "log"
    with running_app(log=log, **settings):
        pass
    said = log.read_text(encoding="utf-8")
    assert "http://ncviz.example.org" in said
    assert not [line for line in said.splitlines() if line.startswith("asked")]
