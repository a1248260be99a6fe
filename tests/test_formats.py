"""What docs/formats/records.md says, row by row, from a request's body to the tables."""
import gzip
import io
import json
import re

import pytest
import zstandard

from harness.process import ROOT, Millrace
from harness.readers import read_everywhere

AT = "2026-01-02T03:04:05Z"
AT_US = 1767323045000000
DOCUMENT = (ROOT / "docs/formats/records.md").read_text()


def table_of(heading):
    """The rows of the first table below a heading of the document, as lists of cells."""
    section = DOCUMENT.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    return rows[2:]


def documented_names():
    """(column, name, unit) for every name in the document."""
    for column, names in table_of("Names"):
        for name, unit in re.findall(r"`([^`]+)`(?: \((\w+)\))?", names):
            yield column.strip("`"), name, unit


class Sent:
    """Records sent to one server, and the rows that they became, found by their `case`."""

    def __init__(self, folder):
        self.server = Millrace(folder).start()
        self.replies = {}
        self._rows = None
        self._letters = None

    def post_records(self, records):
        """Posts an array of records, each given as JSON text without its braces."""
        answer = self.server.post("[" + ",".join("{%s}" % record for record in records) + "]")
        assert answer.status in (202, 400) and "accepted" in answer.json, answer.text
        return answer.json

    def finish(self):
        self.server.stop()
        self._rows = {row["attributes"]["case"]: row
                      for row in read_everywhere(self.server.access_logs)}
        self._letters = read_everywhere(self.server.dead_letters)

    def row(self, case):
        return self._rows.get(case)

    def letter(self, case):
        found = [row for row in self._letters if f'"{case}"' in row["payload"]]
        assert len(found) <= 1, f"{case}: more than one dead letter"
        return found[0] if found else None


VALUES = {"timestamp": (AT, AT_US), "path": ("/p", "/p"), "status": (404, 404), "bytes": (12, 12),
          "client_ip": ("192.0.2.1", "192.0.2.1")}
DURATIONS = {"": 1500, "ms": 1.5, "ns": 1500000, "s": 0.0015}


def named_record(column, name, unit, case):
    """JSON of a record in which `column` comes under `name`, and the value that it should have."""
    sent, stored = VALUES.get(column, ("text", "text"))
    if column == "duration_us":
        sent, stored = DURATIONS[unit], 1500
    fields = {"timestamp": AT, "path": "/", "case": case}
    fields.pop(column, None)
    return json.dumps({**fields, name: sent})[1:-1], stored


def completed(case, fields):
    """The record of a case, with the timestamp and the path that `fields` does not give."""
    base = {"timestamp": AT, "path": "/"}
    given = "".join(f'"{name}":"{value}",' for name, value in base.items()
                    if f'"{name}"' not in fields)
    return f'{given}"case":"{case}",{fields}'


# Case -> (what is sent, what is stored). A text stands for a rejection, and is the field it names.
STORED = {
    "null": ('"host":null,"status":null,"mine":null', {"host": None, "status": None, "mine": None}),
    "empty text": ('"host":"","method":""', {"host": None, "method": None}),
    "empty path": ('"path":""', "path"),
    "null path": ('"path":null', "path"),
    "dash": ('"host":"-","mine":"-"', {"host": None, "mine": "-"}),
    "dash as bytes": ('"bytes":"-"', {"bytes": None}),
    "half a surrogate pair": ('"userAgent":"a\\ud83d"', {"user_agent": "a\ufffd"}),
    "too deep": (f'"mine":{"[" * 65}{"]" * 65}', ""),
    "twice": ('"host":"a","host":"b","mine":1,"mine":2', {"host": "b", "mine": "2"}),
    "number as text column": ('"userAgent":5', {"user_agent": "5"}),
    "number as path": ('"path":5', "path"),
    "object as text column": ('"host":{"a": [1, null]}', {"host": None, "@host": '{"a":[1,null]}'}),
    "object as path": ('"path":{}', "path"),
    "array as timestamp": ('"timestamp":[]', "timestamp"),
    "true as status": ('"status":true', "status"),
    "status as text": ('"status":"404"', {"status": 404}),
    "status with a fraction": ('"status":200.5', "status"),
    "status with no fraction": ('"status":200.0', {"status": 200}),
    "status 99": ('"status":99', "status"),
    "status 100": ('"status":100', {"status": 100}),
    "status 599": ('"status":599', {"status": 599}),
    "status 600": ('"status":600', "status"),
    "bytes at most": ('"bytes":9223372036854775807', {"bytes": 9223372036854775807}),
    "bytes beyond": ('"bytes":9223372036854775808', "bytes"),
    "bytes below zero": ('"bytes":-1', "bytes"),
    "bytes with an exponent": ('"bytes":1e3', {"bytes": 1000}),
    "duration with a fraction": ('"duration_ms":1.2346', {"duration_us": 1235}),
    "huge numbers": ('"a":1e999,"b":12345678901234567890123,"c":-0.10',
                     {"a": "1e999", "b": "12345678901234567890123", "c": "-0.10"}),
    "booleans": ('"a":true,"b":false', {"a": "true", "b": "false"}),
    "nested": ('"a":{ "b" : [1, "x\\u00e9", {"c":null}] },"d":[ ]',
               {"a": '{"b":[1,"xé",{"c":null}]}', "d": "[]"}),
    "attributes": ('"attributes":{"a":1}', {"@attributes": '{"a":1}'}),
    "unicode": ('"path":"/\\u00fc/\\ud83d\\ude00/日本","a\\u00e4":"\\t\\u0000"',
                {"path": "/ü/😀/日本", "aä": "\t\0"}),
    "escapes": (r'"a":"\"\\\/\b\f\n\r\t"', {"a": '"\\/\b\f\n\r\t'}),
    "query in the path": ('"path":"/a?b=1&c"', {"path": "/a", "query": "b=1&c"}),
    "query beside the path": ('"path":"/a?b=1","query":"?c=2"', {"path": "/a", "query": "c=2"}),
    "query alone": ('"path":"?b=1"', {"path": "/", "query": "b=1"}),
    "url": ('"path":"https://h:8/a?b"', {"path": "/a", "query": "b", "host": "h:8"}),
    "url with a host": ('"path":"http://h","host":"mine"', {"path": "/", "host": "mine"}),
    "percent": ('"path":"/%ff%20%zz"', {"path": "/%ff%20%zz"}),
    "best name wins": ('"status_code":201,"status":200', {"status": 200, "status_code": "201"}),
    "names by case and blanks": ('"User Agent":"x","HOST":"h","Status-Code":"201"',
                                 {"user_agent": "x", "host": "h", "status": 201}),
    "time zone": ('"timestamp":"2026-01-02T04:04:05.1234567+01:00"',
                  {"timestamp": AT_US + 123456}),
    "time without a zone": ('"timestamp":"2026-01-02 03:04:05"', {"timestamp": AT_US}),
    "time of apache": ('"timestamp":"02/Jan/2026:04:04:05 +0100"', {"timestamp": AT_US}),
    "time in s": ('"timestamp":1767323045', {"timestamp": AT_US}),
    "time in s as text": ('"timestamp":"1767323045.123"', {"timestamp": AT_US + 123000}),
    "time in ms": ('"timestamp":1767323045123', {"timestamp": AT_US + 123000}),
    "time in us": ('"timestamp":1767323045123456', {"timestamp": AT_US + 123456}),
    "time in ns": ('"timestamp":1767323045123456789', {"timestamp": AT_US + 123456}),
    "time before 1990": ('"timestamp":"1989-12-31T23:59:59Z"', "timestamp"),
    "time of 1990": ('"timestamp":"1990-01-01T00:00:00Z"', {"timestamp": 631152000000000}),
    "time to come": ('"timestamp":"2100-01-01T00:00:00Z"', "timestamp"),
    "no time": ('"timestamp":"soon"', "timestamp"),
    "no day": ('"timestamp":"2026-02-30T00:00:00Z"', "timestamp"),
    "leap day": ('"timestamp":"2024-02-29T00:00:00Z"', {"timestamp": 1709164800000000}),
    "another site": ('"site":"shop.example"', {"site": "shop.example"}),
}


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    """Every case of this module, sent, stored and read back once."""
    sent = Sent(tmp_path_factory.mktemp("formats"))
    try:
        sent.post_records([named_record(*name, f"name {name[1]}")[0]
                           for name in documented_names()])
        for case, (fields, _) in STORED.items():
            sent.replies[case] = sent.post_records([completed(case, fields)])
        sent.finish()
        yield sent
    finally:
        sent.server.kill()


def test_the_document_names_every_column():
    columns = {column for column, _, _ in documented_names()}
    assert {"timestamp", "path", "user_agent", "status", "bytes", "duration_us"} <= columns
    assert len(list(documented_names())) > 80


@pytest.mark.parametrize("column, name, unit", list(documented_names()),
                         ids=lambda text: text or "-")
def test_a_documented_name_is_its_column(sent, column, name, unit):
    row = sent.row(f"name {name}")
    assert row, sent.letter(f"name {name}")
    assert row[column] == named_record(column, name, unit, "")[1]
    assert set(row["attributes"]) == {"case"}


@pytest.mark.parametrize("case", STORED)
def test_a_value_is_stored_or_rejected_as_documented(sent, case):
    expected = STORED[case][1]
    row, letter, reply = sent.row(case), sent.letter(case), sent.replies[case]
    if isinstance(expected, str):
        assert row is None
        assert reply["rejected"] == 1 and reply["errors"][0]["field"] == expected
        assert (letter["field"] or "") == expected and letter["reason"] == reply["errors"][0]["reason"]
        assert letter["source"] == "request" and letter["site"] == "default"
        return
    assert letter is None and (reply["accepted"], reply["rejected"]) == (1, 0)
    for name, value in expected.items():
        # "@host" is the attribute of that name, beside the column.
        is_column = name in row
        stored = row[name] if is_column else row["attributes"].get(name.removeprefix("@"))
        assert stored == value, name


CSV = {
    "plain": (f"timestamp,path,mine\r\n{AT},/a,b\r\n", [("/a", {"mine": "b"})]),
    "quoted": (f'path,"mine",ts\n"/a,""b""","line\r\nbreak",{AT}\n',
               [('/a,"b"', {"mine": "line\r\nbreak"})]),
    "no line end, blank rows": (f"ts,path,mine\n\n{AT},/a,\n\n{AT},/b,x",
                                [("/a", None), ("/b", {"mine": "x"})]),
    "byte-order mark": (f"\ufeffts,path\n{AT},/a\n", [("/a", None)]),
}


@pytest.mark.parametrize("case", CSV)
def test_csv_follows_rfc_4180(start, case):
    body, expected = CSV[case]
    server = start()
    assert server.post(body, "text/csv").json["rejected"] == 0
    server.stop()
    rows = [(row["path"], row["attributes"]) for row in read_everywhere(server.access_logs)]
    assert sorted(rows, key=lambda row: row[0]) == expected


def test_rejected_rows_and_lines_leave_their_neighbours_alone(start):
    server = start()
    rows = server.post(f'ts,path\n{AT},/csv\n{AT}\n{AT},/b,extra\n{AT},"/c"x\nsoon,/d\n',
                       "text/csv")
    assert [error["index"] for error in rows.json["errors"]] == [1, 2, 3, 4]
    lines = server.post(f'{{"ts":"{AT}","path":"/ndjson"}}\r\n\r\n{{"broken\n[1]\n'.encode()
                        + b'{"ts":1,"path":"\xff"}\n', "application/x-ndjson")
    assert [error["index"] for error in lines.json["errors"]] == [1, 2, 3]
    combined = server.post('nonsense\n1.2.3.4 - - [02/Jan/2026:03:04:05 +0000] '
                           '"GET /combined HTTP/1.1" 200 -\n', "text/plain")
    assert [error["index"] for error in combined.json["errors"]] == [0]
    array = server.post(f'[1,{{"ts":"{AT}","path":"/json"}},null,[]]')
    assert [error["index"] for error in array.json["errors"]] == [0, 2, 3]
    for answer in (rows, lines, combined, array):
        assert answer.status == 202 and answer.json["accepted"] == 1
        assert all(error["reason"] for error in answer.json["errors"])
    server.stop()
    assert sorted(row["path"] for row in read_everywhere(server.access_logs)) == [
        "/combined", "/csv", "/json", "/ndjson"]
    letters = read_everywhere(server.dead_letters)
    assert len(letters) == 11
    assert '{"ts":1,"path":"\\xff"}' in [letter["payload"].lower() for letter in letters]


def test_combined_lines_keep_what_servers_write(start):
    server = start()
    lines = [
        '2001:db8::1 - alice [02/Jan/2026:04:04:05 +0100] "POST /a?b=1 HTTP/2.0" 404 7 '
        '"https://r.example/" "A \\"quoted\\" \\x41gent" extra',
        '192.0.2.9 - - [02/Jan/2026:03:04:05 +0000] "\\x16\\x03\\x01" 400 0 "-" "-"',
        '192.0.2.9 - - [02/Jan/2026:03:04:05 +0000] "-" 408 - "-" "-"',
    ]
    assert server.post("\r\n".join(lines), "text/plain").json["accepted"] == 3
    server.stop()
    rows = {row["status"]: row for row in read_everywhere(server.access_logs)}
    full = rows[404]
    assert (full["timestamp"], full["path"], full["query"], full["method"], full["protocol"]) == (
        AT_US, "/a", "b=1", "POST", "HTTP/2.0")
    assert (full["client_ip"], full["referrer"], full["bytes"]) == (
        "2001:db8::1", "https://r.example/", 7)
    assert full["user_agent"] == 'A "quoted" Agent'
    assert full["attributes"] == {"remote_user": "alice", "trailing": "extra"}
    assert rows[400]["path"] == "\x16\x03\x01" and rows[400]["method"] is None
    assert rows[408]["path"] == "-" and rows[408]["bytes"] is None
    assert rows[408]["user_agent"] is None and rows[408]["referrer"] is None


MALFORMED = ['[{"a":}]', "", "[", '{"a":1}x', '[{"a":"\\x"}]', b'[{"a":"\xff"}]', "5"]


def test_a_body_that_is_not_json_is_refused_whole(start):
    server = start()
    for body in MALFORMED:
        answer = server.post(body)
        assert answer.status == 400 and "error" in answer.json, (body, answer.text)
        assert answer.json["error"]["code"] == "bad_request" and answer.json["error"]["message"]
        assert 0 <= answer.json["error"]["byte_offset"] <= len(body)
    assert server.post('[{"a":}]').json["error"]["byte_offset"] == 6
    server.stop()
    assert read_everywhere(server.access_logs) == [] == read_everywhere(server.dead_letters)


def test_a_value_may_nest_64_levels(start):
    server = start()
    assert server.post(f'{{"ts":"{AT}","path":"/","a":{"[" * 64 + "]" * 64}}}').status == 202
    server.stop()
    (row,) = read_everywhere(server.access_logs)
    assert row["attributes"] == {"a": "[" * 64 + "]" * 64}


def streamed_zstd(body):
    """Frames without their size in the header, more than one of them."""
    out = io.BytesIO()
    for half in (body[:len(body) // 2], body[len(body) // 2:]):
        with zstandard.ZstdCompressor().stream_writer(out, closefd=False) as writer:
            writer.write(half)
    return out.getvalue()


COMPRESSIONS = [("gzip", gzip.compress), ("zstd", zstandard.compress), ("zstd", streamed_zstd),
                ("identity", bytes)]


@pytest.mark.parametrize("content_type, head, line", [
    ("application/x-ndjson", "", '{"ts":1767323045,"path":"/%d/%d"}\n'),
    ("text/csv", "ts,path\n", "1767323045,/%d/%d\n")])
def test_compressed_bodies_of_many_records(start, content_type, head, line):
    server = start()
    for case, (encoding, compress) in enumerate(COMPRESSIONS):
        body = head + "".join(line % (case, number) for number in range(3000))
        answer = server.post(compress(body.encode()), content_type, Content_Encoding=encoding)
        assert answer.status == 202 and answer.json["accepted"] == 3000, (encoding, answer.text)
    server.stop()
    paths = [row["path"] for row in read_everywhere(server.access_logs)]
    assert sorted(paths) == sorted(f"/{case}/{number}" for case in range(len(COMPRESSIONS))
                                   for number in range(3000))


@pytest.mark.parametrize("encoding", ["GZIP", "x-gzip"])
def test_names_of_encodings_are_those_of_rfc_9110(start, encoding):
    body = gzip.compress(json.dumps({"ts": AT, "path": "/"}).encode())
    assert start().post(body, Content_Encoding=encoding).status == 202


def test_damaged_compression_is_refused(start):
    server = start()
    body = b"[]" * 500
    for encoding, damaged in [("gzip", gzip.compress(body)[:-9]), ("gzip", b""),
                              ("zstd", zstandard.compress(body)[:-1]), ("zstd", b"nonsense")]:
        answer = server.post(damaged, Content_Encoding=encoding)
        assert answer.status == 400 and answer.json["error"]["message"], (encoding, answer.text)


def test_rejects_keep_the_first_4_kib(start):
    server = start()
    server.post(json.dumps([{"path": "/" + "é" * 5000}], ensure_ascii=False))
    server.stop()
    (letter,) = read_everywhere(server.dead_letters)
    assert 4092 < len(letter["payload"].encode()) <= 4096
    assert letter["payload"].startswith('{"path": "/é')


@pytest.mark.parametrize("policy, expected", [
    ("keep", ["192.0.2.77", "2001:db8:1:2:3::4", "unknown"]),
    ("truncate", ["192.0.2.0", "2001:db8:1::", None]), ("drop", [None, None, None])])
def test_client_addresses_are_kept_as_configured(start, policy, expected):
    server = start({"privacy.client_ip": policy, "privacy.redact_query_parameters": ["token"]})
    addresses = ["192.0.2.77", "2001:db8:1:2:3::4", "unknown"]
    server.post([{"ts": AT, "path": f"/{number}?a=1&Token=secret", "ip": address,
                  "referrer": "https://r.example/?token=secret&b"}
                 for number, address in enumerate(addresses)])
    server.stop()
    rows = sorted(read_everywhere(server.access_logs), key=lambda row: row["path"])
    assert [row["client_ip"] for row in rows] == expected
    assert {row["query"] for row in rows} == {"a=1&Token=REDACTED"}
    assert {row["referrer"] for row in rows} == {"https://r.example/?token=REDACTED&b"}


ADDRESS = "203.0.113.77"
PRIVATE = [
    {"ts": AT, "path": "/json", "client_ip": ADDRESS, "remote_addr": f"::ffff:{ADDRESS}",
     "X-Forwarded-For": f"{ADDRESS}, 10.0.0.1", "headers": {"x-real-ip": ADDRESS},
     "referer": "https://user:hunter2@h.test/?token=t0ps3cret", "url": "/json?token=t0ps3cret"},
    {"ts": "no time", "path": "/rejected?token=t0ps3cret", "client_ip": ADDRESS},
]
PRIVATE_LINE = (f'{ADDRESS} - - [02/Jan/2026:03:04:05 +0000] "GET /line?token=t0ps3cret HTTP/1.1" '
                f'200 1 "-" "x" "{ADDRESS}"\n')


@pytest.mark.parametrize("setting", ["drop", "truncate"])
def test_what_is_private_reaches_no_file(start, setting):
    server = start({"privacy.client_ip": setting, "privacy.redact_query_parameters": ["token"]})
    answer = server.post(PRIVATE)
    assert answer.status == 202 and answer.json["rejected"] == 1
    assert ADDRESS not in answer.text and "no time" not in answer.text
    assert server.post(PRIVATE_LINE, "text/plain").status == 202
    journal = b"".join(path.read_bytes() for path in (server.data_dir / "journal").glob("*.log"))
    server.stop()
    rows = read_everywhere(server.access_logs) + read_everywhere(server.dead_letters)
    assert len(rows) == 3
    kept = journal.decode(errors="replace") + repr(rows) + server.log_path.read_text()
    for secret in (ADDRESS, "t0ps3cret", "hunter2"):
        assert secret not in kept, secret
    assert ("203.0.113.0" in kept) == (setting == "truncate")
    assert "REDACTED" in kept
