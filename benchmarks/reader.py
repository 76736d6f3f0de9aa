"""A reader of the app without a browser: speaks to the server as Streamlit's own page does.

`Reader.open` connects a session; each action returns the `Drawing` that it led to. Used by
benchmarks/users.py and by the tests of the server.
"""

from __future__ import annotations

import asyncio
import re
import time
import urllib.request
import uuid
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from types import TracebackType
from urllib.parse import urlsplit

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import FileURLs
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.NewSession_pb2 import Config
from streamlit.proto.WidgetStates_pb2 import WidgetState

_LARGEST = 1 << 28


@dataclass
class Drawing:
    """What the server sent for one run of a page's script.

    Attributes
    ----------
    seconds : from the request to the last message
    size : bytes sent
    runs : of the script; a page that asks to be drawn anew takes more than one
    elements : of the page by their places, as they stand in the end
    """

    seconds: float = 0.0
    size: int = 0
    runs: int = 1
    elements: dict[tuple[int, ...], Element] = field(default_factory=dict)

    def of_kind(self, kind: str) -> list:
        """The elements of a kind, named as in Streamlit's protocol: ``button``, ``alert``, ..."""
        found = sorted(self.elements.items())
        return [getattr(each, kind) for _, each in found if each.WhichOneof("type") == kind]

    @property
    def texts(self) -> list[str]:
        """What headings and paragraphs say."""
        return [each.body for kind in ("heading", "markdown") for each in self.of_kind(kind)]

    @property
    def failures(self) -> list[str]:
        """What the page says of errors."""
        errors = [each.body for each in self.of_kind("alert") if each.format == each.ERROR]
        return errors + [each.message for each in self.of_kind("exception")]


class Reader:
    """One session; `address` is the app's, such as ``http://localhost:8501``.

    `headers` go with every request, as a password for a proxy does.

    async with Reader(address) as reader:
        drawing = await reader.open("pages/2_OOD_scores.py")
    """

    def __init__(self, address: str, *, headers: Mapping[str, str] | None = None):
        self.address = address.rstrip("/")
        self.headers = dict(headers or {})
        self.session = ""
        self.token = ""
        self.pages: dict[str, str] = {}
        self.page = ""
        self.query = ""
        self.drawing = Drawing()
        self.config = Config()

    async def __aenter__(self) -> Reader:
        self.token = await asyncio.to_thread(_token, self.address, self.headers)
        self._socket = await websockets.connect(
            self.address.replace("http", "ws", 1) + "/_stcore/stream",
            subprotocols=["streamlit", self.token],
            origin="{0.scheme}://{0.netloc}".format(urlsplit(self.address)),
            additional_headers={"Cookie": f"_streamlit_xsrf={self.token}", **self.headers},
            max_size=_LARGEST,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._socket.close()

    async def open(self, page: str = "", query: str = "") -> Drawing:
        """Go to a page by its title as in the sidebar's addresses, such as ``OOD_scores``."""
        if not self.pages:  # where a browser comes in by the address of a page
            drawing = await self._rerun("", query=query)
            if not page:
                return drawing
        return await self._rerun(self.pages[page], query=query)

    async def press(self, label: str) -> Drawing | None:
        """Press the button of that label; None where there is none, or it cannot be pressed."""
        for button in self.drawing.of_kind("button"):
            if button.label == label and not button.disabled:
                return await self._rerun(self.page, [WidgetState(id=button.id, trigger_value=True)])
        return None

    async def upload(self, files: Iterable[tuple[str, bytes]]) -> Drawing | None:
        """Give files, by name and content, to the page's uploader; None where there is none."""
        uploaders = self.drawing.of_kind("file_uploader")
        if not uploaders:
            return None
        files = list(files)
        state = WidgetState(id=uploaders[0].id)
        urls = await self.places_for_files([name for name, _ in files])
        for (name, content), place in zip(files, urls, strict=True):
            status = await asyncio.to_thread(self.put, place.upload_url, name, content)
            if status != 204:
                raise RuntimeError(f"The server answered {status} to the upload of {name}.")
            info = state.file_uploader_state_value.uploaded_file_info.add()
            info.name, info.size, info.file_id = name, len(content), place.file_id
            info.file_urls.CopyFrom(place)
        return await self._rerun(self.page, [state])

    async def places_for_files(self, names: list[str]) -> list[FileURLs]:
        """Where the server wants files of these names to be put."""
        message = BackMsg()
        message.file_urls_request.request_id = uuid.uuid4().hex
        message.file_urls_request.file_names.extend(names)
        message.file_urls_request.session_id = self.session
        await self._socket.send(message.SerializeToString())
        while True:
            answer, _ = await self._receive()
            if answer.WhichOneof("type") == "file_urls_response":
                return list(answer.file_urls_response.file_urls)

    def put(self, place: str, name: str, content: bytes, **headers: str) -> int:
        """Send a file to where the server wants it; returns the status of the answer."""
        boundary = uuid.uuid4().hex
        head = (
            f"--{boundary}\r\n"
            f'Content-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
        host = urlsplit(self.address)
        connection = HTTPConnection(host.hostname, host.port, timeout=60)
        sent = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Cookie": f"_streamlit_xsrf={self.token}",
            "X-Xsrftoken": self.token,
            **self.headers,
        }
        with closing(connection):
            # A server that refuses a large file answers and closes before it has all of it.
            with suppress(ConnectionError):
                connection.request("PUT", host.path + place, body, {**sent, **headers})
            return connection.getresponse().status

    async def _rerun(
        self, page: str, widgets: Iterable[WidgetState] = (), query: str | None = None
    ) -> Drawing:
        self.query = self.query if query is None else query
        message = BackMsg()
        message.rerun_script.query_string = self.query
        message.rerun_script.page_script_hash = page
        message.rerun_script.widget_states.widgets.extend(widgets)
        if page == self.page:
            message.rerun_script.widget_states.widgets.extend(self._sliders())
        start = time.perf_counter()
        await self._socket.send(message.SerializeToString())
        await self._draw(start)
        return self.drawing

    def _sliders(self) -> Iterable[WidgetState]:
        """Where the page's sliders stand: a browser tells the server of every control."""
        for slider in self.drawing.of_kind("slider"):
            state = WidgetState(id=slider.id)
            if slider.type == slider.SELECT_SLIDER:
                shown = slider.raw_value or [slider.options[int(at)] for at in slider.default]
                state.string_array_value.data.extend(shown)
            else:
                shown = slider.value if slider.set_value else slider.default
                state.double_array_value.data.extend(shown)
            yield state

    async def _draw(self, start: float) -> None:
        drawing = Drawing(runs=0)
        while True:
            message, size = await self._receive()
            drawing.size += size
            kind = message.WhichOneof("type")
            if kind == "new_session":
                self.session = message.new_session.initialize.session_id or self.session
                self.page = message.new_session.page_script_hash
                self.config = message.new_session.config
                drawing.runs += 1
                drawing.elements = {}
            elif kind == "navigation":
                for page in message.navigation.app_pages:
                    self.pages[page.url_pathname] = page.page_script_hash
            elif kind == "page_info_changed":
                self.query = message.page_info_changed.query_string
            elif kind == "delta":
                place = tuple(message.metadata.delta_path)
                if message.delta.WhichOneof("type") == "new_element":
                    drawing.elements[place] = message.delta.new_element
            elif kind == "script_finished":
                if message.script_finished == ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                    continue
                drawing.seconds = time.perf_counter() - start
                self.drawing = drawing
                return

    async def _receive(self) -> tuple[ForwardMsg, int]:
        data = await self._socket.recv()
        message = ForwardMsg()
        message.ParseFromString(data)
        return message, len(data)


def _token(address: str, headers: dict[str, str]) -> str:
    """The token against cross-site requests, which the server hands out as a cookie."""
    request = urllib.request.Request(f"{address}/_stcore/health", headers=headers)
    with urllib.request.urlopen(request) as answer:
        cookies = answer.headers.get_all("Set-Cookie") or []
    found = [re.search(r"_streamlit_xsrf=([^;]+)", cookie) for cookie in cookies]
    tokens = [each[1].strip('"') for each in found if each]
    return tokens[0] if tokens else ""
