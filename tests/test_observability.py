"""What operators see: metrics and logs."""
import json
import re

from prometheus_client.parser import text_string_to_metric_families

import pytest

from harness.process import ROOT
from harness.waiting import wait_until

SECRETS = {"path": "/secret-path", "query": "token=secret-token", "user_agent": "secret-agent",
           "client_ip": "203.0.113.77", "note": "secret-attribute"}
KEY = "secret-api-key"
KEY_SHA256 = "0f9ab7f1a19de3b5ec0b2e2eb06ab8ed7f9ed8b4a8a4d7e1bbf5bc5e1c4c6a3b"


def families(server):
    return {family.name: family
            for family in text_string_to_metric_families(server.metrics_text())}


@pytest.mark.local
def test_each_metric_is_documented_and_each_documented_one_is_there(start):
    server = start()
    server.post([{"ts": 1767323045, "path": "/a"}, {"path": "/no-time"}])
    # Partitions are told of when the writer has them, which is after the server is ready.
    wait_until("the lag is told", lambda: "millrace_writer_partition_lag_seconds" in families(server), server.log_tail)
    wait_until("the gauges say so", lambda: server.get("/api/v1/freshness").status == 200 and all(
        server.metric(f"millrace_query_{name}") is not None
        for name in ("table_newest_record_timestamp_seconds", "rollup_lag_versions")), server.log_tail)
    exported = {name if family.type != "counter" else f"{name}_total": family.type
                for name, family in families(server).items()}
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|",
                      (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    assert exported == dict(rows)


def test_metrics_count_what_happened(start):
    server = start({"aggregate.interval": "50ms"})
    body = json.dumps([{"ts": 1767323045, "path": "/a"}, {"ts": 1767323045, "path": "/b"},
                       {"path": "/no-time"}])
    assert server.post(body).status == 202
    assert server.post("nonsense").status == 400
    assert server.post("x", "image/png").status == 415
    assert server.metric("millrace_ingest_records_accepted_total") == 2
    assert server.metric("millrace_ingest_records_rejected_total", field="timestamp") == 1
    assert server.metric("millrace_ingest_requests_total", status="202") == 1
    assert server.metric("millrace_ingest_requests_total", status="400") == 1
    assert server.metric("millrace_ingest_requests_total", status="415") == 1
    assert server.metric("millrace_ingest_received_bytes_total") >= len(body)
    assert server.metric("millrace_ingest_request_duration_seconds_count") == 2
    assert server.metric("millrace_journal_entries_appended_total") == 1
    assert server.metric("millrace_journal_size_bytes") > len(body) / 2
    wait_until("the table has the records",
               lambda: server.metric("millrace_writer_records_total") == 2, server.log_tail)
    assert server.metric("millrace_writer_dead_letters_total") == 1
    for duration in ("journal_commit", "writer_flush", "writer_commit"):
        assert server.metric(f"millrace_{duration}_duration_seconds_count") >= 1, duration
    for drained in ("writer_freshness_seconds", "writer_lag_entries", "aggregate_lag_versions"):
        wait_until(f"{drained} is 0", lambda name=drained: server.metric(f"millrace_{name}") == 0,
                   server.log_tail)


def test_what_is_not_in_the_table_yet_is_seen(start):
    server = start({"writer.flush_age": "1h", "writer.flush_idle": "0s"})
    server.post([{"ts": 1767323045, "path": "/a"}])
    wait_until("the entry was read", lambda: server.metric("millrace_writer_entries_total") == 1)
    wait_until("it grows old", lambda: server.metric("millrace_writer_freshness_seconds") > 0.2)
    wait_until("it counts as lag", lambda: server.metric("millrace_writer_lag_entries") == 1)


def test_logs_as_json_tell_events_and_no_secrets(start):
    server = start({
        "log.format": "json", "log.level": "debug", "writer.flush_age": "100ms",
        "api_keys": [{"name": "shop", "site": "s", "sha256": KEY_SHA256}]})
    record = {"ts": 1767323045, **SECRETS}
    # The key is wrong: whoever mistypes one does not find it in a log.
    assert server.post([record], X_API_Key=KEY).status == 401
    server.stop()
    server.configure({"log.format": "json", "log.level": "debug", "writer.flush_age": "100ms"})
    server.start()
    assert server.post([record, {**record, "ts": "secret-time"}]).status == 202
    assert server.post('[{"path": "/secret-path"').status == 400
    wait_until("the table has the record",
               lambda: server.metric("millrace_writer_records_total") == 1, server.log_tail)
    server.stop()
    lines = server.log_path.read_text().splitlines()
    events = [json.loads(line) for line in lines]
    for event in events:
        assert {"time", "level", "event"} <= event.keys(), event
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event["time"]), event
    assert any(event["event"] == "writer: committed a flush" and event["records"] == 1
               for event in events)
    text = "\n".join(lines)
    for secret in [KEY, KEY_SHA256, "secret-time", *SECRETS.values()]:
        assert secret not in text, secret
