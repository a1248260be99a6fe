"""Alert rules, dashboard and runbook: they work, and are about metrics that are really there."""
import json
import re
import subprocess
from itertools import combinations

import pytest
import yaml

from harness.lake import S3Lake
from harness.process import ROOT, Millrace
from harness.s3 import S3Server
from harness.waiting import wait_until

pytestmark = pytest.mark.local

FOLDER = ROOT / "deploy/observability"
RULES = [rule for name in ("alerts.yaml", "alerts_kubernetes.yaml")
         for group in yaml.safe_load((FOLDER / name).read_text())["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]

# Prometheus makes the first itself; the others are kube-state-metrics'.
ITS_OWN = {"up", "kube_cronjob_created", "kube_cronjob_status_last_successful_time"}


def promtool(*arguments):
    folder = subprocess.run([ROOT / "tools/install_prometheus.sh"], check=True, timeout=600, text=True,
                            stdout=subprocess.PIPE).stdout.strip()
    done = subprocess.run([f"{folder}/promtool", *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def metrics_of(expression):
    """The names of metrics in PromQL: what is left of it without strings, labels, ranges and functions."""
    text = re.sub(r'"[^"]*"', "", expression)
    text = re.sub(r"\{[^}]*\}|\[[^]]*\]", "", text)
    text = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", text)
    text = re.sub(r"\b[a-z_0-9]+\s*\(", "(", text)
    text = re.sub(r"\b(sum|max|min|avg|count|and|or|unless|bool|offset)\b", "", text)
    return set(re.findall(r"\b[a-zA-Z_:][\w:]*", text))


def test_the_names_are_found():
    assert metrics_of('histogram_quantile(0.9, sum by (le, job) (rate(a_bucket{x=~"b(c)"}[5m]))) > 1') \
        == {"a_bucket"}
    assert metrics_of("max by (job) (a) > 600 or max by (job) (b) > 1 and c / (d - e) > f") == set("abcdef")


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    """One of everything with its tables on S3, and two that have Kafka for the journal."""
    folder = tmp_path_factory.mktemp("exported")
    server = S3Server("minio", folder / "minio").start()
    of_s3 = S3Lake(server).settings(folder / "serve/data")
    serve = Millrace(folder / "serve", {"writer.flush_idle": "100ms", **of_s3})
    # Nobody listens there. Their metrics are there from the start, so that a broker is not wanted.
    of_kafka = {"journal.kind": "kafka", "journal.kafka.brokers": ["127.0.0.1:9"]}
    ingest, write = [Millrace(folder / role, of_kafka, role=role) for role in ("ingest", "write")]
    try:
        serve.start()
        for process in (ingest, write):
            process.spawn()
            wait_until("the metrics can be asked for", lambda it=process: it.admin_url, process.log_tail)
        assert serve.post([{"ts": 1767323045, "path": "/a"}, {"path": "/no-time"}]).status == 202
        wait_until("the table has it", lambda: serve.metric("millrace_writer_records_total"), serve.log_tail)
        wait_until("the gauges say so", lambda: serve.get("/api/v1/freshness").status == 200 and all(
            serve.metric(f"millrace_query_{name}") is not None
            for name in ("table_newest_record_timestamp_seconds", "rollup_lag_versions")), serve.log_tail)
        # Requests are sent again only where there is no answer.
        server.stop()
        serve.post([{"ts": 1767323045, "path": "/b"}])
        wait_until("S3 is missed", lambda: serve.metric("millrace_store_retries_total"), serve.log_tail)
        yield serve, ingest, write
    finally:
        for process in (serve, ingest, write):
            process.kill()
        server.remove()


@pytest.fixture(scope="module")
def exported(processes):
    """The name and type of all metrics that these processes export just now."""
    return {name: kind for process in processes for name, kind in
            re.findall(r"^# TYPE (\w+) (\w+)$", process.metrics_text(), re.MULTILINE)}


def test_the_documentation_names_what_is_exported_with_kafka_and_s3_too(exported):
    documented = re.findall(r"`((?:millrace|process)_\w+)`", (ROOT / "docs/metrics.md").read_text())
    assert set(exported) == set(documented)


def base(metric, exported):
    """The metric that a series belongs to; None if there is none. A histogram's name alone is no series."""
    for end in ("_bucket", "_sum", "_count"):
        if exported.get(metric.removesuffix(end)) == "histogram" and metric.endswith(end):
            return metric.removesuffix(end)
    return metric if exported.get(metric, "histogram") != "histogram" else None


@pytest.mark.parametrize("expression", sorted({rule["expr"] for rule in RULES} | set(QUERIES)))
def test_each_query_is_about_metrics_that_there_are(expression, exported):
    assert metrics_of(expression), expression
    assert [it for it in metrics_of(expression) - ITS_OWN if base(it, exported) is None] == []


@pytest.mark.parametrize("wrong", [
    "millrace_writer_freshnes_seconds", "millrace_ingest_requests", "millrace_writer_failing_bucket",
    "millrace_journal_commit_duration_seconds", "millrace_journal_commit_duration_seconds_total"])
def test_a_query_about_a_metric_that_there_is_not_is_found(wrong, exported):
    assert metrics_of(f'max by (job) (rate({wrong}{{job="write"}}[5m])) > 1') == {wrong}
    assert base(wrong, exported) is None


def test_each_metric_is_on_the_dashboard(exported):
    shown = {base(metric, exported) for query in QUERIES for metric in metrics_of(query)}
    # One that only tells how far a setting reaches, and those that rates of others tell better.
    untold = {"millrace_writer_dedupe_window_seconds", "millrace_writer_entries_total",
              "millrace_journal_corrupt_reads_total", "millrace_journal_entries_appended_total",
              "millrace_aggregate_files_folded_total", "millrace_writer_table_version",
              "process_start_time_seconds"}
    assert set(exported) - shown == untold


def test_the_configuration_and_the_rules_are_valid():
    promtool("check", "config", FOLDER / "prometheus.yaml")
    promtool("check", "rules", FOLDER / "alerts.yaml", FOLDER / "alerts_kubernetes.yaml")


def test_each_alert_fires_when_it_should_and_not_before():
    promtool("test", "rules", FOLDER / "alerts_test.yaml")
    tests = yaml.safe_load((FOLDER / "alerts_test.yaml").read_text())["tests"]
    for fires in (True, False):
        tried = [case["alertname"] for test in tests for case in test["alert_rule_test"]
                 if bool(case["exp_alerts"]) is fires]
        assert sorted(tried) == sorted(rule["alert"] for rule in RULES)


def test_the_queries_of_the_dashboard_are_valid(tmp_path):
    rules = [{"record": f"panel:{number}", "expr": re.sub(r"\$__rate_interval", "5m", query)}
             for number, query in enumerate(QUERIES)]
    path = tmp_path / "rules.yaml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", path)


def test_each_alert_has_a_section_of_the_runbook():
    sections = re.findall(r"^## (\w+)$", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE)
    assert sections == [rule["alert"] for rule in RULES]
    for rule in RULES:
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("critical", "warning")


def test_each_panel_says_what_it_shows():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in PANELS:
        assert panel["description"].endswith(".") and panel["fieldConfig"]["defaults"]["unit"], panel
        assert panel["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            assert 'job=~"$job",instance=~"$instance"' in target["expr"]


def test_panels_do_not_lie_on_each_other():
    def cells(panel):
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        return {(x, y) for x in range(at["x"], at["x"] + at["w"])
                for y in range(at["y"], at["y"] + at["h"])}

    for one, other in combinations(DASHBOARD["panels"], 2):
        assert not cells(one) & cells(other), (one["title"], other["title"])
