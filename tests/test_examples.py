"""Each example configuration starts what it is for. Those for containers: test_stack.py."""
import pytest

from harness.examples import FOLDER, example, make_key
from harness.process import Millrace, run
from harness.s3 import KEY, SECRET, S3Server
from harness.waiting import wait_until

pytestmark = pytest.mark.local  # They say where their tables are.

AT = "2026-01-02T03:04:05Z"
ROLES = ("ingest", "write", "aggregate")


@pytest.fixture
def start(tmp_path):
    processes = []

    def starter(settings, role):
        process = Millrace(tmp_path / role, settings, data_dir=tmp_path / "data", role=role)
        processes.append(process)
        return process.start()

    yield starter
    for process in processes:
        process.kill()


def test_there_are_no_examples_that_nobody_starts():
    assert {path.stem for path in FOLDER.iterdir()} == {
        "serve.local", "serve.container", "serve.production", "kafka.local", "kafka.container",
        "kafka.production", "s3.local", "s3.container", "s3.production"}


def test_serve_on_this_machine(start):
    server = start(example("serve.local"), "serve")
    assert server.post([{"ts": AT, "path": "/"}]).status == 202
    wait_until("it is in the table", lambda: server.metric("millrace_writer_records_total") == 1)
    server.stop()


def test_serve_in_production_wants_a_key(start, monkeypatch):
    key, digest = make_key("shop")
    monkeypatch.setenv("MILLRACE_SHOP_KEY_SHA256", digest)
    server = start(example("serve.production"), "serve")
    assert server.post([{"ts": AT, "path": "/"}]).status == 401
    assert server.post([{"ts": AT, "path": "/"}], Authorization=f"Bearer {key}").status == 202
    server.stop()


def test_the_workloads_on_this_machine(broker, start):
    settings = example("kafka.local", **{"journal.kafka.brokers": [broker.address]})
    takes_a_record_through(start, settings)


@pytest.mark.parametrize("name", ["s3.local", "s3.production"])
def test_the_workloads_with_their_tables_on_s3(name, broker, tmp_path, start, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    broker.topic = example(name)["journal.kafka.topic"]
    broker.up()
    changes = {"journal.kafka.brokers": [broker.address]}
    region = "us-east-1"
    if name == "s3.production":
        monkeypatch.setenv("AWS_REGION", region := "eu-central-1")
        changes["writer.flush_age"] = "1s"
    server = S3Server("minio", tmp_path / "minio", region=region)
    server.bucket = example(name)["lake"].split("/")[2]
    server.start()
    try:
        takes_a_record_through(start, example(name, **changes, **{"s3.endpoint": server.url}))
    finally:
        server.stop()


def takes_a_record_through(start, settings):
    ingest, write, aggregate = (start(settings, role) for role in ROLES)
    # The topic may have another test's record too.
    path = f"/{write.folder.parent.name}"
    assert ingest.post([{"ts": AT, "path": path}]).status == 202
    wait_until("it is in the table", lambda: path in run(
        "query", "--config", write.config_path, "--data", write.data_dir,
        "SELECT path FROM access_logs", check=False).stdout, write.log_tail)
    wait_until("it is in the rollups",
               lambda: aggregate.metric("millrace_aggregate_files_folded_total") > 0, aggregate.log_tail)
    for process in (ingest, write, aggregate):
        process.stop()

