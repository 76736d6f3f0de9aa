"""The real server, spoken to over HTTP and websockets: whom it listens to, and whom it asks."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from argparse import Namespace
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np
import pytest
import websockets
from PIL import Image

from benchmarks.reader import Reader
from benchmarks.serving import ROOT, running_app
from benchmarks.users import PAGES, crowd, exceptions

# Is imported by the server before anything else, and notes what it does to the world outside.
RECORDER = """
import json, os, sys
NOTES = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_APPEND)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
def note(event, arguments):
    if event in ("socket.bind", "socket.connect", "socket.sendto", "socket.sendmsg"):
        what = [str(arguments[-1])]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "subprocess.Popen", "os.exec"):
        what = [str(arguments[0])]
    elif event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES:
        what = [str(arguments[0]), str(arguments[1])]
    else:
        return
    os.write(NOTES, (json.dumps([event, *what]) + "\\n").encode())
sys.addaudithook(note)
"""
ASKING = ("socket.connect", "socket.sendto", "socket.sendmsg")
ASKING += ("socket.getaddrinfo", "socket.gethostbyname")
LOOPBACK = ("localhost", "127.0.0.1", "::1", "('127.0.0.1', ", "('::1', ", "None")


class Server(NamedTuple):
    """A running app: where, its process, what it logs, and what it did to the world outside."""

    address: str
    pid: int
    log: Path
    notes: Path

    def did(self, *events: str) -> list[list[str]]:
        """The events of these kinds: each kind, and with whom or what."""
        lines = self.notes.read_text(encoding="utf-8").splitlines()
        return [line for line in map(json.loads, lines) if line[0] in events]


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    """The app on the shipped runs, as `make app` starts it, and recorded."""
    folder = tmp_path_factory.mktemp("server")
    log, notes = folder / "log", folder / "notes"
    notes.touch()
    (folder / "sitecustomize.py").write_text(RECORDER)
    recorded = {"NOTES": str(notes), "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    with running_app(ROOT / "checkpoints", log=log, **recorded) as app:
        yield Server(*app, log, notes)


def visit(server: Server, what) -> object:
    """What `what(reader)` comes to with a reader of the app."""

    async def go():
        async with Reader(server.address) as reader:
            return await what(reader)

    return asyncio.run(go())


def photograph(side: int) -> bytes:
    """A PNG file that hardly packs: three bytes for each pixel."""
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG", compress_level=0)
    return content.getvalue()


def get(server: Server, path: str, method: str = "GET", body=None, **headers: str):
    """Status, headers and content of an answer."""
    host = urlsplit(server.address)
    connection = HTTPConnection(host.hostname, host.port, timeout=30)
    connection.request(method, path, body, {key.replace("_", "-"): v for key, v in headers.items()})
    answer = connection.getresponse()
    found = answer.status, answer.headers, answer.read()
    connection.close()
    return found


# Whom it asks


def test_nothing_is_asked_of_other_machines_and_no_upload_is_written(server):
    async def read_everything(reader: Reader) -> None:
        for page in (*PAGES, "Reference"):
            assert not (await reader.open(page, "run=digits")).failures
        await reader.open("Upload", "run=digits&epoch=60")
        await reader.upload([("small.png", photograph(20))])
        before = len(server.did("open"))
        drawing = await reader.upload([("large.png", photograph(1300)), ("none.png", b"none")])
        assert not drawing.failures
        assert any(text.startswith("### ") and "nown" in text for text in drawing.texts)
        assert not [event for event in server.did("open")[before:] if not is_a_device(event[1])]

    visit(server, read_everything)
    assert server.did("socket.bind"), "the recorder notes how the server opens its own port"
    assert not [each for each in server.did(*ASKING) if not each[1].startswith(LOOPBACK)]


def is_a_device(path: str) -> bool:
    return path.startswith(("/dev/", "/proc/", "/sys/"))


def test_a_visit_from_another_site_makes_it_ask_nobody(server):
    with pytest.raises(websockets.exceptions.InvalidStatus):
        connect(server, origin="https://evil.example")
    assert not [each for each in server.did(*ASKING) if not each[1].startswith(LOOPBACK)]


def test_browsers_are_told_to_send_nothing_about_themselves(server):
    async def config(reader: Reader):
        await reader.open()
        return reader.config

    assert not visit(server, config).gather_usage_stats
    told = json.loads(get(server, "/_stcore/host-config")[2])
    assert told["allowedOrigins"] == []
    assert not told["metricsUrl"]


# Whom it listens to


def test_it_listens_on_the_loopback_interface_alone(server):
    folder = Path(f"/proc/{server.pid}")
    mine = {str(link.readlink()) for link in (folder / "fd").iterdir()}
    listening = set()
    for table in ("tcp", "tcp6"):
        for line in (folder / "net" / table).read_text().splitlines()[1:]:
            place, state, number = (line.split()[at] for at in (1, 3, 9))
            if state == "0A" and f"socket:[{number}]" in mine:
                listening.add(place.rpartition(":")[0])
    assert listening
    assert listening <= {"0100007F", "00000000000000000000000001000000"}


def connect(server: Server, *, origin: str | None, host: str | None = None) -> None:
    """Opens a session as a browser on a page of `origin` does, which came by the name `host`."""

    async def go() -> None:
        port = urlsplit(server.address).port
        async with websockets.connect(
            f"ws://{host or 'localhost'}:{port}/_stcore/stream",
            host="localhost",
            port=port,
            origin=origin,
            subprotocols=["streamlit"],
        ):
            pass

    asyncio.run(go())


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://evil.example", None),
        ("null", None),
        # DNS rebinding: the name of another site leads here, so that origin and host agree.
        ("http://evil.example:{port}", "evil.example"),
        ("http://localhost.evil.example:{port}", "localhost.evil.example"),
    ],
)
def test_pages_of_other_sites_open_no_session(server, origin, host):
    origin = origin.format(port=urlsplit(server.address).port)
    with pytest.raises(websockets.exceptions.InvalidStatus, match="403"):
        connect(server, origin=origin, host=host)


def test_its_own_pages_open_sessions(server):
    for host in ("localhost", "127.0.0.1"):
        connect(server, origin=f"http://{host}:{urlsplit(server.address).port}", host=host)


def test_programs_are_not_served(server):
    body = json.dumps({"session": None, "events": []})
    for path in ("/_stcore/agent/interact", "/_stcore/agent/mcp"):
        status, _, said = get(server, path, "POST", body, Content_Type="application/json")
        assert 400 <= status < 500
        assert b"enableAgentApi" in said


# What it takes


def test_uploads_need_the_token_and_keep_to_the_limit(server):
    async def upload(reader: Reader) -> list[int]:
        await reader.open("Upload", "run=digits")
        (place, *_) = await reader.places_for_files(["a.png"])
        put = lambda size, **headers: reader.put(place.upload_url, "a.png", bytes(size), **headers)  # noqa: E731
        return [
            put(10),
            put(10, **{"X-Xsrftoken": ""}),
            put(10, Cookie=""),
            put((20 << 20) + 1),
            reader.put("/_stcore/upload_file/no-session/x", "a.png", bytes(10)),
        ]

    assert visit(server, upload) == [204, 403, 403, 413, 400]


def test_an_upload_that_does_not_tell_its_size_is_cut_off(server):
    async def start(reader: Reader) -> int:
        await reader.open("Upload", "run=digits")
        (place, *_) = await reader.places_for_files(["a.png"])
        return await asyncio.to_thread(send_without_end, server, reader, place.upload_url)

    assert visit(server, start) == 413


def send_without_end(server: Server, reader: Reader, path: str) -> int:
    """Sends a file in pieces until the server has had enough; the status it answers with."""
    host = urlsplit(server.address)
    connection = HTTPConnection(host.hostname, host.port, timeout=30)
    connection.putrequest("PUT", path)
    for name, value in (
        ("Content-Type", "multipart/form-data; boundary=b"),
        ("Transfer-Encoding", "chunked"),
        ("Cookie", f"_streamlit_xsrf={reader.token}"),
        ("X-Xsrftoken", reader.token),
    ):
        connection.putheader(name, value)
    connection.endheaders()
    head = b'--b\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n'
    with contextlib.suppress(ConnectionError):
        for piece in (head, *[bytes(1 << 20)] * 40):
            connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize("message", [b"\xff" * 40, "a text"])
def test_nonsense_ends_its_own_session_alone(server, message):
    async def speak(reader: Reader) -> bytes:
        other = await websockets.connect(
            server.address.replace("http", "ws") + "/_stcore/stream", subprotocols=["streamlit"]
        )
        await other.send(message)
        answers = []
        with contextlib.suppress(websockets.exceptions.ConnectionClosed):
            while True:
                answers.append(await other.recv())
        assert not [each for each in answers if b"Traceback" in each]
        return await reader.open("Reference")

    assert not visit(server, speak).failures


@pytest.mark.parametrize(
    "path",
    [
        "/app/static/../../etc/passwd",
        "/_stcore/bidi-components/ncviz.plot/../../../ncviz/errors.py",
        "/_stcore/bidi-components/ncviz.plotly/..%2f..%2f..%2fetc%2fpasswd",
        "/component/ncviz/..%2f..%2fpyproject.toml",
        "/media/..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
    ],
)
def test_no_path_leads_to_other_files(server, path):
    status, _, content = get(server, path)
    assert status in (200, 400, 403, 404)
    assert b"root:" not in content
    assert b"NcvizError" not in content
    assert b"[project]" not in content
    assert status != 200 or b"<title>Streamlit</title>" in content  # the page that asks for a page


# Several readers


def test_a_few_readers_at_once_raise_nothing(server):
    options = Namespace(users=2, minutes=0.03, think=0.05, rewrite=None)
    options.names, options.weighted = ["digits"], [("digits", 60)]
    before = exceptions(server.log)
    seen = asyncio.run(crowd(server.address, server.pid, options, ROOT / "checkpoints"))
    assert seen.ended.drawn > 2 * (1 + len(PAGES)) + 1
    assert not seen.failures
    assert exceptions(server.log) == before
