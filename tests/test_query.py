"""SQL over the tables: each file in sql/ with its expected rows, and what a query may not do.

With MILLRACE_WRITE_EXPECTED=1 the expected rows are written anew: read them before you commit them.
"""
import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from harness.process import BINARY, Millrace, command_line, run
from harness.waiting import HANG_SECONDS, wait_until

STATEMENTS = sorted((Path(__file__).parent / "sql").glob("*.sql"))

FIRST = [
    {"timestamp": "2026-01-02T03:04:05Z", "path": "/a", "status": 200, "bytes": 10,
     "userAgent": "x"},
    {"timestamp": "2026-01-02T03:04:06Z", "path": "/a?b=1", "status": 503, "userAgent": "x"},
    {"timestamp": "2026-01-02T03:59:59.999999Z", "path": "/b", "status": 404, "bytes": 0},
    {"timestamp": "2026-01-02T04:00:00Z", "path": "/b", "status": 500, "bytes": 5, "userAgent": "y",
     "site": "shop.example"},
    {"timestamp": "2026-01-02T23:59:59.999999Z", "path": "/midnight/before", "duration_us": 3},
    {"timestamp": "2026-01-03T00:00:00Z", "path": "/midnight/at"},
    {"path": "/no-time"},
]
SECOND = [
    {"timestamp": "2026-01-02T03:04:05Z", "path": "/a", "status": 200, "bytes": 1, "userAgent": "y",
     "cache": "hit", "nested": {"a": [1, None]}},
    {"timestamp": "2026-01-03T05:00:00Z", "path": "/日本?q=ü,\"x\"", "host": "texts.example",
     "userAgent": "comma, quote\" and\nline", "status": 200},
    {"timestamp": "2026-01-03T05:00:01Z", "path": "/=SUM(1)", "host": "texts.example",
     "userAgent": "'; DROP TABLE access_logs; --", "status": 200},
    {"timestamp": "soon", "path": "/bad-time"},
]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A data folder without a server, of two commits over two days."""
    server = Millrace(tmp_path_factory.mktemp("query"), {"writer.flush_idle": "50ms"}).start()
    try:
        for number, batch in enumerate((FIRST, SECOND)):
            accepted = len(batch) - 1
            answer = server.post(batch, Idempotency_Key=f"batch-{number}")
            assert answer.json["accepted"] == accepted, answer.text
            wait_until("it is in the table",
                       lambda: server.metric("millrace_writer_lag_entries") == 0, server.log_tail)
        server.stop()
        yield server.data_dir
    finally:
        server.kill()


@pytest.mark.parametrize("path", STATEMENTS, ids=lambda path: path.stem)
def test_a_statement_gives_its_expected_rows(data_dir, path):
    done = run("query", "--data", data_dir, "--format", "csv", path.read_text(), stdin=b"")
    expected = path.with_suffix(".csv")
    # The files in the repository have plain line ends.
    rows = done.stdout.replace(b"\r\n", b"\n").decode()
    if os.environ.get("MILLRACE_WRITE_EXPECTED"):
        expected.write_text(rows)
    assert rows == expected.read_text()


def test_there_are_statements():
    assert len(STATEMENTS) >= 10


def test_the_formats_have_the_same_rows(data_dir):
    sql = ("SELECT path, query, user_agent, status, attributes['cache'] AS cache FROM access_logs "
           "ORDER BY timestamp, path, status, user_agent")
    rows = json.loads(run("query", "--data", data_dir, "--format", "json", sql).stdout)
    lines = run("query", "--data", data_dir, "--format", "ndjson", sql).stdout.splitlines()
    assert [json.loads(line) for line in lines] == rows
    assert len(rows) == 9
    table = run("query", "--data", data_dir, "--format", "table", sql).stdout
    assert "(9 rows)" in table and "NULL" in table and "日本" in table


@pytest.mark.local
def test_a_copied_folder_answers_the_same(data_dir, tmp_path):
    copy = tmp_path / "elsewhere"
    # The tables are enough; the journal and the lock of the folder are not needed.
    shutil.copytree(data_dir / "lake", copy / "lake")
    sql = "SELECT * FROM access_logs ORDER BY ALL"
    answers = {run("query", "--data", folder, "--format", "csv", sql).stdout
               for folder in (data_dir, copy)}
    assert len(answers) == 1 and len(answers.pop().splitlines()) > 9


@pytest.mark.local
def test_a_query_changes_nothing_in_the_folder(data_dir):
    def listing():
        return sorted((str(path), path.stat().st_mtime_ns) for path in data_dir.rglob("*"))

    before = listing()
    run("query", "--data", data_dir, "SELECT count(*) FROM access_logs")
    assert listing() == before


def contents(folder):
    """Every file below a folder, with what is in it."""
    return {path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}


FORBIDDEN = {
    "read a file": "SELECT * FROM read_text('/etc/passwd')",
    "read a file as a table": "SELECT * FROM '/etc/passwd'",
    "read CSV": "SELECT * FROM read_csv('/etc/passwd', columns={{'a': 'VARCHAR'}})",
    "list files": "SELECT * FROM glob('/etc/*')",
    "leave the folder": "SELECT * FROM read_text('{lake}/../../../../../../etc/passwd')",
    "write a file": "COPY (SELECT 1) TO '{outside}/escaped.csv'",
    "write in the folder": "COPY (SELECT 1) TO '{lake}/escaped.csv'",
    "replace the log":
        "COPY (SELECT 1) TO '{lake}/access_logs/_delta_log/00000000000000000000.json'",
    "attach in the folder": "ATTACH '{lake}/escaped.db'",
    "export into the folder": "EXPORT DATABASE '{lake}/escaped'",
    "attach a database": "ATTACH '{outside}/escaped.db'",
    "export": "EXPORT DATABASE '{outside}/escaped'",
    "install": "INSTALL httpfs",
    "load": "LOAD '{outside}/x.duckdb_extension'",
    "the network": "SELECT * FROM read_text('http://127.0.0.1:9/')",
    "unlock": "SET enable_external_access = true; SELECT * FROM read_text('/etc/passwd')",
    "change the limits": "SET memory_limit = '100GB'",
    "the environment": "SELECT getenv('PATH')",
    "more than one": "SELECT 1; SELECT 2",
    "delete": "DELETE FROM access_logs",
    "write in an explained statement":
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{lake}/escaped.csv'",
    "write behind a nested comment":
        "EXPLAIN /* /* */ ANALYZE SELECT 1 -- */ ANALYZE COPY (SELECT 1) TO '{lake}/escaped.csv'",
}


@pytest.mark.parametrize("case", FORBIDDEN)
@pytest.mark.local
def test_a_query_may_read_the_tables_only(data_dir, tmp_path, case):
    copy = tmp_path / "copy"
    shutil.copytree(data_dir, copy)
    outside = tmp_path / "outside"
    outside.mkdir()
    sql = FORBIDDEN[case].format(lake=copy / "lake", outside=outside)
    done = run("query", "--data", copy, sql, check=False)
    assert contents(copy) == contents(data_dir) and not list(outside.iterdir())
    assert done.returncode == 1, done.stdout
    assert done.stderr.startswith("millrace: ") and "root:" not in done.stdout + done.stderr


@pytest.mark.parametrize("sql, word", [
    ("SELECT nothing FROM access_logs", "nothing"), ("SELECT * FROM nowhere", "nowhere"),
    ("SELEC 1", "SELEC"), ("", ""), ("SELECT 'a'::INTEGER", "INT32")])
def test_errors_of_a_query_say_what_is_wrong(data_dir, sql, word):
    done = run("query", "--data", data_dir, sql, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("millrace: ") and word in done.stderr


@pytest.mark.local
def test_a_folder_without_tables_is_named(tmp_path):
    done = run("query", "--data", tmp_path / "none", "SELECT 1", check=False)
    assert done.returncode == 1 and str(tmp_path / "none") in done.stderr
    assert not (tmp_path / "none").exists(), "a query makes no folders"


def test_an_unknown_format_is_an_error_of_usage(data_dir):
    done = run("query", "--data", data_dir, "--format", "xml", "SELECT 1", check=False)
    assert done.returncode == 2 and "ndjson" in done.stderr


@pytest.mark.local
def test_a_reader_that_goes_away_is_no_crash(data_dir):
    done = subprocess.run(f"'{BINARY}' query --data '{data_dir}' --format csv "
                          "'SELECT * FROM range(3000000)' | head -n 2", shell=True,
                          capture_output=True, timeout=HANG_SECONDS)
    assert done.stdout == b"range\r\n0\r\n" and b"unexpected" not in done.stderr


@pytest.mark.local
def test_a_damaged_table_is_left_out_with_a_warning(start):
    server = start()
    server.post([{"ts": 1767323045, "path": "/a"}])
    server.stop()
    last = max((server.lake / "rollup_by_path/_delta_log").glob("*.json"))
    last.write_text("nonsense\n")
    done = run("query", "--data", server.data_dir, "--format", "csv", "SELECT path FROM access_logs")
    assert done.stdout.split() == ["path", "/a"]
    assert "warning: the table rollup_by_path is left out" in done.stderr and last.name in done.stderr


@pytest.mark.local
def test_a_table_with_a_damaged_file_is_left_out_with_a_warning(start):
    server = start()
    server.post([{"ts": 1767323045, "path": "/a"}])
    server.stop()
    file, = server.access_logs.glob("date=*/*.parquet")
    file.write_bytes(b"nonsense")
    done = run("query", "--data", server.data_dir, "--format", "csv",
               "SELECT path, requests FROM rollup_by_path")
    assert done.stdout.split() == ["path,requests", "/a,1"] and done.stderr == ""
    done = run("query", "--data", server.data_dir, "SELECT path FROM access_logs", check=False)
    assert done.returncode == 1
    assert "warning: the table access_logs is left out" in done.stderr and file.name in done.stderr


@pytest.mark.local
def test_a_query_opens_the_files_of_its_tables_only(data_dir, tmp_path):
    """Also a catalogue query knows the columns of the others."""
    copy = tmp_path / "copy"
    shutil.copytree(data_dir, copy)
    for file in (copy / "lake/access_logs").glob("date=*/*.parquet"):
        file.write_bytes(b"nonsense")
    done = run("query", "--data", copy, "--format", "csv",
               "SELECT column_name FROM information_schema.columns WHERE table_name LIKE 'access%'")
    assert "path" in done.stdout.split() and done.stderr == ""


def test_a_plan_can_be_read(data_dir):
    done = run("query", "--data", data_dir, "EXPLAIN SELECT path FROM access_logs")
    assert "\\x0A" not in done.stdout and len(done.stdout.splitlines()) > 5


ENDLESS = "SELECT count(*) FROM range(10000000000) a, range(1000) b WHERE a.range % 7 = b.range % 11"


def test_a_query_ends_at_its_time_limit(data_dir):
    done = run("query", "--data", data_dir, "--timeout", "200ms", ENDLESS, check=False)
    assert done.returncode == 1 and "took longer than 200ms" in done.stderr
    assert run("query", "--data", data_dir, "--timeout", "soon", "SELECT 1", check=False).returncode == 2


def test_ctrl_c_ends_a_query(data_dir):
    process = subprocess.Popen(command_line("query", "--data", data_dir, ENDLESS),
                               stderr=subprocess.PIPE)
    wait_until("it listens for the signal", lambda: blocks_interrupt(process.pid))
    process.send_signal(signal.SIGINT)
    status = process.wait(HANG_SECONDS)
    assert (status, process.stderr.read()) == (130, b"")


def blocks_interrupt(pid):
    blocked = re.search(r"^SigBlk:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(blocked[1], 16) & 1 << signal.SIGINT - 1
