"""Fixtures and options of the end-to-end tests. They run the release binary as real processes."""
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness import process  # noqa: E402  (needs the path above)
from harness.lake import S3Lake  # noqa: E402
from harness.process import Millrace  # noqa: E402
from harness.s3 import KINDS, S3Server  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--kills", type=int, default=50, help="kill -9s of the crash test")
    parser.addoption("--seed", type=int, default=1, help="of random choices")
    parser.addoption("--store", choices=["local", *KINDS], default="local",
                     help="where the tables of all tests are")
    parser.addoption("--minutes", type=float, default=0, help="how long the chaos test goes on")


def pytest_configure(config):
    # A thread of the load client that fails must fail its test.
    config.addinivalue_line("filterwarnings",
                            "error::pytest.PytestUnhandledThreadExceptionWarning")
    config.addinivalue_line("markers", "local: it is about files of a local lake")
    kind = config.getoption("--store")
    if kind != "local":
        process.LAKE = S3Lake(S3Server(kind, tempfile.mkdtemp(prefix=f"millrace-{kind}-")).start())


def pytest_unconfigure(config):
    process.LAKE.stop()


def pytest_collection_modifyitems(config, items):
    if config.getoption("--store") == "local":
        return
    local = [item for item in items if item.get_closest_marker("local")]
    config.hook.pytest_deselected(items=local)
    items[:] = [item for item in items if item not in local]


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
