"""Maintenance beside everything else: nothing is lost, nothing is counted twice, readers finish."""
import os
import threading
import time
from collections import Counter

import deltalake
import pytest

from harness.delta_log import DeltaLog
from harness.load import LoadClient, assert_each_once
from harness.process import query, run
from harness.readers import files_on_disk, read_everywhere
from harness.rollups import differences
from harness.sums import assert_sums_are_exact
from harness.waiting import wait_until

AT = "2026-01-02T03:04:05Z"
BY_HAND = {"maintain.enabled": False}


def wait_for_records(server, count):
    wait_until("the records are in the table",
               lambda: server.metric("millrace_writer_records_total") == count, server.log_tail)


def wait_for_sums(server):
    wait_until("all is summed up", lambda: not differences(server.data_dir), server.log_tail)


def write_files(server, count, records=20, at=AT):
    """That many flushes, a file each."""
    done = server.metric("millrace_writer_records_total") or 0
    for number in range(count):
        done += records
        assert server.post([{"ts": at, "path": f"/{number}/{i}", "site": f"s{i % 3}", "x": "y" * i}
                            for i in range(records)]).status == 202
        wait_for_records(server, done)


def test_small_files_become_one_that_every_reader_sees_alike(start):
    server = start(BY_HAND)
    write_files(server, 12)
    wait_for_sums(server)
    before = read_everywhere(server.access_logs)
    old_version = DeltaLog(server.access_logs).version
    planned = run("maintain", "--data", server.data_dir, "--dry-run")
    assert "12 small files" in planned.stderr and "merged 12 into 1" in planned.stdout
    assert len(DeltaLog(server.access_logs).adds) == 12
    done = run("maintain", "--data", server.data_dir)
    assert "access_logs: 12 files" in done.stdout and "merged 12 into 1" in done.stdout
    table = server.access_logs
    assert len(DeltaLog(table).adds) == 1
    key = lambda row: (row["path"], row["received_at"])  # noqa: E731
    rows = read_everywhere(table)
    assert sorted(rows, key=key) == sorted(before, key=key)
    assert [(row["site"], row["timestamp"]) for row in rows] == sorted(
        (row["site"], row["timestamp"]) for row in rows)
    old = deltalake.DeltaTable(table, version=old_version).to_pyarrow_table()
    assert old.num_rows == len(rows), "who started before can go on"
    assert_sums_are_exact(server, rows)
    assert "nothing to do" in run("maintain", "--data", server.data_dir, "--table",
                                  "access_logs").stdout
    server.stop()
    assert_sums_are_exact(server, read_everywhere(server.access_logs))


def test_under_load_nothing_is_lost_and_nothing_counted_twice(start):
    server = start({"maintain.interval": "100ms", "maintain.files_min": 2})
    stopped = threading.Event()
    failures = []

    def maintain():
        while not stopped.is_set():
            done = run("maintain", "--data", server.data_dir, check=False)
            if done.returncode != 0:
                failures.append(done.stderr)

    other = threading.Thread(target=maintain)
    other.start()
    try:
        with LoadClient(lambda: server.url) as client:
            merged = lambda: server.metric("millrace_maintenance_files_written_total")  # noqa: E731
            wait_until("files were merged many times",
                       lambda: len(client.acknowledged) > 3000 and merged() > 5, server.log_tail)
    finally:
        stopped.set()
        other.join()
    server.stop()
    assert not failures
    rows = read_everywhere(server.access_logs)
    assert_each_once(rows, client)
    assert_sums_are_exact(server, rows)


@pytest.mark.local
def test_what_nobody_needs_is_deleted_once_it_is_old_enough(start):
    server = start(BY_HAND)
    write_files(server, 3)
    server.stop()
    run("maintain", "--data", server.data_dir)
    orphan = server.access_logs / "date=2026-01-02/orphan.parquet"
    orphan.write_bytes(b"PAR1")
    assert len(files_on_disk(server.access_logs)) == 3 + 1 + 1
    week = time.time() - 8 * 86400
    for path in files_on_disk(server.access_logs):
        os.utime(path, (week, week))
    # The files that were merged are old, but they were removed a moment ago.
    done = run("maintain", "--data", server.data_dir)
    assert "access_logs: 1 file" in done.stdout and "deleted 1 file" in done.stdout
    assert not orphan.exists() and len(files_on_disk(server.access_logs)) == 4
    refused = run("maintain", "--data", server.data_dir, "--vacuum-retention", "1s", check=False)
    assert refused.returncode == 2 and "--force" in refused.stderr
    run("maintain", "--data", server.data_dir, "--vacuum-retention", "0s", "--force")
    assert len(files_on_disk(server.access_logs)) == 1
    assert len(read_everywhere(server.access_logs)) == 60


def at_later_time(hours):
    return {"LD_PRELOAD": "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
            "FAKETIME": f"+{hours}h"}


@pytest.mark.local  # An S3 server wants to be asked at its own time.
def test_old_records_go_and_their_sums_stay(start):
    server = start(BY_HAND)
    young = time.strftime("%Y-%m-%dT%H:00:00Z", time.gmtime(time.time() + 20 * 3600))
    write_files(server, 1)
    write_files(server, 1, at=young)
    wait_for_sums(server)
    # What was received just now is kept, whatever its own time.
    assert "ended" not in run("maintain", "--data", server.data_dir, "--retention", "30d").stdout
    done = run("maintain", "--data", server.data_dir, "--retention", "30d",
               environment=at_later_time(hours=30 * 24 + 12))
    assert "access_logs: 2 files" in done.stdout and "ended the time of 1" in done.stdout
    assert {row["site"] for row in read_everywhere(server.access_logs)} == {"s0", "s1", "s2"}
    assert len(read_everywhere(server.access_logs)) == 20
    write_files(server, 1, at=young)
    server.stop()
    run("aggregate", "--data", server.data_dir, "--rebuild")
    sums = query(server.data_dir, "SELECT sum(requests)::BIGINT AS n FROM rollup_by_path "
                                  "WHERE date = '2026-01-02'")
    assert sums == [{"n": 20}]


def test_a_site_is_erased_from_all_tables(start):
    server = start(BY_HAND)
    write_files(server, 3)
    assert server.post([{"ts": AT, "site": "s1"}, {"ts": AT, "site": "s2"}]).status == 400
    wait_for_sums(server)
    wait_until("the rejects are kept",
               lambda: server.metric("millrace_writer_dead_letters_total") == 2)
    dry = run("maintain", "--data", server.data_dir, "--erase-site", "s1", "--dry-run").stdout
    assert "dry run: access_logs: 21 rows of s1 in 3 files" in dry
    done = run("maintain", "--data", server.data_dir, "--erase-site", "s1").stdout
    assert "access_logs: 21 rows of s1 in 3 files taken out" in done
    write_files(server, 1)
    server.stop()
    lake = server.lake
    rows = read_everywhere(lake / "access_logs")
    assert Counter(row["site"] for row in rows) == {"s0": 28, "s1": 7, "s2": 24}
    assert_sums_are_exact(server, rows)
    # Known by the request's site, which was none: the payload's own is not looked at.
    assert len(read_everywhere(lake / "dead_letters")) == 2


@pytest.mark.local
def test_what_others_say_of_a_table_outlives_our_checkpoints(start):
    server = start(BY_HAND)
    write_files(server, 2)
    table = deltalake.DeltaTable(server.access_logs)
    table.alter.set_table_name("access")
    table.alter.set_table_description("who asked for what")
    table.alter.set_column_metadata("path", {"comment": "without the query"})
    write_files(server, 12)
    server.stop()
    log = server.access_logs / "_delta_log"
    checkpoints = sorted(log.glob("*.checkpoint.parquet"))
    assert checkpoints
    for entry in log.glob("*.json"):  # Only checkpoints can tell now.
        if entry.name[:20] < checkpoints[-1].name[:20]:
            entry.unlink()
    table = deltalake.DeltaTable(server.access_logs)
    assert table.metadata().name == "access"
    assert table.metadata().description == "who asked for what"
    comments = {field.name: field.metadata for field in table.schema().fields}
    assert comments["path"] == {"comment": "without the query"}
    assert table.to_pyarrow_table().num_rows == 14 * 20


@pytest.mark.local
def test_a_damaged_table_does_not_keep_the_others_from_it(start):
    server = start(BY_HAND)
    write_files(server, 3)
    server.stop()
    entry = max((server.lake / "dead_letters/_delta_log").glob("*.json"))
    entry.write_text("nonsense\n")
    done = run("maintain", "--data", server.data_dir, check=False)
    assert done.returncode == 1 and "dead_letters" in done.stderr
    assert len(DeltaLog(server.access_logs).adds) == 1
