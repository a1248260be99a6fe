"""How long the analytics API takes: a month of 100 sites, as the web page asks about it."""
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

from harness.process import BINARY, Millrace, query, run
from harness.waiting import wait_until
from measure import peak_memory_mib

SITES = 100
RECORDS_PER_SITE = 72_000  # 100 an hour.
MONTH = {"from": "2026-10-01", "to": "2026-10-31"}
ONE_SITE = {"site": "site7.example"}
RUNS = 15
READERS, ROUNDS = 32, 10

QUESTIONS = {
    "timeseries, all sites": ("timeseries", {"by": "kind", "step": "day"}),
    "timeseries, one site": ("timeseries", {"by": "kind", "step": "day", **ONE_SITE}),
    "summary, all sites": ("summary", {}),
    "summary, one site": ("summary", ONE_SITE),
    "crawlers, all sites": ("crawlers", {}),
    "crawlers, one site": ("crawlers", ONE_SITE),
    "top paths, all sites": ("top", {"by": "path"}),
    "top paths, one site": ("top", {"by": "path", **ONE_SITE}),
    "top user agents, one site": ("top", {"by": "user_agent", **ONE_SITE}),
    "top referrers, one site (from the records)": ("top", {"by": "referrer", **ONE_SITE}),
    "errors that crawlers hit, one site (from the records)": ("errors", {"filter": "kind!=human", **ONE_SITE}),
    "the last records": ("recent", {}),
}


def questions(bench):
    """Every question is asked once before, and each answer's sum is what SQL says."""
    server = Millrace(bench.folder / "questions", {"maintain.interval": "1s"}).start()
    try:
        _send(server)
        total = SITES * RECORDS_PER_SITE
        wait_until("all is summed up and merged", lambda: _is_summed_up_and_merged(server, total), server.log_tail, 900)
        rows = {name: int(query(server.data_dir, f"SELECT count(*) AS n FROM rollup_by_{name}")[0]["n"])
                for name in ("bot", "path", "user_agent")}
        print(f"rows of the rollups: {rows}")
        for name, path in _paths().items():
            answer = server.get(path)
            assert answer.status == 200 and answer.json["rows"], answer.text
            if name == "summary, all sites":
                assert answer.json["rows"][0]["requests"] == total
            times = []
            for _ in range(RUNS):
                start = time.perf_counter()
                server.get(path)
                times.append(1e3 * (time.perf_counter() - start))
            bench.report.add(f"a month of {SITES} sites: {name}", "ms", times)
        first = server.get(f"/api/v1/summary?{urlencode(MONTH)}")
        times = []
        for _ in range(RUNS):
            start = time.perf_counter()
            assert server.get(f"/api/v1/summary?{urlencode(MONTH)}", If_None_Match=first.headers["etag"]).status == 304
            times.append(1e3 * (time.perf_counter() - start))
        bench.report.add("the same summary again: nothing has changed (304)", "ms", times)
        _ask_all_at_once(bench, server)
    finally:
        server.kill()
        shutil.rmtree(server.folder)


def _paths():
    return {name: f"/api/v1/{topic}?{urlencode(parameters if topic == 'recent' else {**MONTH, **parameters})}"
            for name, (topic, parameters) in QUESTIONS.items()}


def _ask_all_at_once(bench, server):
    """What a process that does nothing else takes at most."""
    readers = Millrace(bench.folder / "readers", {"query.timeout": "5m"}, data_dir=server.data_dir, role="query").start()
    try:
        bench.report.add("`query --serve`, before the first question", "MiB", [peak_memory_mib(readers.process.pid)])
        with ThreadPoolExecutor(READERS) as pool:
            answers = list(pool.map(readers.get, ROUNDS * list(_paths().values())))
        assert all(answer.status == 200 for answer in answers), [answer.status for answer in answers]
        bench.report.add(f"`query --serve`, after {len(answers)} questions of {READERS} readers at once", "MiB",
                         [peak_memory_mib(readers.process.pid)])
    finally:
        readers.kill()


def _send(server):
    for site in range(SITES):
        lines = subprocess.run(
            [str(BINARY), "generate", "--format", "ndjson", "--records", str(RECORDS_PER_SITE), "--seed", str(site + 1),
             "--begin", "2026-10-01T00:00:00Z", "--span", "30d", "--paths", "500"], stdout=subprocess.PIPE, check=True).stdout
        lines = lines.replace(b'{"', b'{"site":"site%d.example","' % site, 1).replace(
            b'\n{"', b'\n{"site":"site%d.example","' % site)
        run("send", "--quiet", "--to", server.url, "--format", "ndjson", "-", stdin=lines)


def _is_summed_up_and_merged(server, records):
    tables = {table["name"]: table for table in server.get("/api/v1/freshness").json["tables"]}
    is_summed_up = tables["access_logs"]["records"] == records and all(
        table.get("versions_behind", 0) == 0 for table in tables.values())
    return is_summed_up and all(table["files"] <= 2 * 30 for name, table in tables.items() if name.startswith("rollup"))
