"""Stopping under load, and starting where that is not possible."""
import os
import subprocess

import pytest

from harness.load import LoadClient, assert_each_once
from harness.process import Millrace, query, run
from harness.readers import read_everywhere
from harness.rollups import differences
from harness.waiting import wait_until


def test_sigterm_under_load_loses_nothing(start):
    server = start({"writer.flush_age": "1h", "writer.flush_idle": "0s"})
    with LoadClient(lambda: server.url) as client:
        wait_until("there is load", lambda: len(client.acknowledged) > 500)
        server.stop()
    assert_each_once(read_everywhere(server.access_logs), client)
    assert not differences(server.data_dir), "the last commit is summed up too"


def test_sigterm_writes_a_backlog_to_the_table_first(start, tmp_path):
    """Also one that is larger than what is read at once."""
    server = start({"writer.flush_age": "1h", "writer.flush_idle": "0s"})
    log = tmp_path / "access.log"
    log.write_text(run("generate", "--records", 100_000, "--seed", 3).stdout)
    assert "100,000 accepted" in run("send", log, "--to", server.url).stdout
    server.kill()
    server.spawn()
    wait_until("it has started", lambda: server.admin_url, server.log_tail)
    server.stop()
    (count,) = query(server.data_dir, "SELECT count(*) AS n FROM access_logs")
    assert int(count["n"]) == 100_000


def test_one_process_has_a_folder(start, tmp_path):
    server = start()
    second = run("serve", "--data", server.data_dir, "--listen", "127.0.0.1:0", "--admin",
                 "127.0.0.1:0", check=False)
    assert second.returncode == 1
    assert "another millrace runs on this data directory" in second.stderr


def test_a_port_that_is_taken_is_named(start, tmp_path):
    server = start()
    second = run("serve", "--data", tmp_path / "other", "--listen", f"127.0.0.1:{server.port}",
                 "--admin", "127.0.0.1:0", check=False)
    assert second.returncode == 1
    assert f"127.0.0.1:{server.port}" in second.stderr


def test_a_disk_that_is_full_is_said_and_survived(tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", mount], check=True)
    try:
        server = Millrace(tmp_path / "server", {"writer.flush_age": "200ms", "writer.flush_idle": "100ms"}, data_dir=mount / "data")
        server.start()
        ballast = mount / "ballast"
        server.post({"timestamp": "2026-01-02T03:04:05Z", "path": "/before"})
        wait_until("it is in the table", lambda: server.metric("millrace_writer_records_total") == 1,
                   server.log_tail)
        with open(ballast, "wb") as file:
            try:
                while file.write(os.urandom(64 * 1024)):
                    file.flush()
            except OSError:
                pass
        record = {"timestamp": "2026-01-02T03:04:05Z", "path": "/during", "x": "y" * 10000}
        acknowledged = 0
        for _ in range(1000):
            answer = server.post([record] * 50)
            if answer.status != 202:
                break
            acknowledged += 50
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert "No space left" in answer.json["error"]["message"]
        ready = server.get("/readyz")
        assert ready.status == 503 and "No space left" in ready.json["error"]["message"]
        assert server.get("/healthz").status == 200
        ballast.unlink()
        wait_until("it is ready again by itself", server.is_ready, server.log_tail)
        assert server.post({"timestamp": "2026-01-02T03:04:05Z", "path": "/after"}).status == 202
        server.stop()
        paths = [row["path"] for row in read_everywhere(server.access_logs)]
        assert paths.count("/before") == 1 and paths.count("/after") == 1
        assert paths.count("/during") >= acknowledged
    finally:
        server.kill()
        subprocess.run(["umount", "-l", mount], check=True)


@pytest.mark.local
def test_a_read_only_folder_is_refused_with_its_name(tmp_path):
    mount = tmp_path / "fixed"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,ro", "tmpfs", mount], check=True)
    try:
        done = run("serve", "--data", mount / "data", "--listen", "127.0.0.1:0", "--admin",
                   "127.0.0.1:0", check=False)
        assert done.returncode == 1
        assert str(mount) in done.stderr and "Read-only file system" in done.stderr
    finally:
        subprocess.run(["umount", "-l", mount], check=True)
