"""Disks that are full while there is load, and disks that cannot be written."""
import pytest

from harness.load import LoadClient, assert_each_once, assert_rejects_are_kept
from harness.mounts import fill, make_read_only, small_disk
from harness.process import Millrace, query, run
from harness.readers import read_everywhere
from harness.sums import assert_sums_are_exact
from harness.waiting import wait_until

SETTINGS = {"writer.flush_age": "200ms", "writer.flush_idle": "50ms", "aggregate.interval": "50ms",
            "journal.segment_size_max": "64KiB"}


def assert_is_unavailable(answer):
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json["error"]["code"] == "unavailable"
    assert "No space left" in answer.json["error"]["message"]


@pytest.mark.parametrize("aggregation", ["false", "true"])
def test_a_disk_that_fills_up_under_load_again_and_again(tmp_path, aggregation):
    with small_disk(tmp_path / "disk", "256m") as disk:
        settings = {**SETTINGS, "aggregate.enabled": aggregation}
        server = Millrace(tmp_path / "server", settings, data_dir=disk / "data")
        try:
            server.start()
            with LoadClient(lambda: server.url, pad_bytes=2000) as client:
                for _ in range(3):
                    sent = len(client.acknowledged)
                    wait_until("there is load", lambda: len(client.acknowledged) > sent + 500,
                               server.log_tail)
                    fill(disk / "ballast")
                    answer = wait_until("it is not ready any more", lambda: unready(server),
                                        server.log_tail)
                    assert_is_unavailable(answer)
                    assert server.get("/healthz").status == 200
                    (disk / "ballast").unlink()
                    wait_until("it is ready again by itself", lambda: ready(server),
                               server.log_tail)
            assert client.refused, "no batch met the full disk"
            if aggregation == "true":
                assert_nothing_is_lost(server, client)
            else:
                assert_no_record_is_lost(server, client)
        finally:
            server.kill()


def test_a_kill_while_the_disk_is_full(tmp_path):
    with small_disk(tmp_path / "disk", "128m") as disk:
        server = Millrace(tmp_path / "server", SETTINGS, data_dir=disk / "data")
        try:
            server.start()
            with LoadClient(lambda: server.url, pad_bytes=2000) as client:
                wait_until("there is load", lambda: len(client.acknowledged) > 500)
                fill(disk / "ballast")
                wait_until("it is not ready any more", lambda: unready(server), server.log_tail)
                server.kill()
            (disk / "ballast").unlink()
            server.start()
            assert_nothing_is_lost(server, client)
        finally:
            server.kill()


def test_a_stop_while_the_disk_is_full_keeps_what_was_acknowledged(tmp_path):
    with small_disk(tmp_path / "disk", "128m") as disk:
        server = Millrace(tmp_path / "server", {**SETTINGS, "shutdown.grace": "1s"},
                          data_dir=disk / "data")
        try:
            server.start()
            with LoadClient(lambda: server.url, pad_bytes=2000) as client:
                wait_until("there is load", lambda: len(client.acknowledged) > 500)
                fill(disk / "ballast")
                wait_until("it is not ready any more", lambda: unready(server), server.log_tail)
                server.signal(15)
                server.wait_until_gone()
            (disk / "ballast").unlink()
            server.start()
            assert_nothing_is_lost(server, client)
        finally:
            server.kill()


def ready(server):
    assert server.is_running(), f"it ended:\n{server.log_tail()}"
    return server.is_ready()


def unready(server):
    assert server.is_running(), f"it ended:\n{server.log_tail()}"
    answer = server.get("/readyz")
    return answer if answer.status == 503 else None


def assert_no_record_is_lost(server, client):
    wait_until("all is in the table", lambda: server.metric("millrace_writer_lag_entries") == 0,
               server.log_tail)
    server.stop()
    rows = read_everywhere(server.access_logs)
    assert_each_once(rows, client)
    assert_rejects_are_kept(read_everywhere(server.dead_letters), client)
    return rows


def assert_nothing_is_lost(server, client):
    assert_sums_are_exact(server, assert_no_record_is_lost(server, client))


@pytest.mark.parametrize("command", [
    ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"], ["aggregate", "--once"]],
    ids=["serve", "aggregate"])
def test_a_data_folder_that_cannot_be_written_is_named(tmp_path, command):
    with small_disk(tmp_path / "disk", "64m") as disk:
        server = Millrace(tmp_path / "server", SETTINGS, data_dir=disk / "data")
        try:
            server.start()
            server.post({"timestamp": "2026-01-02T03:04:05Z", "path": "/a"})
            server.stop()
            make_read_only(disk)
            done = run(*command, "--data", server.data_dir, check=False)
            assert done.returncode == 1
            assert done.stderr.startswith("millrace: ") and "\nmillrace: " not in done.stderr
            assert str(disk) in done.stderr and "Read-only file system" in done.stderr
            assert query(server.data_dir, "SELECT path FROM access_logs") == [{"path": "/a"}]
        finally:
            server.kill()


def test_a_data_folder_below_a_file_is_named(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    done = run("serve", "--data", file / "data", "--listen", "127.0.0.1:0", "--admin",
               "127.0.0.1:0", check=False)
    assert done.returncode == 1 and str(file) in done.stderr and "Not a directory" in done.stderr
