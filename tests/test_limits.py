"""Each limit at its value and one beyond: the answer, and that nothing refused is kept."""
import datetime
import gzip
import json
import socket

import pytest
import zstandard

from harness.http import RawConnection, request_text
from harness.process import run
from harness.readers import read_everywhere
from harness.waiting import wait_until

AT = "2026-01-02T03:04:05Z"
COMPRESSIONS = [("gzip", gzip.compress), ("zstd", zstandard.compress)]


def record(**fields):
    return {"timestamp": AT, "path": "/", **fields}


def padded(size_bytes):
    """A JSON body of one record, padded with blanks to a size."""
    return json.dumps([record()]).ljust(size_bytes)


def assert_refused(answer, status, code, *words):
    assert answer.status == status, answer.text
    error = answer.json["error"]
    assert error["code"] == code
    for word in words:
        assert word in error["message"], error["message"]


def assert_rejected(answer, field, *words):
    """One record was rejected, and no other."""
    assert answer.json["rejected"] == 1, answer.text
    (error,) = answer.json["errors"]
    assert error["field"] == field, error
    for word in words:
        assert word in error["reason"], error["reason"]


def test_body_size(start):
    server = start({"http.body_size_max": "1KiB"})
    assert server.post(padded(1024)).status == 202
    assert_refused(server.post(padded(1025)), 413, "too_large", "1024")
    for size_bytes, status in [(1024, 202), (1025, 413)]:
        with RawConnection(server.port) as raw:
            raw.send(request_text("POST", "/logs", ["Transfer-Encoding: chunked"]))
            raw.send(b"%x\r\n%s\r\n0\r\n\r\n" % (size_bytes, padded(size_bytes).encode()))
            assert raw.read_response().status == status, "chunked"


def test_body_size_is_refused_before_the_body_is_sent(start):
    server = start({"http.body_size_max": "1KiB"})
    with RawConnection(server.port) as raw:
        raw.send(request_text("POST", "/logs", ["Expect: 100-continue", "Content-Length: 1025"]))
        assert_refused(raw.read_response(), 413, "too_large", "1024")


@pytest.mark.parametrize("encoding, compress", COMPRESSIONS)
def test_decompressed_body_size(start, encoding, compress):
    server = start({"http.body_decompressed_size_max": "64KiB"})
    at, beyond = (compress(padded(size).encode()) for size in (65536, 65537))
    assert server.post(at, Content_Encoding=encoding).status == 202
    assert_refused(server.post(beyond, Content_Encoding=encoding), 413, "too_large", "65536")


@pytest.mark.parametrize("encoding, compress", COMPRESSIONS)
def test_decompression_ratio(start, encoding, compress):
    server = start({"http.decompression_ratio_max": 50})
    # The ratio counts above 1 MiB only.
    assert server.post(compress(padded(1 << 20).encode()), Content_Encoding=encoding).status == 202
    bomb = compress(padded(8 << 20).encode())
    assert (8 << 20) / len(bomb) > 50
    assert_refused(server.post(bomb, Content_Encoding=encoding), 413, "too_large", "50")


@pytest.mark.parametrize("content_type, head, line", [
    ("application/x-ndjson", "", json.dumps(record()) + "\n"),
    ("text/csv", "ts,path\n", f"{AT},/\n"),
    ("text/plain", "", '1.1.1.1 - - [02/Jan/2026:03:04:05 +0000] "GET / HTTP/1.1" 200 1\n'),
], ids=["ndjson", "csv", "combined"])
def test_records_of_a_batch(start, content_type, head, line):
    server = start({"ingest.records_max": 7})
    assert server.post(head + line * 7, content_type).json["accepted"] == 7
    assert_refused(server.post(head + line * 8, content_type), 413, "too_large", "7")
    server.stop()
    assert len(read_everywhere(server.access_logs)) == 7
    assert read_everywhere(server.dead_letters) == []


def test_records_of_a_json_array(start):
    server = start({"ingest.records_max": 7})
    assert server.post([record()] * 7).json["accepted"] == 7
    for body in ([record()] * 8, [{}] * 8, {"records": [record()] * 8}):
        assert_refused(server.post(body), 413, "too_large", "7")


@pytest.mark.parametrize("content_type", ["application/json", "application/x-ndjson"])
def test_record_size(start, content_type):
    server = start({"ingest.record_size_max": "128B"})
    empty = json.dumps(record(a=""))
    at = empty.replace('"a": ""', '"a": "%s"' % ("x" * (128 - len(empty))))
    assert len(at) == 128
    answer = server.post(at, content_type)
    assert (answer.status, answer.json["accepted"]) == (202, 1)
    assert_rejected(server.post(at.replace('"a": "', '"a": "x'), content_type), "", "128")


@pytest.mark.parametrize("setting, field, at", [
    ("ingest.path_size_max", "path", {"path": "/" + "x" * 15}),
    ("ingest.field_size_max", "user_agent", {"user_agent": "x" * 16}),
    ("ingest.field_size_max", "query", {"path": "/?" + "x" * 16}),
    ("ingest.field_size_max", "attributes", {"mine": "x" * 12}),
], ids=["path", "text", "query", "attribute"])
def test_field_sizes(start, setting, field, at):
    server = start({setting: "16B"})
    assert server.post(record(**at)).json["accepted"] == 1
    beyond = {name: value + "x" for name, value in at.items()}
    assert_rejected(server.post(record(**beyond)), field, "16")


def test_attributes_of_a_record(start):
    server = start({"ingest.attributes_max": 3})
    assert server.post(record(a=1, b=2, c=3)).json["accepted"] == 1
    assert_rejected(server.post(record(a=1, b=2, c=3, d=4)), "attributes", "3")


def test_times_to_come(start):
    server = start({"ingest.future_max": "2h"})
    now = datetime.datetime.now(datetime.timezone.utc)
    # Far enough from the limit that the time the test takes does not matter.
    at, beyond = (now + datetime.timedelta(minutes=minutes) for minutes in (110, 130))
    assert server.post(record(timestamp=at.isoformat())).json["accepted"] == 1
    assert_rejected(server.post(record(timestamp=beyond.isoformat())), "timestamp")


def test_days_of_a_batch(start):
    server = start({"ingest.days_max": 3})
    days = [record(timestamp=f"2026-01-0{day}T00:00:00Z") for day in (1, 2, 3, 4, 1)]
    assert server.post(days[:3]).json["rejected"] == 0
    answer = server.post(days)
    assert answer.json["accepted"] == 4
    assert_rejected(answer, "timestamp", "3")
    assert answer.json["errors"][0]["index"] == 3


def header_of(size_bytes):
    """A request whose header has that size."""
    plain = len(request_text("GET", "/healthz", ["X: "]))
    return request_text("GET", "/healthz", ["X: " + "y" * (size_bytes - plain)])


def test_header_size(start):
    server = start({"http.header_size_max": "1KiB"})
    with RawConnection(server.port) as raw:
        assert raw.send(header_of(1024)).read_response().status == 200
        assert_refused(raw.send(header_of(1280)).read_response(), 431, "header_too_large", "1024")
    assert server.get("/healthz?" + "x" * 1280).status == 431


def test_header_size_is_exact(start):
    with RawConnection(start({"http.header_size_max": "1KiB"}).port) as raw:
        assert_refused(raw.send(header_of(1025)).read_response(), 431, "header_too_large")


def test_canonical_size_of_a_batch(start):
    server = start({"journal.entry_size_max": "1KiB"})
    sizes = range(700, 1100)
    statuses = [server.post(record(a="x" * size)).status for size in sizes]
    refused = statuses.index(413)
    assert statuses == [202] * refused + [413] * (len(sizes) - refused), "one limit, not two"
    assert_refused(server.post(record(a="x" * 1100)), 413, "too_large", "1024")
    server.stop()
    assert len(read_everywhere(server.access_logs)) == refused


def test_the_default_limits_go_together(start):
    """A body within the limits of size and of records fits the journal too."""
    server = start()
    lines = run("generate", "--records", 100_000, "--seed", 1).stdout.encode()
    compressed = gzip.compress(lines, 1)
    assert len(compressed) < 10 << 20 < len(lines)
    answer = server.post(compressed, "text/plain", Content_Encoding="gzip")
    assert answer.status == 202, answer.text
    assert answer.json["accepted"] == 100_000
    plain = lines[:lines.rindex(b"\n", 0, 10 << 20)]
    assert server.post(plain, "text/plain").status == 202


def test_open_files_are_kept_for_the_tables(start):
    """Where the system gives fewer than the connections want, connections are refused instead."""
    server = start({"http.connections_max": 5000, "http.threads": 1}, open_files_max=600)
    assert "fewer connections than http.connections_max" in server.log_tail()
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(300)]
    assert server.get("/healthz").status == 503
    for connection in idle:
        connection.close()
    wait_until("connections are taken again", lambda: server.get("/healthz").status == 200)
    assert server.post([record()]).status == 202


def test_errors_listed_in_an_answer(start):
    server = start({"ingest.reply_errors_max": 2})
    answer = server.post([{}] * 2)
    assert len(answer.json["errors"]) == 2 and "errors_truncated" not in answer.json
    answer = server.post([{}] * 3)
    assert len(answer.json["errors"]) == 2 and answer.json["errors_truncated"] is True
    assert answer.json["rejected"] == 3
    server.stop()
    assert len(read_everywhere(server.dead_letters)) == 5, "all are kept"


def test_idempotency_key_size(start):
    server = start()
    assert server.post([record()], Idempotency_Key="k" * 255).json["batch_id"] == "k" * 255
    assert_refused(server.post([record()], Idempotency_Key="k" * 256), 400, "bad_request", "255")


SMALL_JOURNAL = {"journal.size_max": "1MiB", "journal.segment_size_max": "64KiB",
                 "journal.entry_size_max": "256KiB"}
# It holds all back, so that the journal fills.
WRITER_THAT_WAITS = {"writer.flush_age": "1h", "writer.flush_idle": "0s",
                     "writer.flush_size": "1GiB"}


def fill_journal(server):
    """The first refusal, and how many records were accepted before."""
    accepted = 0
    while (answer := server.post([record(a="x" * 1000)] * 50)).status == 202:
        accepted += 50
        assert accepted < 5000, "the journal has no limit"
    return answer, accepted


def test_a_journal_that_is_full_answers_503_until_the_table_has_it(start):
    server = start({**SMALL_JOURNAL, **WRITER_THAT_WAITS})
    answer, accepted = fill_journal(server)
    assert_refused(answer, 503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert accepted >= 500
    server.stop()
    assert len(read_everywhere(server.access_logs)) == accepted
    server.configure(SMALL_JOURNAL)
    server.start()
    wait_until("there is room again", lambda: server.post([record()]).status == 202,
               server.log_tail)


def test_a_journal_that_is_full_is_not_ready(start):
    server = start({**SMALL_JOURNAL, **WRITER_THAT_WAITS})
    fill_journal(server)
    assert_refused(server.get("/readyz"), 503, "unavailable", "journal.size_max")


def test_bodies_in_flight(start):
    server = start({"http.bodies_in_flight_size_max": "1MiB"})
    held = RawConnection(server.port)
    held.send(request_text("POST", "/logs", ["Expect: 100-continue", f"Content-Length: {1 << 20}"]))
    assert held.read_response().status == 100, "the server waits for the body"
    answer = refusal(server)
    assert_refused(answer, 503, "unavailable")
    assert int(answer.headers.get("retry-after", 0)) >= 1
    held.close()
    wait_until("there is room again", lambda: refusal(server) is None)


def refusal(server):
    answer = server.post(padded(1024))
    return None if answer.status == 202 else answer
