"""HTTP by the standard library, and raw bytes for what it would not send."""
import http.client
import json
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from harness.waiting import HANG_SECONDS


@dataclass
class Response:
    status: int
    headers: dict  # Names in lower case.
    body: bytes

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)


def exchange(url, method, path, body=None, headers=None):
    """One request on a connection of its own."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=HANG_SECONDS)
    try:
        return exchange_on(connection, method, path, body, headers)
    finally:
        connection.close()


def exchange_on(connection, method, path, body=None, headers=None):
    if isinstance(body, str):
        body = body.encode()
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    names = {name.lower(): value for name, value in response.getheaders()}
    return Response(response.status, names, response.read())


class RawConnection:
    """A TCP connection on which bytes are sent as they are, and responses read one by one."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=HANG_SECONDS)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data.encode() if isinstance(data, str) else data)
        return self

    def read_head(self):
        """The status and headers of the next response; None: the peer closed instead."""
        try:
            line = self.file.readline()
        except ConnectionResetError:
            return None
        if not line:
            return None
        version, status, *_ = line.decode().split()
        assert version in ("HTTP/1.0", "HTTP/1.1"), line
        headers = {}
        while (line := self.file.readline().strip()):
            name, value = line.decode().split(":", 1)
            headers[name.lower()] = value.strip()
        return int(status), headers

    def read_response(self, to_head=False):
        """The next response; None: the peer closed instead."""
        head = self.read_head()
        if head is None:
            return None
        status, headers = head
        assert "transfer-encoding" not in headers, "not read here"
        has_body = not to_head and status >= 200 and status != 204
        size_bytes = int(headers.get("content-length", 0)) if has_body else 0
        return Response(status, headers, self.file.read(size_bytes))

    def is_closed_by_peer(self):
        """Waits for the peer to close, and drops what it still sends."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return True


def request_text(method, path, headers=(), body=b""):
    """The bytes of an HTTP/1.1 request. `headers` are lines."""
    if isinstance(body, str):
        body = body.encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: millrace.test", *headers]
    if body and not any(line.lower().startswith(("content-length", "transfer-encoding"))
                        for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
