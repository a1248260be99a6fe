"""Tables on S3: two real servers, and what can go wrong between us and one."""
import json
import os
import random
import re
import signal
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import deltalake
import polars
import pytest

from harness.fault_proxy import FaultProxy
from harness.lake import S3Lake
from harness.load import LoadClient, assert_each_once, assert_rejects_are_kept
from harness.process import BINARY, HANG_SECONDS, ROOT, Millrace, run
from harness.readers import read_everywhere
from harness.role_service import RoleService
from harness.s3 import KEY, KINDS, SECRET, S3Server
from harness.waiting import wait_until

pytestmark = pytest.mark.local  # It has servers of its own.

AT = "2026-01-02T03:04:05Z"
RELEASE_TESTS = ROOT / "build/release/tests"


@pytest.fixture(scope="module", params=KINDS)
def server(request, tmp_path_factory):
    server = S3Server(request.param, tmp_path_factory.mktemp(request.param)).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def minio(tmp_path_factory):
    server = S3Server("minio", tmp_path_factory.mktemp("minio")).start()
    yield server
    server.stop()


@pytest.fixture
def start(tmp_path):
    """Starts `serve` over a lake of its own on `server`; settings by dotted key."""
    processes = []

    def starter(server, settings=None, url=None):
        folder = tmp_path / f"serve{len(processes)}"
        lake = S3Lake(server)
        process = Millrace(folder, {
            "writer.flush_idle": "100ms", "writer.flush_age": "200ms",
            "aggregate.interval": "100ms", **lake.settings(folder / "data"),
            **({"s3.endpoint": url} if url else {}), **(settings or {})})
        process.s3_lake = lake
        processes.append(process)
        return process

    yield starter
    for process in processes:
        process.kill()


def mirrored_lake(process):
    """A copy of the process's lake as it is now."""
    process.s3_lake.bring_here(process.data_dir)
    return process.data_dir / "lake"


def wait_for_records(process, count):
    wait_until(f"{count} records are in the table",
               lambda: process.metric("millrace_writer_records_total") == count, process.log_tail)


def query(process, sql, *arguments):
    done = run("query", "--config", process.config_path, "--data", process.data_dir, "--format",
               "ndjson", *arguments, sql)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("check", ["s3_store_check", "delta_s3_check"])
def test_the_store_keeps_its_contract(server, check):
    done = subprocess.run(
        [RELEASE_TESTS / check, "--gtest_brief=1"], capture_output=True, text=True, timeout=600,
        env={**os.environ, "MILLRACE_S3_ENDPOINT": server.url, "MILLRACE_S3_BUCKET": server.bucket,
             "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET})
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    ran = int(re.search(r"(\d+) tests? from", done.stdout)[1])
    assert ran > 0


def test_other_engines_read_the_tables_from_the_bucket(server, start):
    process = start(server).start()
    assert process.post([{"ts": AT, "path": f"/{i}", "site": f"s{i % 3}"}
                         for i in range(100)]).status == 202
    wait_for_records(process, 100)
    prefix = process.s3_lake.settings(process.data_dir)["lake"]
    options = server.storage_options()
    table = deltalake.DeltaTable(f"{prefix}/access_logs", storage_options=options)
    expected = sorted(f"/{i}" for i in range(100))
    assert sorted(table.to_pyarrow_table().column("path").to_pylist()) == expected
    frame = polars.scan_delta(f"{prefix}/access_logs", storage_options=options).collect()
    assert sorted(frame["path"]) == expected
    assert query(process, "SELECT count(*) AS n FROM access_logs") == [{"n": 100}]
    process.stop()
    keys = [key for key, _ in server.list()]
    assert not [key for key in keys if "_millrace_proof" in key], "the proof leaves nothing"


def test_queries_fetch_only_what_they_need_and_fetch_it_once(minio, start):
    process = start(minio).start()
    for files, (day, site) in enumerate(
            [("2026-01-02", "a"), ("2026-01-03", "a"), ("2026-01-03", "b")], 1):
        assert process.post([{"ts": f"{day}T10:00:00Z", "path": f"/{i}", "site": site}
                             for i in range(500)]).status == 202
        wait_for_records(process, 500 * files)
    process.stop()
    cache = process.data_dir / f"cache/{os.geteuid()}/copies"
    for path in cache.iterdir():
        path.unlink()
    count = "SELECT count(*) AS n FROM access_logs"
    assert query(process, count, "--from", "2026-01-03", "--site", "b") == [{"n": 500}]
    assert len(list(cache.iterdir())) == 1
    assert query(process, count, "--to", "2026-01-03") == [{"n": 500}]
    assert len(list(cache.iterdir())) == 2
    assert query(process, count) == [{"n": 1500}]
    assert len(list(cache.iterdir())) == 3
    for path in cache.iterdir():
        path.write_bytes(path.read_bytes()[:-100])
    assert query(process, count) == [{"n": 1500}]


FAULTS = ["reset", "lost", "truncated", "SlowDown", "InternalError", "late", "page 200", "page 404",
          "RequestTimeout", "IncompleteBody", "ConditionalRequestConflict"]


def test_every_record_is_there_once_whatever_the_service_answers(server, start, pytestconfig):
    choose = random.Random(pytestconfig.getoption("--seed"))
    is_calm = threading.Event()

    def fault(request):
        if is_calm.is_set() or choose.random() > 0.15:
            return None
        # Only a conditional request can meet another one.
        return choose.choice(FAULTS if "If-None-Match" in request.headers else FAULTS[:-1])

    with FaultProxy(server.url, fault, late_seconds=1.2) as proxy:
        process = start(server, {"s3.request_timeout": "1s", "s3.retry_timeout": "3s",
                                 "writer.flush_idle": "0s"}, proxy.url)
        is_calm.set()
        process.start()
        is_calm.clear()
        with LoadClient(lambda: process.url, threads=2, pause_seconds=0.05) as client:
            wait_until("there were many faults", lambda: sum(proxy.faults.values()) > 100,
                       process.log_tail)
        is_calm.set()
        wait_until("all is in the table",
                   lambda: process.metric("millrace_writer_lag_entries") == 0, process.log_tail)
        process.stop()
        assert set(FAULTS) - {"ConditionalRequestConflict"} <= set(proxy.faults), proxy.faults
    lake = mirrored_lake(process)
    assert_each_once(read_everywhere(lake / "access_logs"), client)
    assert_rejects_are_kept(read_everywhere(lake / "dead_letters"), client)
    assert len(client.acknowledged) > 50


# Two different faults of one request: what the first has done is known to nobody, whatever the second
# says. `key` is a part of the one request's key.
SEQUENCES = [(key, fault) for key in ("access_logs/_delta_log/00000000000000000002",
                                      "dead_letters/_delta_log/00000000000000000001",
                                      "access_logs/date=")
             for fault in ("lost, then XMinioStorageFull", "lost, then page 404", "page 200",
                           "lost, then RequestTimeout", "lost, then IncompleteBody", "lost, then reset")]


@pytest.mark.parametrize("key, fault", SEQUENCES, ids=[f"{key[:14]}, {fault}" for key, fault in
                                                       SEQUENCES])
def test_no_sequence_of_answers_loses_or_doubles_a_record(minio, start, key, fault):
    met = threading.Event()

    def once(request):
        if request.method != "PUT" or key not in unquote(request.path) or met.is_set():
            return None
        met.set()
        return fault

    with FaultProxy(minio.url, once) as proxy:
        process = start(minio, {"s3.retry_timeout": "300ms", "s3.request_timeout": "1s"}, proxy.url)
        process.start()
        for number in range(4):
            assert process.post([{"ts": AT, "path": f"/{number}"}, {"ts": AT}]).status == 202
            wait_until("it was flushed, or met the fault",
                       lambda: (process.metric("millrace_writer_records_total") or 0) > number or
                       met.is_set(), process.log_tail)
        assert met.wait(60)
        proxy.end_scripts()
        wait_until("all is in the table", lambda: process.metric("millrace_writer_lag_entries") == 0,
                   process.log_tail)
        proxy.end_scripts()
        process.stop()
    lake = mirrored_lake(process)
    rows = read_everywhere(lake / "access_logs")
    assert sorted(row["path"] for row in rows) == ["/0", "/1", "/2", "/3"]
    assert len(read_everywhere(lake / "dead_letters")) == 4


def test_a_process_stops_while_the_service_says_nothing(minio, start):
    silent = threading.Event()
    with FaultProxy(minio.url, lambda request: "late" if silent.is_set() else None,
                    late_seconds=600) as proxy:
        process = start(minio, {"shutdown.grace": "1s", "writer.flush_idle": "0s",
                                "writer.flush_age": "1h"}, proxy.url).start()
        assert process.post([{"ts": AT, "path": "/"}]).status == 202
        silent.set()
        process.signal(signal.SIGTERM)
        assert process.wait_until_gone() == 1
        assert "the next start goes on" in process.log_tail() or "s3://" in process.log_tail()
    process.configure({**process.s3_lake.settings(process.data_dir), "writer.flush_idle": "100ms"})
    process.start()
    wait_for_records(process, 1)
    process.stop()


def test_a_process_stops_while_it_starts(minio, start):
    silent = threading.Event()
    silent.set()
    with FaultProxy(minio.url, lambda request: "late" if silent.is_set() else None,
                    late_seconds=600) as proxy:
        process = start(minio, {}, proxy.url)
        process.spawn()
        wait_until("it asks the service", lambda: proxy.faults["late"] > 0, process.log_tail)
        process.signal(signal.SIGTERM)
        assert process.wait_until_gone() == 0
        assert "stopped before it was done" in process.log_tail()


@pytest.mark.skipif(os.geteuid() != 0, reason="to be the first process of a container wants root")
def test_an_aggregation_that_is_the_first_process_ends_at_sigterm(minio, start, tmp_path):
    """As in a container, where a signal without a handler does nothing."""
    with FaultProxy(minio.url, lambda request: "late", late_seconds=600) as proxy:
        process = start(minio, {}, proxy.url)
        job = subprocess.Popen(["unshare", "--pid", "--fork", BINARY, "aggregate", "--once", "--config", process.config_path],
                               stderr=subprocess.PIPE, text=True)
        wait_until("it asks the service", lambda: proxy.faults["late"] > 0)
        child = Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()[0]
        os.kill(int(child), signal.SIGTERM)
        assert job.wait(HANG_SECONDS) == 128 + signal.SIGTERM
        assert "stopped before it was done" in job.stderr.read()


# What is wrong, and what is said of it before anything is taken.
WRONG = [
    ("a bucket that is not there", {"lake": "s3://nowhere/x"}, "the bucket nowhere does not exist"),
    ("another key", {"s3.access_key_id": "stranger"}, "credentials have expired or are unknown"),
    ("another secret", {"s3.secret_access_key": "guess"},
     "the secret key does not belong to the access key"),
    ("nobody there", {"s3.endpoint": "http://127.0.0.1:9", "s3.retry_timeout": "1s"},
     "127.0.0.1:9"),
    ("no URL", {"s3.endpoint": "127.0.0.1:9000"}, "is not a URL of a host alone"),
    ("a password in the URL", {"s3.endpoint": "http://stranger:guess@127.0.0.1:9000"},
     "is not a URL of a host alone"),
    ("no bucket", {"lake": "s3://"}, "is neither a folder nor a bucket"),
    ("half of the keys", {"s3.secret_access_key": ""}, "go together"),
    ("no place for summaries", {"analytics": ""}, "set analytics"),
]


@pytest.mark.parametrize("settings, message", [row[1:] for row in WRONG],
                         ids=[row[0] for row in WRONG])
def test_what_is_wrong_is_said_at_the_start(minio, start, settings, message):
    process = start(minio, settings)
    process.spawn()
    assert process.wait_until_gone() in (1, 2)
    assert message in process.log_tail()
    for secret in (SECRET, KEY, "guess"):
        assert secret not in process.log_tail()


def test_secrets_are_not_printed(minio, start):
    process = start(minio)
    printed = run("config", "print", "--config", process.config_path).stdout
    assert SECRET not in printed and KEY not in printed


def test_the_region_of_the_bucket_is_said(tmp_path, start):
    server = S3Server("minio", tmp_path / "minio", region="eu-west-1").start()
    try:
        process = start(server, {"s3.region": "us-east-1"})
        process.spawn()
        assert process.wait_until_gone() == 1
        assert "set s3.region to eu-west-1" in process.log_tail()
        start(server).start().stop()
    finally:
        server.stop()


def test_a_missing_permission_is_named(tmp_path, start):
    server = S3Server("versitygw", tmp_path / "versitygw", has_users=True).start()
    try:
        server.add_user("limited", "limited-secret")
        for denied, said in (("s3:DeleteObject", "s3:DeleteObject"),
                             ("s3:GetObject", "s3:GetObject"), ("s3:PutObject", "s3:PutObject"),
                             ("s3:ListBucket", "s3:ListBucket")):
            server.allow_all_but("limited", denied)
            process = start(server, {"s3.access_key_id": "limited",
                                     "s3.secret_access_key": "limited-secret"})
            process.spawn()
            assert process.wait_until_gone() == 1
            assert f"the credentials need {said}" in process.log_tail(), process.log_tail()
    finally:
        server.stop()


def test_a_clock_that_is_wrong_is_named(minio, start, monkeypatch):
    monkeypatch.setenv("LD_PRELOAD", "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
    monkeypatch.setenv("FAKETIME", "-2h")
    process = start(minio)
    process.spawn()
    assert process.wait_until_gone() == 1
    assert "this machine's clock and the store's differ too much" in process.log_tail()


def test_a_service_without_conditional_writes_is_refused(tmp_path, minio, start):
    class Forgetful(BaseHTTPRequestHandler):
        """As much of S3 as the proof asks for, but the last write wins."""
        protocol_version = "HTTP/1.1"
        objects = {}

        def answer(self, status, body=b""):
            self.send_response_only(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", '"1"')
            self.end_headers()
            self.wfile.write(body)

        def do_PUT(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.objects[unquote(self.path)] = body
            self.answer(200)

        def do_GET(self):
            if "list-type" not in self.path:
                self.answer(200, self.objects[unquote(self.path)])
                return
            contents = "".join(
                f"<Contents><Key>{path.split('/', 2)[2]}</Key><Size>{len(body)}</Size>"
                f"<LastModified>{AT}</LastModified></Contents>"
                for path, body in self.objects.items())
            self.answer(200, f"<ListBucketResult>{contents}</ListBucketResult>".encode())

        def do_DELETE(self):
            self.objects.pop(unquote(self.path), None)
            self.answer(204)

        def log_message(self, *_):
            pass

    service = ThreadingHTTPServer(("127.0.0.1", 0), Forgetful)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{service.server_address[1]}"
        process = start(minio, url=url)
        process.spawn()
        assert process.wait_until_gone() == 1
        assert "cannot hold tables that are written exactly once" in process.log_tail()
    finally:
        service.shutdown()
        service.server_close()


def test_credentials_that_were_replaced_are_read_anew(tmp_path, start, monkeypatch):
    server = S3Server("minio", tmp_path / "minio").start()
    credentials = tmp_path / "credentials"

    def write_credentials():
        credentials.write_text(f"[default]\naws_access_key_id = {server.key}\n"
                               f"aws_secret_access_key = {server.secret}\n")

    write_credentials()
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    try:
        process = start(server, {"s3.access_key_id": "", "s3.secret_access_key": ""}).start()
        assert process.post([{"ts": AT, "path": "/before"}]).status == 202
        wait_for_records(process, 1)
        server.stop()
        server.key, server.secret = "another-key", "another-secret"
        server.start()
        assert process.post([{"ts": AT, "path": "/meanwhile"}]).status == 202
        wait_until("it says so", lambda: "expired or are unknown" in process.log_tail(),
                   process.log_tail)
        assert process.metric("millrace_writer_records_total") == 1
        write_credentials()
        wait_for_records(process, 2)
        process.stop()
    finally:
        server.stop()


@pytest.mark.parametrize("place", ["instance", "container"])
def test_a_role_gives_the_keys(place, minio, start, monkeypatch):
    with RoleService(minio) as service:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
        if place == "instance":
            monkeypatch.delenv("AWS_EC2_METADATA_DISABLED", raising=False)
            monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.url)
        else:
            monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
            monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{service.url}/container")
        process = start(minio, {"s3.access_key_id": "", "s3.secret_access_key": ""}).start()
        # The SDK asks a container's service again when keys expire; a machine's each five minutes.
        for count in range(1, 4 if place == "container" else 2):
            assert process.post([{"ts": AT, "path": f"/{count}"}]).status == 202
            wait_for_records(process, count)
            if place == "container":
                wait_until("new keys were asked for", lambda: len(service.made) > count,
                           process.log_tail)
        process.stop()
        for keys in service.made:
            assert keys["SecretAccessKey"] not in process.log_tail()


def test_a_dead_service_stops_nothing_but_the_tables(tmp_path, start):
    server = S3Server("minio", tmp_path / "minio").start()
    try:
        process = start(server, {"s3.retry_timeout": "1s", "s3.request_timeout": "1s"}).start()
        assert process.post([{"ts": AT, "path": "/1"}]).status == 202
        wait_for_records(process, 1)
        server.stop()
        assert process.post([{"ts": AT, "path": "/2"}]).status == 202
        wait_until("it says so", lambda: f"port {server.port}" in process.log_tail(),
                   process.log_tail)
        server.start()
        wait_for_records(process, 2)
        process.stop()
    finally:
        server.stop()
