"""Fixtures and options of the end-to-end tests. They run the release binary as real processes."""
import os
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness import process  # noqa: E402  (needs the path above)
from harness.cluster import Cluster  # noqa: E402
from harness.kafka import Broker  # noqa: E402
from harness.lake import S3Lake  # noqa: E402
from harness.process import Millrace  # noqa: E402
from harness.s3 import KINDS, S3Server  # noqa: E402
from harness.stack import DockerEngine  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--kills", type=int, default=50, help="kill -9s of the crash test")
    parser.addoption("--seed", type=int, default=1, help="of random choices")
    parser.addoption("--store", choices=["local", *KINDS], default="local",
                     help="where the tables of all tests are")
    parser.addoption("--store-url", help="an S3 server that runs already, instead of one of our own; "
                     "its keys in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    parser.addoption("--stack", action="store_true", help="only what wants a Docker engine")
    parser.addoption("--cluster", action="store_true", help="only what wants Kubernetes")
    parser.addoption("--minutes", type=float, default=0, help="how long the chaos test goes on")


def pytest_configure(config):
    # A thread of the load client that fails must fail its test.
    config.addinivalue_line("filterwarnings",
                            "error::pytest.PytestUnhandledThreadExceptionWarning")
    config.addinivalue_line("markers", "local: it is about files of a local lake")
    config.addinivalue_line("markers", "stack: it wants a Docker engine")
    config.addinivalue_line("markers", "cluster: it wants Kubernetes, built from source")
    kind = config.getoption("--store")
    if kind != "local":
        server = S3Server(kind, tempfile.mkdtemp(prefix=f"millrace-{kind}-"),
                          url=config.getoption("--store-url"))
        if config.getoption("--store-url"):
            server.key = os.environ["AWS_ACCESS_KEY_ID"]
            server.secret = os.environ["AWS_SECRET_ACCESS_KEY"]
        process.LAKE = S3Lake(server.start())


def pytest_unconfigure(config):
    process.LAKE.stop()


def pytest_collection_modifyitems(config, items):
    def is_wanted(item):
        return all(bool(item.get_closest_marker(marker)) == config.getoption(f"--{marker}")
                   for marker in ("stack", "cluster"))

    other = [item for item in items if not is_wanted(item)]
    config.hook.pytest_deselected(items=other)
    items[:] = [item for item in items if item not in other]
    if config.getoption("--store") == "local":
        return
    local = [item for item in items if item.get_closest_marker("local")]
    config.hook.pytest_deselected(items=local)
    items[:] = [item for item in items if item not in local]


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    """A Kafka broker, for the tests of one file."""
    broker = Broker(tmp_path_factory.mktemp("kafka")).up()
    yield broker
    broker.down()


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """A Docker engine: the one that runs here, or one of our own."""
    engine = DockerEngine(tmp_path_factory.mktemp("engine"))
    yield engine
    engine.stop()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """Kubernetes, without a node yet."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield cluster.start()
    finally:
        cluster.stop()


@pytest.fixture
def start(tmp_path):
    """Starts a server over a fresh folder; settings by dotted key. Ends those still running."""
    servers = []

    def starter(settings=None, **arguments):
        folder = tmp_path / f"server{len(servers)}"
        server = Millrace(folder, {"writer.flush_idle": "100ms", "writer.flush_age": "200ms",
                                   "aggregate.interval": "50ms", **(settings or {})}, **arguments)
        servers.append(server)
        return server.start()

    yield starter
    for server in servers:
        server.kill()
