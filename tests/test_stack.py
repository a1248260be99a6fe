"""The image and the local stack, in a real Docker engine: `make test-stack`."""
import json

import pytest

from harness.http import exchange
from harness.lake import S3Lake
from harness.load import LoadClient, assert_each_once
from harness.readers import read_everywhere
from harness.s3 import S3Server
from harness.stack import Containers
from harness.waiting import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.local]

IMAGE = "millrace:dev"
SIZE_MAX = 250_000_000
KEYS = {"MINIO_ROOT_USER": "stack-user", "MINIO_ROOT_PASSWORD": "stack-secret"}


@pytest.fixture(scope="module")
def image(engine):
    """What `make image` has built, by `docker inspect`."""
    print(Containers(engine, "millrace-image").make("image"))
    image = json.loads(engine.docker("image", "inspect", IMAGE))[0]
    print(f"{IMAGE}: {image['Size'] / 1e6:.0f} MB")
    return image


def test_the_image_is_small_and_says_what_it_is(image):
    assert image["Size"] < SIZE_MAX
    config = image["Config"]
    assert config["User"] == "10001:10001"
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"][:2] == ["CMD", "/usr/local/bin/millrace"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.version"] and labels["org.opencontainers.image.revision"]
    assert len(labels["org.opencontainers.image.revision"]) == 40


def test_the_image_runs_read_only_as_any_user_without_a_network(image, engine):
    def run(*arguments):
        return engine.docker("run", "--rm", "--read-only", "--cap-drop", "ALL", "--network", "none",
                             "--security-opt", "no-new-privileges", "--user", "12345:12345", *arguments)

    version = image["Config"]["Labels"]["org.opencontainers.image.version"]
    revision = image["Config"]["Labels"]["org.opencontainers.image.revision"]
    assert run(IMAGE, "version") == f"millrace {version}+{revision[:7]}\n"
    assert "is fine" in run(IMAGE, "config", "check", "/etc/millrace/config.yaml")
    # Nothing but the program is needed: no shell, no tool.
    assert run("--tmpfs", "/data", IMAGE, "generate", "--records", "1").count("\n") == 1
    # Certificates and time zones are there.
    files = run("--entrypoint", "/bin/ls", IMAGE, "/etc/ssl/certs/ca-certificates.crt",
                "/usr/share/zoneinfo/Europe/Berlin")
    assert len(files.split()) == 2
    assert "not found" not in run("--entrypoint", "/usr/bin/ldd", IMAGE, "/usr/local/bin/millrace")


@pytest.mark.parametrize("store", ["disk", "minio"])
def test_up_smoke_kills_down(store, image, engine, tmp_path):
    stack = Containers(engine, f"millrace-test-{store}")
    stack.environment.update(KEYS, MILLRACE_IMAGE=IMAGE)
    try:
        up = "stack-up-minio" if store == "minio" else "stack-up"
        assert f"ready: API {stack.url}" in stack.make(up)
        print(stack.make("smoke"))
        # Again: nothing is started anew.
        before = stack.container("write")
        stack.make(up)
        assert stack.container("write") == before
        with LoadClient(lambda: stack.url, pause_seconds=0.01, resend_seed=1) as client:
            for service in ("ingest", "write", "aggregate", "query"):
                stack.kill(service)
        print(f"{len(set(client.acknowledged))} records were acknowledged, {client.resent} batches sent again")
        assert client.acknowledged
        each_job_is_up(stack)
        rows = rows_of(stack, store, tmp_path, client)
        assert_each_once([row for row in rows if row["path"].startswith("/batch/")], client)
        the_rollups_agree(stack, len(rows))
        print(stack.make("loadtest", RECORDS="100000"))
        assert stack.make("stack-ps").count("(healthy)") == (7 if store == "minio" else 6)
        # Down and up: the data is still there.
        stack.make("stack-down")
        stack.make(up)
        assert int(query(stack, "SELECT count(*) FROM access_logs")) == len(rows) + 100_000
    except BaseException:
        print(stack.logs())
        raise
    finally:
        stack.make("stack-down", CLEAN="1")
    assert stack.what_is_left() == []


def query(stack, sql):
    return engine_query(stack, "query", "--config", "/etc/millrace/config.yaml", "--format", "csv",
                        sql).splitlines()[-1]


def engine_query(stack, *arguments):
    return stack.engine.docker("exec", stack.container("write"), "/usr/local/bin/millrace",
                               *arguments)


def each_job_is_up(stack):
    wait_until("Prometheus has scraped all", lambda: {
        labels["job"] for labels, value in stack.prometheus("up") if value == 1} >= {
            "ingest", "write", "aggregate", "query", "prometheus"}, stack.logs)


def rows_of(stack, store, tmp_path, client):
    """The table by readers that are not ours, once all that was acknowledged is in it."""
    wanted = len(set(client.acknowledged))
    wait_until("all that was acknowledged is in the table", lambda: int(query(
        stack, "SELECT count(*) FROM access_logs WHERE path LIKE '/batch/%'")) >= wanted, stack.logs)
    if store == "disk":
        stack.engine.docker("cp", f"{stack.container('write')}:/var/lib/millrace/lake", str(tmp_path))
    else:
        server = S3Server("minio", tmp_path, url=f"http://127.0.0.1:{stack.ports['MINIO_PORT']}")
        server.key, server.secret = KEYS["MINIO_ROOT_USER"], KEYS["MINIO_ROOT_PASSWORD"]
        StackLake(server).bring_here(tmp_path)
    return read_everywhere(tmp_path / "lake/access_logs")


class StackLake(S3Lake):
    def _prefix(self, _data_dir):
        return "millrace"


def the_rollups_agree(stack, count):
    wait_until("the rollups have all records", lambda: int(query(
        stack, "SELECT coalesce(sum(requests), 0)::BIGINT FROM rollup_by_status")) == count, stack.logs)


def test_everything_in_one_container(image, engine):
    stack = Containers(engine, "millrace-test-serve")
    name = "millrace-test-serve"
    try:
        engine.docker("run", "--detach", "--name", name, "--read-only", "--tmpfs",
                      "/var/lib/millrace:mode=1777", "--user", "12345:12345",
                      "--publish",
                      f"127.0.0.1:{stack.ports['SERVE_PORT']}:8080", IMAGE)
        wait_until("it is healthy", lambda: json.loads(engine.docker("inspect", name))[0]["State"][
            "Health"]["Status"] == "healthy")
        url = f"http://127.0.0.1:{stack.ports['SERVE_PORT']}"
        record = json.dumps([{"ts": "2026-01-02T03:04:05Z", "path": "/from-outside"}])
        answer = exchange(url, "POST", "/logs", record, {"Content-Type": "application/json"})
        assert answer.status == 202
        wait_until("it is in the table", lambda: "/from-outside" in engine.docker(
            "exec", name, "/usr/local/bin/millrace", "query", "--data", "/var/lib/millrace",
            "SELECT path FROM access_logs", check=False))
        engine.docker("stop", "--time", "60", name)
        assert json.loads(engine.docker("inspect", name))[0]["State"]["ExitCode"] == 0
    finally:
        engine.docker("rm", "--force", "--volumes", name, check=False)


def test_a_port_that_is_taken_is_named(image, engine):
    first, second = Containers(engine, "millrace-test-a"), Containers(engine, "millrace-test-b")
    name = "millrace-test-port"
    second.environment["MILLRACE_IMAGE"] = IMAGE
    second.environment["MILLRACE_PORT"] = str(first.ports["MILLRACE_PORT"])
    try:
        engine.docker("run", "--detach", "--name", name, "--publish",
                      f"127.0.0.1:{first.ports['MILLRACE_PORT']}:8080", IMAGE)
        said = second.make("stack-up", check=False)
        assert f"127.0.0.1:{first.ports['MILLRACE_PORT']} is taken by another process" in said
    finally:
        engine.docker("rm", "--force", "--volumes", name, check=False)
