"""HTTP/1.1 as other clients speak it, byte by byte."""
import http.client
import json
import socket

import pytest

from harness.http import RawConnection, exchange_on, request_text
from harness.readers import read_everywhere
from harness.waiting import wait_until

AT = "2026-01-02T03:04:05Z"


def body_of(path):
    return json.dumps({"timestamp": AT, "path": path}).encode()


def post_text(path, *headers):
    lines = ["Content-Type: application/json", *headers]
    return request_text("POST", "/logs", lines, body_of(path))


def paths_in_table(server):
    server.stop()
    return sorted(row["path"] for row in read_everywhere(server.access_logs))


def open_connections(server):
    return server.metric("millrace_http_connections", listener="api")


def test_a_connection_is_kept_over_good_and_refused_requests(start):
    server = start()
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    statuses = []
    for path, body in [("/logs", body_of("/a")), ("/logs", b"nonsense"), ("/none", b""),
                       ("/logs", body_of("/b"))]:
        answer = exchange_on(connection, "POST", path, body, {"Content-Type": "application/json"})
        statuses.append(answer.status)
        assert connection.sock is not None, "closed"
    assert statuses == [202, 400, 404, 202]
    connection.close()
    assert paths_in_table(server) == ["/a", "/b"]


def test_a_hundred_pipelined_requests_are_answered_in_order(start):
    server = start()
    with RawConnection(server.port) as raw:
        raw.send(b"".join(post_text(f"/{number:03}", f"Idempotency-Key: k{number}")
                          for number in range(100)))
        for number in range(100):
            assert raw.read_response().json["batch_id"] == f"k{number}"
    assert paths_in_table(server) == [f"/{number:03}" for number in range(100)]


def test_a_request_that_arrives_byte_by_byte(start):
    server = start()
    with RawConnection(server.port) as raw:
        raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in post_text("/a"):
            raw.send(bytes([byte]))
        assert raw.read_response().status == 202


def test_close_is_honoured(start):
    server = start()
    for data in (post_text("/a", "Connection: close"),
                 post_text("/b").replace(b"HTTP/1.1", b"HTTP/1.0")):
        with RawConnection(server.port) as raw:
            assert raw.send(data).read_response().status == 202
            assert raw.is_closed_by_peer()


def test_a_client_that_half_closes_still_gets_its_answer(start):
    server = start()
    with RawConnection(server.port) as raw:
        raw.send(post_text("/a"))
        raw.socket.shutdown(socket.SHUT_WR)
        answer = raw.read_response()
        assert answer is not None and answer.status == 202


def test_a_body_that_is_cut_short_keeps_nothing(start):
    server = start()
    for data in (post_text("/cut")[:-1],
                 request_text("POST", "/logs", ["Transfer-Encoding: chunked"]) + b"5\r\n[1,2"):
        with RawConnection(server.port) as raw:
            raw.send(data)
            raw.socket.shutdown(socket.SHUT_WR)
            assert raw.is_closed_by_peer()
    assert server.post(body_of("/whole")).status == 202
    assert paths_in_table(server) == ["/whole"]


def test_chunks_may_have_extensions_and_trailers(start):
    server = start()
    body = body_of("/a")
    with RawConnection(server.port) as raw:
        raw.send(request_text("POST", "/logs", ["Transfer-Encoding: chunked"]))
        raw.send(b"%X;name=value\r\n%s\r\n0\r\nX-Trailer: x\r\n\r\n" % (len(body), body))
        assert raw.read_response().status == 202
        raw.send(post_text("/b"))
        assert raw.read_response().status == 202, "what follows a trailer is the next request"
    assert paths_in_table(server) == ["/a", "/b"]


NO_HTTP = {
    "no target": b"GET\r\n\r\n",
    "version": b"GET / HTTP/9.9\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "negative length": request_text("POST", "/logs", ["Content-Length: -1"]),
    "length with a letter": request_text("POST", "/logs", ["Content-Length: 1x"]),
    "two lengths": request_text("POST", "/logs", ["Content-Length: 1",
                                                  "Content-Length: 2"]) + b"12",
    "chunk size": request_text("POST", "/logs", ["Transfer-Encoding: chunked"]) + b"zz\r\n",
    "header name": request_text("GET", "/", ["Bad Name: x"]),
    "header value": request_text("GET", "/", ["X: a\x00b"]),
}


@pytest.mark.parametrize("case", NO_HTTP)
def test_what_is_no_http_is_refused_and_closed(start, case):
    server = start()
    with RawConnection(server.port) as raw:
        answer = raw.send(NO_HTTP[case]).read_response()
        assert answer.status == 400
        assert answer.json["error"]["code"] == "bad_request" and answer.json["error"]["message"]
        assert raw.is_closed_by_peer()
    assert server.get("/healthz").status == 200


ROUTES = {"/logs": "POST, OPTIONS", "/": "GET, HEAD, OPTIONS", "/healthz": "GET, HEAD, OPTIONS",
          "/readyz": "GET, HEAD, OPTIONS", "/openapi.yaml": "GET, HEAD, OPTIONS"}


@pytest.mark.parametrize("path", ROUTES)
def test_each_route_answers_each_method(start, path):
    server = start()
    allowed = ROUTES[path]
    with RawConnection(server.port) as raw:
        for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"):
            raw.send(request_text(method, path))
            answer = raw.read_response(to_head=method == "HEAD")
            expected = 204 if method == "OPTIONS" else 200 if method in allowed else 405
            assert answer.status == expected, method
            if expected != 200:
                assert answer.headers["allow"] == allowed
            assert not [name for name in answer.headers if name.startswith("access-control")]


def test_head_says_what_get_would(start):
    server = start()
    with RawConnection(server.port) as raw:
        got = raw.send(request_text("GET", "/openapi.yaml")).read_response()
        head = raw.send(request_text("HEAD", "/openapi.yaml")).read_response(to_head=True)
    for name in ("content-length", "content-type"):
        assert head.headers[name] == got.headers[name]
    assert int(got.headers["content-length"]) == len(got.body)


def test_paths_are_compared_decoded_and_queries_do_not_matter(start):
    server = start()
    assert server.get("/%68ealthz?a=b").status == 200
    assert server.post(body_of("/a"), None, path="/logs?format=js%6fn").status == 202
    assert server.get("/logs/").status == 404
    assert server.get("/../etc/passwd").status == 404


def test_scripts_of_allowed_origins_may_send(start):
    ours, theirs = {"Origin": "https://example.com"}, {"Origin": "https://example.org"}
    preflight = {"Access_Control_Request_Method": "POST",
                 "Access_Control_Request_Headers": "content-type"}
    server = start({"http.cors_origins": ["https://example.com"]})
    asked = server.request("OPTIONS", "/logs", **ours, **preflight)
    assert asked.status == 204
    assert asked.headers["access-control-allow-origin"] == "https://example.com"
    assert "POST" in asked.headers["access-control-allow-methods"]
    assert "content-type" in asked.headers["access-control-allow-headers"].lower()
    for status, body in [(202, body_of("/a")), (400, b"[")]:
        answer = server.post(body, **ours)
        assert answer.status == status
        assert answer.headers["access-control-allow-origin"] == "https://example.com"
        assert answer.headers["vary"] == "Origin"
    assert server.post(body_of("/a"), **theirs).status == 403, "any page could else write here"
    for answer in [server.post(body_of("/a"), **theirs), server.post(body_of("/a")),
                   server.request("OPTIONS", "/logs", **theirs, **preflight)]:
        assert not [name for name in answer.headers if name.startswith("access-control")]
    server.stop()
    server.configure({"http.cors_origins": ["*"]})
    server.start()
    answer = server.post(body_of("/a"), **theirs)
    assert answer.headers["access-control-allow-origin"] == "*"


def test_a_target_may_be_a_whole_url(start):
    with RawConnection(start().port) as raw:
        answer = raw.send(request_text("GET", "http://millrace.test/healthz")).read_response()
    assert answer.status == 200


def test_slow_clients_are_cut_off_and_others_served_meanwhile(start):
    server = start({"http.header_timeout": "300ms", "http.body_timeout": "300ms",
                    "http.idle_timeout": "300ms"})
    slow = [b"", b"P", b"POST /logs HTTP/1.1\r\n", post_text("/slow")[:-1],
            request_text("POST", "/logs", ["Transfer-Encoding: chunked"]) + b"1\r\n[",
            request_text("POST", "/logs", ["Expect: 100-continue", "Content-Length: 5"])]
    held = [RawConnection(server.port).send(data) for data in slow * 20]
    assert server.post(body_of("/quick")).status == 202
    for connection in held:
        assert connection.is_closed_by_peer()
        connection.close()
    wait_until("the connections are let go", lambda: open_connections(server) == 0)
    assert paths_in_table(server) == ["/quick"]


def test_a_client_that_drips_cannot_stretch_the_header_timeout(start):
    server = start({"http.header_timeout": "500ms", "http.header_size_max": "1MiB"})
    with RawConnection(server.port) as raw:
        raw.send(b"GET / HTTP/1.1\r\n")
        raw.socket.settimeout(0.02)

        def is_answered_or_closed():
            try:
                raw.send(b"X: x\r\n")
                raw.socket.recv(1)
            except TimeoutError:
                return False
            except OSError:
                pass
            return True

        wait_until("the drip is cut off", is_answered_or_closed)


def test_a_client_that_does_not_read_is_cut_off(start):
    server = start({"http.write_timeout": "300ms"})
    with RawConnection(server.port) as raw:
        raw.socket.settimeout(0.2)

        def is_cut_off():
            try:
                raw.send(request_text("GET", "/openapi.yaml") * 200)
            except TimeoutError:
                pass
            except OSError:
                return True
            return open_connections(server) == 0

        wait_until("the connection is cut", is_cut_off)
    assert server.get("/healthz").status == 200


def test_clients_that_come_and_go_leave_nothing_behind(start):
    server = start()
    whole = post_text("/x")
    for number in range(300):
        with RawConnection(server.port) as raw:
            raw.send(whole[:number % len(whole)])
    wait_until("the connections are let go", lambda: open_connections(server) == 0)
    assert server.post(body_of("/after")).status == 202
    assert paths_in_table(server) == ["/after"]
