"""A server in this process that plays what servers do, good and bad."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Call:
    """One call as the server got it."""

    number: int
    path: str
    key: str | None
    body: Mapping[str, Any]
    when: float

    @property
    def asked(self) -> str:
        """The words of the prompt."""
        return (
            self.body["prompt"] if "prompt" in self.body else self.body["messages"][-1]["content"]
        )


@dataclass(frozen=True)
class Sent:
    """What the server sends back."""

    content: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    after: float = 0.0
    """Seconds until it is sent."""
    hang_up: bool = False


Play = Callable[[Call], Sent]


def answer(call: Call, n: int | None = None, **more: Any) -> Sent:
    """A good answer: the prompt in capitals, with the place of the sample."""
    count = call.body.get("n", 1) if n is None else n
    texts = [f"{call.asked.upper()} {number}" for number in range(count)]
    choices: list[dict[str, Any]] = [{"finish_reason": "stop"} for _ in texts]
    for choice, text in zip(choices, texts, strict=True):
        if "prompt" in call.body:
            choice["text"] = text
        else:
            choice["message"] = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 10, "completion_tokens": 3 * count, "total_tokens": 10 + 3 * count}
    return Sent({"choices": choices, "usage": usage, **more})


class Played:
    """The server while it runs."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.calls: list[Call] = []
        self.most = 0
        """Calls that were under way at the same time."""
        self._now = 0
        self._lock = threading.Lock()
        self.url = ""

    def asked(self, words: str) -> list[Call]:
        return [call for call in self.calls if call.asked == words]

    def sent(self, call: Call) -> Sent:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            found = self.play(call)
            time.sleep(found.after)
            return found
        finally:
            with self._lock:
                self._now -= 1

    def come(self, path: str, key: str | None, body: Mapping[str, Any]) -> Call:
        with self._lock:
            call = Call(len(self.calls), path, key, body, time.monotonic())
            self.calls.append(call)
            return call


@contextmanager
def playing(play: Play) -> Iterator[Played]:
    """Run a server that answers as `play` says; it lists no models."""
    played = Played(play)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(Sent({"data": []}))

        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            body = json.loads(self.rfile.read(length))
            found = played.sent(played.come(self.path, self.headers["authorization"], body))
            if found.hang_up:
                self.close_connection = True
                return
            self._send(found)

        def _send(self, found: Sent) -> None:
            content = found.content
            if not isinstance(content, bytes):
                content = json.dumps(content).encode()
            self.send_response(found.status)
            for name, value in {"content-type": "application/json", **found.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            try:
                self.wfile.write(content)
            except BrokenPipeError:  # the client had no patience
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    played.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield played
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
