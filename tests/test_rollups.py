"""Rollups that users define."""
import json

import pytest

from harness.process import query, run
from harness.readers import read_everywhere
from harness.waiting import wait_until

SLOW = {"name": "slow", "dimensions": ["path", "status"], "filter": "duration_us IS NOT NULL",
        "measures": [{"name": "hits"},
                     {"name": "failed", "where": "status >= 500"},
                     {"name": "total_us", "function": "sum", "column": "duration_us"},
                     {"name": "slowest_us", "function": "max", "column": "duration_us"},
                     {"name": "first_seen", "function": "min", "column": "timestamp"}]}

FRESH = """
SELECT date_trunc('hour', timestamp) AS hour, site, path, status, count(*) AS hits,
  count(*) FILTER (status >= 500) AS failed, coalesce(sum(duration_us), 0)::BIGINT AS total_us,
  max(duration_us) AS slowest_us, min(timestamp) AS first_seen, date
FROM access_logs WHERE duration_us IS NOT NULL GROUP BY ALL"""


def send(server, count, begin=0):
    batch = [{"ts": f"2026-01-02T{3 + i % 2:02}:{i % 60:02}:05Z", "path": f"/{i % 7}",
              "status": 500 if i % 5 == 0 else 200, "site": f"s{i % 2}",
              **({"duration_us": i * 100} if i % 3 else {})} for i in range(begin, begin + count)]
    assert server.post(batch).status == 202
    wait_until("it is in the table",
               lambda: server.metric("millrace_writer_records_total") == begin + count)
    wait_until("it is summed up", lambda: not differences(server), server.log_tail)


def differences(server):
    kept = "SELECT * FROM rollup_slow"
    return query(server.data_dir, f"({kept} EXCEPT ALL {FRESH}) UNION ALL ({FRESH} EXCEPT ALL {kept})")


def test_a_rollup_of_the_configuration_follows_the_table(start):
    server = start({"rollups": [SLOW]})
    send(server, 200)
    send(server, 100, begin=200)
    rows = read_everywhere(server.lake / "rollup_slow")
    assert {row["hits"] for row in rows} and sum(row["hits"] for row in rows) == 200
    server.stop()
    # Of a definition that means something else, nothing is mixed with what was summed up before.
    changed = {**SLOW, "filter": "duration_us > 500"}
    server.configure({"rollups": [changed], "writer.flush_idle": "100ms",
                      "aggregate.interval": "50ms"})
    server.start()
    wait_until("it says what to do",
               lambda: "millrace aggregate --rebuild rollup_slow" in server.log_tail())
    server.stop()
    run("aggregate", "--config", server.config_path, "--data", server.data_dir, "--rebuild",
        "rollup_slow")
    hits = query(server.data_dir, "SELECT sum(hits)::BIGINT AS n FROM rollup_slow")
    assert hits == query(server.data_dir,
                         "SELECT count(*) AS n FROM access_logs WHERE duration_us > 500")


@pytest.mark.parametrize("change, message", [
    ({"dimensions": ["pathh"]}, 'rollup_slow: "pathh" is not a column'),
    ({"filter": "status >="}, "rollup_slow: Parser Error"),
    ({"name": "by_path"}, "there is one of that name already"),
    ({"name": "a-b", "measures": []}, "wants at least one measure"),
], ids=["column", "filter", "name", "measures"])
def test_what_is_wrong_with_a_rollup_is_said_with_its_place(tmp_path, change, message):
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps({"rollups": [{**SLOW, **change}]}, indent=2))
    done = run("config", "check", path, check=False)
    assert done.returncode == 2
    assert "config.yaml:4:7: rollups[0].name" in done.stderr and message in done.stderr


def test_the_configuration_is_printed_as_it_was_given(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps({"rollups": [SLOW]}))
    printed = tmp_path / "printed.yaml"
    printed.write_text(run("config", "print", "--config", path).stdout)
    run("config", "check", printed)
    assert run("config", "print", "--config", printed).stdout == printed.read_text()
    assert "slowest_us" in printed.read_text()
