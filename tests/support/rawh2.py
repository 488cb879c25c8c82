"""HTTP/2 spoken frame by frame where a test wants it, with the package `h2` doing the rest; it refuses nothing on its own."""

import ssl
from collections.abc import Iterable
from types import TracebackType
from typing import Self

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings

from tests.support.rawhttp import Answer, NoAnswer
from tests.support.wire import Wire

Fields = Iterable[tuple[str | bytes, str | bytes]]


class Refused(NoAnswer):
    """The stream was reset, or the connection ended."""


class Client:
    """One connection of a client that speaks HTTP/2."""

    def __init__(self, wire: Wire, *, window: int | None = None) -> None:
        self.wire = wire
        self.connection = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=True,
                header_encoding=None,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
                validate_inbound_headers=True,
            )
        )
        self.over = False
        self.told_to_go = False
        self._frames = b""
        self._events: dict[int, list[h2.events.Event]] = {}
        self._stalled: set[int] = set()
        if window is not None:
            self.connection.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.connection.initiate_connection()
        self._flush()

    @classmethod
    def connect(cls, host: str, port: int, context: ssl.SSLContext, name: str | None = None) -> "Client":
        """Connect and agree on h2; the context must be the caller's own, for ALPN is set on it."""
        context.set_alpn_protocols(["h2"])
        wire = Wire.connect(host, port, context, name)
        assert wire.tls is not None
        assert wire.tls.selected_alpn_protocol() == "h2"
        return cls(wire)

    def ask(
        self, method: str = "GET", target: str = "/", *fields: tuple[str, str], body: bytes = b"", host: str = "gate.test"
    ) -> Answer:
        """A well-formed request, and its answer. Raises Refused."""
        return self.answer(self.start(method, target, *fields, body=body, host=host))

    def start(
        self,
        method: str = "GET",
        target: str = "/",
        *fields: tuple[str, str],
        body: bytes = b"",
        host: str = "gate.test",
        end: bool = True,
    ) -> int:
        """Send a request; the number of its stream."""
        pseudo = [(":method", method), (":scheme", "https"), (":authority", host), (":path", target)]
        stream = self.send_fields([*pseudo, *fields], end=end and not body)
        if body:
            self.send(stream, body, end=end)
        return stream

    def send_fields(self, fields: Fields, *, end: bool = True) -> int:
        """Send a header block with just these fields on a new stream."""
        stream = self.connection.get_next_available_stream_id()
        self._events[stream] = []
        encoded = [(_bytes(name), _bytes(value)) for name, value in fields]
        self.connection.send_headers(stream, encoded, end_stream=end)
        self._flush()
        return stream

    def send(self, stream: int, data: bytes, *, end: bool = False) -> None:
        """Send data, waiting for the window wherever it is shut."""
        while True:
            room = min(self.connection.local_flow_control_window(stream), self.connection.max_outbound_frame_size)
            if data and not room:
                self._take_in()
                continue
            part, data = data[:room], data[room:]
            self.connection.send_data(stream, part, end_stream=end and not data)
            self._flush()
            if not data:
                return

    def answer(self, stream: int) -> Answer:
        """The whole answer on a stream. Raises Refused."""
        head, parts = self.head(stream), []
        try:
            while data := self.data(stream):
                parts.append(data)
        except Refused as error:
            error.begun = True
            raise
        return Answer(head.status, head.headers, b"".join(parts))

    def head(self, stream: int) -> Answer:
        """Status and headers of the answer on a stream. Raises Refused."""
        event = self._next(stream, h2.events.ResponseReceived)
        assert isinstance(event, h2.events.ResponseReceived)
        fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers]
        assert fields[0][0] == ":status"
        return Answer(int(fields[0][1]), tuple(fields[1:]))

    def data(self, stream: int) -> bytes:
        """The next data on a stream; empty at its end. Raises Refused."""
        while True:
            event = self._next(stream, h2.events.DataReceived, h2.events.StreamEnded)
            if isinstance(event, h2.events.StreamEnded):
                return b""
            # The end may come as a frame without data.
            if isinstance(event, h2.events.DataReceived) and event.data:
                return event.data

    def reset(self, stream: int) -> None:
        """Cancel a stream."""
        self.connection.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
        self._flush()

    def stall(self, stream: int) -> None:
        """Give this stream no more room than it has; the others of this connection still get theirs."""
        self._stalled.add(stream)

    def _next(self, stream: int, *kinds: type[h2.events.Event]) -> h2.events.Event:
        events = self._events[stream]
        while True:
            for event in events:
                if isinstance(event, h2.events.StreamReset):
                    raise Refused(f"reset with error {event.error_code}")
                if isinstance(event, kinds):
                    if not isinstance(event, h2.events.StreamEnded):
                        events.remove(event)
                    return event
            if self.over:
                raise Refused("the connection ended")
            self._take_in()

    def _take_in(self) -> None:
        data = self.wire.receive()
        if not data:
            self.over = True
            return
        self._frames += data
        while len(self._frames) >= 9 and len(self._frames) >= (size := 9 + int.from_bytes(self._frames[:3], "big")):
            frame, self._frames = self._frames[:size], self._frames[size:]
            for event in self.connection.receive_data(frame):
                self._heed(event)
        self._flush()

    def _heed(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ConnectionTerminated):
            self.over = event.error_code != h2.errors.ErrorCodes.NO_ERROR
            self.told_to_go = True
            # The package takes every GOAWAY for the end, but streams that are open go on after a graceful one.
            self.connection.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN
        stream = getattr(event, "stream_id", None)
        if stream is not None:
            self._events.setdefault(stream, []).append(event)
        if isinstance(event, h2.events.DataReceived) and event.flow_controlled_length:
            if event.stream_id in self._stalled:
                self.connection.increment_flow_control_window(event.flow_controlled_length)
            else:
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id or 0)

    def _flush(self) -> None:
        if waiting := self.connection.data_to_send():
            self.wire.send(waiting)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.wire.close()


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")
