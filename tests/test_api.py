"""The ingestion API over real connections: formats, errors, limits."""
import gzip
import hashlib
import json

import pytest
import zstandard

from harness.http import RawConnection, request_text
from harness.process import query, run
from harness.readers import read_everywhere
from harness.waiting import wait_until

AT = "2026-01-02T03:04:05Z"
RECORD = {"timestamp": AT, "path": "/a", "userAgent": "x"}
COMBINED = '198.51.100.7 - - [02/Jan/2026:03:04:05 +0000] "GET /a HTTP/1.1" 200 5 "-" "x"\n'


@pytest.mark.parametrize("content_type, body", [
    ("application/json", json.dumps([RECORD])),
    ("application/json; charset=utf-8", json.dumps(RECORD)),
    ("application/json", json.dumps({"records": [RECORD]})),
    (None, json.dumps([RECORD])),
    ("application/x-ndjson", json.dumps(RECORD) + "\n"),
    ("text/csv", f"timestamp,path,user agent\r\n{AT},/a,x\r\n"),
    ("text/plain", COMBINED),
])
def test_each_format_becomes_the_same_row(start, content_type, body):
    server = start()
    assert server.post(body, content_type).json["accepted"] == 1
    server.stop()
    (row,) = read_everywhere(server.access_logs)
    assert (row["path"], row["user_agent"], row["timestamp"], row["site"]) == (
        "/a", "x", 1767323045000000, "default")


@pytest.mark.parametrize("encoding, compress", [
    ("gzip", gzip.compress), ("zstd", zstandard.compress),
    ("gzip", lambda body: gzip.compress(body[:5]) + gzip.compress(body[5:]))])
def test_compressed_bodies(start, encoding, compress):
    server = start()
    answer = server.post(compress(json.dumps([RECORD]).encode()), Content_Encoding=encoding)
    assert answer.json["accepted"] == 1, answer.text


def test_rejects_are_answered_and_kept(start):
    server = start()
    answer = server.post([RECORD, {"path": "/b"}, {"timestamp": AT, "path": "/", "status": "abc"}])
    assert answer.status == 202
    assert (answer.json["accepted"], answer.json["rejected"]) == (1, 2)
    assert [(e["index"], e["field"]) for e in answer.json["errors"]] == [(1, "timestamp"),
                                                                         (2, "status")]
    alone = server.post({"path": "/c"}, Idempotency_Key="mine")
    assert alone.status == 400 and alone.json["rejected"] == 1
    assert alone.json["batch_id"] == "mine"
    strict = server.post([RECORD, {"path": "/d"}], path="/logs?strict=1")
    assert strict.status == 400 and strict.json["accepted"] == 0
    server.stop()
    assert [row["path"] for row in read_everywhere(server.access_logs)] == ["/a"]
    letters = read_everywhere(server.dead_letters)
    assert sorted(row["payload"] for row in letters) == [
        '{"path": "/b"}', '{"path": "/c"}', '{"timestamp": "2026-01-02T03:04:05Z", "path": "/", '
        '"status": "abc"}']
    assert "missing" in run("dead-letters", "list", "--data", server.data_dir).stdout


def test_errors_have_one_shape_and_keep_nothing(start):
    server = start({"http.body_size_max": "1KiB", "http.body_decompressed_size_max": "2KiB",
                    "ingest.records_max": 3, "journal.entry_size_max": "1KiB"})
    cases = [
        (server.post('[{"a":}]'), 400, "bad_request"),
        (server.post("x", "application/xml"), 415, "unsupported"),
        (server.post(b"x", path="/logs?format=xml"), 415, "unsupported"),
        (server.post(b"x", Content_Encoding="br"), 415, "unsupported"),
        (server.post(b"x", Content_Encoding="gzip"), 400, "bad_request"),
        (server.post(gzip.compress(b" " * 2049), Content_Encoding="gzip"), 413, "too_large"),
        (server.post(" " * 1025), 413, "too_large"),
        (server.post([RECORD] * 4), 413, "too_large"),
        (server.post([{**RECORD, "x": "y" * 800}]), 413, "too_large"),
        (server.post([RECORD], Idempotency_Key="two words"), 400, "bad_request"),
        (server.get("/nothing"), 404, "not_found"),
        (server.get("/logs"), 405, "method_not_allowed"),
    ]
    for number, (answer, status, code) in enumerate(cases):
        assert answer.status == status, f"case {number}: {answer.text}"
        assert answer.json["error"]["code"] == code
        assert answer.json["error"]["message"]
    assert server.post([RECORD] * 3).status == 202, "at the limit"
    server.stop()
    assert len(read_everywhere(server.access_logs)) == 3
    assert read_everywhere(server.dead_letters) == []


def test_keys_decide_who_may_send_and_for_which_site(start):
    key = "mr_secret"
    server = start({"api_keys": [{"name": "shop", "site": "shop.example",
                                  "sha256": hashlib.sha256(key.encode()).hexdigest(),
                                  "records_per_second_max": 5}]})
    for headers in ({}, {"X_API_Key": "wrong"}, {"Authorization": "Basic x"}):
        answer = server.post([RECORD], **headers)
        assert answer.status == 401 and answer.headers["www-authenticate"] == "Bearer"
    assert server.post([{**RECORD, "site": "other"}] * 10, X_API_Key=key).status == 202
    limited = server.post([RECORD], Authorization=f"Bearer {key}", Idempotency_Key="k")
    assert limited.status == 429 and int(limited.headers["retry-after"]) >= 1
    wait_until("the limit allows more", lambda: server.post(
        [RECORD], X_API_Key=key, Idempotency_Key="k").status == 202)
    server.stop()
    rows = read_everywhere(server.access_logs)
    assert {row["site"] for row in rows} == {"shop.example"}
    assert {row["batch_id"] for row in rows} == {None, "shop/k"}
    assert key not in server.log_tail(10000)


def test_connections_are_kept_and_pipelined_requests_answered_in_order(start):
    server = start()
    post = request_text("POST", "/logs", ["Content-Type: application/json"], json.dumps(RECORD))
    with RawConnection(server.port) as raw:
        raw.send(post + request_text("GET", "/healthz") + post + request_text("GET", "/none"))
        assert [raw.read_response().status for _ in range(4)] == [202, 200, 202, 404]
        raw.send(request_text("HEAD", "/"))
        head = raw.read_response(to_head=True)
        assert head.status == 200 and int(head.headers["content-length"]) > 0
        raw.send(request_text("OPTIONS", "/logs"))
        assert raw.read_response().headers["allow"] == "POST, OPTIONS"


def test_bodies_arrive_chunked_or_after_a_continue(start):
    server = start()
    body = json.dumps(RECORD).encode()
    with RawConnection(server.port) as raw:
        chunks = b"".join(b"%x\r\n%s\r\n" % (1, body[i:i + 1]) for i in range(len(body)))
        raw.send(request_text("POST", "/logs", ["Transfer-Encoding: chunked"]) + chunks + b"0\r\n\r\n")
        assert raw.read_response().status == 202
        raw.send(request_text("POST", "/logs", ["Expect: 100-continue", f"Content-Length: {len(body)}"]))
        assert raw.read_head()[0] == 100
        raw.send(body)
        assert raw.read_response().status == 202


def test_what_is_no_http_gets_400_and_slow_clients_get_408(start):
    server = start({"http.header_timeout": "200ms", "http.body_timeout": "200ms",
                    "http.idle_timeout": "200ms", "http.header_size_max": "1KiB"})
    both = ["Content-Length: 5", "Transfer-Encoding: chunked"]
    cases = [(b"nonsense\r\n\r\n", 400), (request_text("POST", "/logs", both), 400),
             (request_text("GET", "/", ["X: " + "y" * 1100]), 431),
             (b"GET / HTTP/1.1\r\nHo", 408),
             (request_text("POST", "/logs", ["Content-Length: 5"]) + b"1", 408)]
    for data, status in cases:
        with RawConnection(server.port) as raw:
            answer = raw.send(data).read_response()
            assert answer is not None and answer.status == status, data[:40]
            assert answer.json["error"]["message"]
            assert raw.is_closed_by_peer()
    with RawConnection(server.port) as raw:
        assert raw.is_closed_by_peer(), "a connection that says nothing is closed"


def test_connections_beyond_the_limit_get_503(start):
    server = start({"http.connections_max": 3})
    held = [RawConnection(server.port).send(b"GET") for _ in range(3)]
    wait_until("they are counted", lambda: server.metric(
        "millrace_http_connections", listener="api") == 3)
    with RawConnection(server.port) as raw:
        answer = raw.read_response()
        assert answer.status == 503 and int(answer.headers["retry-after"]) >= 1
    for connection in held:
        connection.close()
    wait_until("there is room again", server.is_ready)


def test_the_api_describes_itself(start):
    server = start()
    assert "openapi: 3.1" in server.get("/openapi.yaml").text
    assert "POST /logs" in server.get("/").text
    assert server.get("/metrics").status == 404, "metrics are on the admin port"
    server.post([RECORD, {}])
    assert server.metric("millrace_ingest_records_accepted_total") == 1
    assert server.metric("millrace_ingest_records_rejected_total", field="timestamp") == 1
