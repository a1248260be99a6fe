"""The local stack where there is no Docker: the same commands, with processes of this machine."""
import socket

import pytest

from harness.http import exchange
from harness.stack import Stack
from harness.waiting import wait_until

pytestmark = pytest.mark.local  # They say where their tables are.


@pytest.fixture
def stack(tmp_path):
    stack = Stack({"STACK": "local", "STACK_DATA": str(tmp_path / "stack"),
                   "INFRA_DATA": str(tmp_path / "kafka")})
    yield stack
    stack.make("stack-down", CLEAN="1")


@pytest.mark.parametrize("target", ["stack-up", "stack-up-minio"])
def test_up_smoke_down(target, stack, tmp_path):
    assert f"ready: API {stack.url}" in stack.make(target)
    assert "requests" in stack.make("smoke")
    # Again: what runs goes on.
    assert "started" not in stack.make(target)
    processes = stack.make("stack-ps")
    for name in ("ingest", "write", "aggregate", "query"):
        assert f"{name} runs" in processes
    assert "writer: committed a flush" in stack.make("stack-logs")
    page = f"http://127.0.0.1:{stack.ports['QUERY_PORT']}"
    assert "<title>Millrace</title>" in exchange(page, "GET", "/").text
    wait_until("the rollups have it", lambda: sum(row["requests"] for row in exchange(
        page, "GET", "/api/v1/top?by=status&from=2020-01-01&to=2100-01-01").json["rows"]) == 1000)
    stack.make("stack-down")
    assert "ingest does not run" in stack.make("stack-ps")
    # The data is still there.
    stack.make(target)
    stack.make("loadtest", RECORDS="2000")
    stack.make("stack-down", CLEAN="1")
    assert not (tmp_path / "stack").exists() and not (tmp_path / "kafka").exists()
    for name, port in stack.ports.items():
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0, name


def test_what_is_in_the_way_is_said(stack):
    with socket.socket() as other:
        other.bind(("127.0.0.1", stack.ports["MILLRACE_PORT"]))
        other.listen()
        said = stack.make("stack-up", check=False)
    assert f"127.0.0.1:{stack.ports['MILLRACE_PORT']} is taken by another process; set MILLRACE_PORT" in said


def test_nothing_runs_is_no_error(stack):
    said = stack.make("stack-ps")
    assert said.count("does not run") == 5 and "No such file" not in said


def test_smoke_fails_where_nothing_runs(stack):
    assert "ingest and write do not run: `make stack-up` starts them" in stack.make("smoke", check=False)


def test_a_machine_without_docker_is_told_so(stack):
    said = stack.make("stack-ps", STACK="", DOCKER="no-such-docker")
    assert "no Docker engine answers `no-such-docker info`: with processes of this machine instead" in said
