"""Requests made from docs/api.yaml, good and bad ones: the server answers as the document says."""
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import checks

from harness.process import ROOT, Millrace

CHECKS = [checks.not_a_server_error, checks.status_code_conformance,
          checks.content_type_conformance, checks.response_headers_conformance,
          checks.response_schema_conformance]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Millrace(tmp_path_factory.mktemp("api"), {"writer.flush_idle": "50ms"}).start()
    server.post([{"timestamp": "2026-01-02T03:04:05Z", "path": "/a", "status": 500, "user_agent": "Googlebot/2.1"},
                 {"path": "/rejected"}])
    yield server
    try:
        server.stop()
    finally:
        server.kill()


# The body of NDJSON is a text, as far as the document can say.
schemathesis.serializer.alias("application/x-ndjson", "text/plain")
# The document itself is compared below.
schema = schemathesis.openapi.from_path(ROOT / "docs/api.yaml").exclude(path="/openapi.yaml")


@schema.parametrize()
@settings(max_examples=100, derandomize=True, deadline=None, database=None,
          suppress_health_check=list(HealthCheck))
def test_answers_are_those_of_the_document(case, server):
    case.call_and_validate(base_url=server.url, checks=CHECKS)


def test_the_served_document_is_the_one_in_the_repository(server):
    assert server.get("/openapi.yaml").body == (ROOT / "docs/api.yaml").read_bytes()
