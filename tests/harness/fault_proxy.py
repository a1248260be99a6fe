"""An HTTP proxy on loopback before an S3 server, which answers wrongly, late or not at all."""
import http.client
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

ERROR = '<?xml version="1.0"?><Error><Code>{}</Code><Message>injected</Message></Error>'

# Hop-by-hop, or made anew.
NOT_PASSED_ON = {"connection", "transfer-encoding", "expect", "keep-alive"}


class FaultProxy:
    """Passes requests to `target`, except where `choose(request)` names a fault:

    "reset"       the connection ends before the server has heard of the request
    "lost"        the server does it, and the connection ends before the answer
    "truncated"   the answer's body ends in the middle
    "late"        the answer comes after `late_seconds`
    "page 200", "page 404"   a gateway's own page, and the server hears nothing
    "lost, then X"   as "lost", and each further request for the same key and method is as X
    "ExpiredToken", "SlowDown", "InternalError", ...   that error, and the server hears nothing

    A request has `method`, `path` (with its parameters), `headers` and `operation`, such as "PUT" or
    "GET ?list-type". `requests` counts them by operation, `faults` by fault.
    """

    STATUS = {"ExpiredToken": 400, "SlowDown": 503, "InternalError": 500,
              "ConditionalRequestConflict": 409, "RequestTimeout": 400, "IncompleteBody": 400,
              "XMinioStorageFull": 507}
    PAGES = {"page 200": 200, "page 404": 404}

    def __init__(self, target, choose, late_seconds=1.0):
        self._target = urlsplit(target)
        self._choose = choose
        self.late_seconds = late_seconds
        self.requests = Counter()
        self.faults = Counter()
        self.sent_bytes = 0
        self.received_bytes = 0
        self._lock = threading.Lock()
        self._next = {}  # (method, path) -> the fault of the requests that come.
        self._ended = threading.Event()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self):
                try:
                    super().handle_one_request()
                except OSError:
                    self.close_connection = True

            def do_any(self):
                proxy._handle(self)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_any

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    @staticmethod
    def operation(method, path):
        parameters = urlsplit(path).query
        for name in ("list-type", "uploads", "uploadId"):
            if any(part.split("=")[0] == name for part in parameters.split("&")):
                return f"{method} ?{name}"
        return method

    def end_scripts(self):
        with self._lock:
            self._next.clear()

    def _handle(self, request):
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        request.operation = self.operation(request.command, request.path)
        request.method = request.command
        with self._lock:
            place = (request.method, urlsplit(request.path).path)
            fault = self._next.get(place) or self._choose(request)
            if fault and fault.startswith("lost, then "):
                self._next[place] = fault.removeprefix("lost, then ")
                self.faults[fault] += 1
                fault = "lost"
            self.requests[request.operation] += 1
            self.received_bytes += len(body)
            if fault:
                self.faults[fault] += 1
        if fault in self.STATUS:
            self._answer(request, self.STATUS[fault], {"Content-Type": "application/xml"},
                         ERROR.format(fault).encode())
            return
        if fault in self.PAGES:
            self._answer(request, self.PAGES[fault], {"Content-Type": "text/html"},
                         b"<html><body>Back soon</body></html>")
            return
        if fault == "reset":
            request.close_connection = True
            return
        status, headers, answer = self._pass_on(request, body)
        if fault == "lost":
            request.close_connection = True
            return
        if fault == "late":
            self._ended.wait(self.late_seconds)
        self._answer(request, status, headers, answer, is_truncated=fault == "truncated")

    def _pass_on(self, request, body):
        connection = http.client.HTTPConnection(self._target.hostname, self._target.port,
                                                timeout=60)
        try:
            # The host is a part of what was signed.
            connection.putrequest(request.command, request.path, skip_host=True,
                                  skip_accept_encoding=True)
            for name, value in request.headers.items():
                if name.lower() not in NOT_PASSED_ON:
                    connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def _answer(self, request, status, headers, body, is_truncated=False):
        request.send_response_only(status)
        length = headers.get("Content-Length") if request.command == "HEAD" else None
        for name, value in headers.items():
            if name.lower() not in NOT_PASSED_ON | {"content-length"}:
                request.send_header(name, value)
        request.send_header("Content-Length", length or str(len(body)))
        request.end_headers()
        if request.command == "HEAD":
            return
        if is_truncated:
            request.close_connection = True
            body = body[:len(body) // 2]
        with self._lock:
            self.sent_bytes += len(body)
        request.wfile.write(body)
