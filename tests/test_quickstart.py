"""What a new user does first."""
import json
import os

import pytest

from harness.process import query, run
from harness.readers import read_everywhere
from harness.rollups import differences
from harness.waiting import wait_until


def count(server):
    return query(server.data_dir, "SELECT count(*) AS n FROM access_logs")[0]["n"]


def test_a_posted_batch_is_queried_summed_and_summarised(start):
    server = start()
    answer = server.post([{"timestamp": "2026-01-02T03:04:05Z", "path": "/hello", "userAgent": "x"},
                          {"timestamp": "2026-01-02T03:59:59Z", "path": "/hello", "bytes": 7}])
    assert answer.status == 202
    assert answer.json["accepted"] == 2 and answer.json["rejected"] == 0
    wait_until("the records are in the table", lambda: count(server) == 2, server.log_tail)
    summary = server.data_dir / "analytics/2026-01-02/summary_03.json"
    wait_until("the summary is there", summary.exists, server.log_tail)
    assert json.loads(summary.read_text())["requestsPerPath"] == {"/hello": 2}
    assert json.loads(summary.read_text())["requestsPerUserAgent"] == {"(none)": 1, "x": 1}
    assert json.loads(summary.read_text())["hour"] == "2026-01-02T03:00:00Z"
    assert not differences(server.data_dir)
    rows = read_everywhere(server.access_logs)
    assert sorted(row["bytes"] or 0 for row in rows) == [0, 7]
    server.stop()
    assert not differences(server.data_dir), "also without a server"


def test_generated_traffic_is_sent_and_agrees_everywhere(start, tmp_path):
    server = start()
    log = tmp_path / "access.log"
    log.write_text(run("generate", "--records", 20000, "--seed", 3).stdout)
    sent = run("send", log, "--to", server.url, "--format", "combined").stdout
    assert "20,000 accepted, 0 rejected" in sent
    server.stop()
    rows = read_everywhere(server.access_logs)
    assert len(rows) == 20000
    statuses = [line.split()[8] for line in log.read_text().splitlines()]
    assert sorted(str(row["status"]) for row in rows) == sorted(statuses)
    assert not differences(server.data_dir)


def test_late_records_land_in_their_own_hour(start):
    server = start()
    for minute in (1, 2, 3):
        server.post({"timestamp": f"2026-01-02T03:0{minute}:00Z", "path": "/"})
        wait_until("it is summed", lambda m=minute: query(
            server.data_dir, "SELECT sum(requests) AS n FROM rollup_by_path")[0]["n"] == m)
    assert query(server.data_dir, "SELECT hour, requests FROM rollup_by_path") == [
        {"hour": "2026-01-02T03:00:00.000000Z", "requests": 3}]


def test_a_rebuilt_rollup_has_the_same_rows(start):
    server = start()
    for hour in range(3):
        server.post([{"timestamp": f"2026-01-02T0{hour}:00:00Z", "path": f"/{n}"} for n in range(9)])
        wait_until("it is in the table", lambda h=hour: count(server) == 9 * (h + 1))
    server.stop()
    before = query(server.data_dir, "SELECT * FROM rollup_by_path ORDER BY ALL")
    run("aggregate", "--rebuild", "rollup_by_path", "--data", server.data_dir)
    assert query(server.data_dir, "SELECT * FROM rollup_by_path ORDER BY ALL") == before
    assert len(before) == 27
    assert "folded 0 files" in run("aggregate", "--once", "--data", server.data_dir).stdout


def test_a_copied_folder_is_queried_without_a_server(start, tmp_path):
    server = start()
    server.post({"timestamp": "2026-01-02T03:04:05Z", "path": "/"})
    server.stop()
    copy = tmp_path / "copy"
    os.system(f"cp -r {server.data_dir} {copy}")
    assert query(copy, "SELECT path FROM access_logs") == [{"path": "/"}]


def test_queries_read_the_tables_and_nothing_else(start):
    server = start()
    server.post({"timestamp": "2026-01-02T03:04:05Z", "path": "/"})
    server.stop()
    for sql in ("SELECT * FROM read_text('/etc/passwd')", "COPY access_logs TO '/tmp/escaped.csv'",
                "ATTACH '/tmp/escaped.db'"):
        done = run("query", "--data", server.data_dir, sql, check=False)
        assert done.returncode == 1 and "millrace: " in done.stderr, sql


@pytest.mark.parametrize("damage", ["nonsense\n", ""], ids=["nonsense", "empty"])
def test_a_damaged_rollup_stops_no_records(start, damage):
    server = start({"writer.flush_age": "100ms", "aggregate.interval": "50ms"})
    server.post([{"ts": "2026-01-02T03:04:05Z", "path": "/before"}])
    wait_until("the record is summed up", lambda: not differences(server.data_dir),
               server.log_tail)
    log = server.lake / "rollup_by_path/_delta_log"
    last = max(log.glob("*.json"))
    good = last.read_text()
    server.stop()
    last.write_text(damage)
    server.start()
    assert server.post([{"ts": "2026-01-02T03:04:05Z", "path": "/meanwhile"}]).status == 202
    wait_until("the damage is said", lambda: last.name in server.log_tail(), server.log_tail)
    wait_until("the record is in the table",
               lambda: server.metric("millrace_writer_records_total") == 1, server.log_tail)
    assert len(read_everywhere(server.access_logs)) == 2
    assert server.is_running() and server.is_ready()
    mended = last.with_name("mended")
    mended.write_text(good)
    mended.rename(last)
    wait_until("the rollup goes on", lambda: not differences(server.data_dir), server.log_tail)
