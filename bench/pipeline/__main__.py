"""Measures the whole path with real processes: what accepting, storing and summing up records costs.

See docs/performance.md for the method and the results. `make bench` runs all of it.
"""
import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "bench/pipeline"), str(ROOT / "tests")]

import limits  # noqa: E402  (needs the path above)
import measure  # noqa: E402
import questions  # noqa: E402
import traffic  # noqa: E402
from deltalake import DeltaTable  # noqa: E402
from harness.kafka import Broker  # noqa: E402
from harness.process import BINARY, Millrace, query, run  # noqa: E402
from harness.waiting import wait_until  # noqa: E402

BATCHES = (1, 100, 1000)
BODY_BYTES = 12_000_000  # Of each file of bodies; wrk sends them again and again.
ECHO = ROOT / "build/release/bench/beast_echo"


class Report:
    """The figures as they come: by name, each with its unit, its goal and all of its runs."""

    def __init__(self):
        self.rows = []

    def add(self, name, unit, values, goal=None, note=""):
        values = [float(value) for value in values]
        self.rows.append({"name": name, "unit": unit, "median": statistics.median(values), "goal": goal,
                          "values": values, "note": note})
        print(f"{name:58} {statistics.median(values):10.3f} {unit}"
              f"{'' if goal is None else f'  (goal {goal:g})'}", file=sys.stderr, flush=True)

    def median(self, name):
        return next((row["median"] for row in self.rows if row["name"] == name), None)

    def times_echo(self, factor):
        echo = self.median("bare Beast echo, 1")
        return None if echo is None else factor * echo

    def markdown(self, about):
        lines = [f"{key}: {value}  " for key, value in about.items()]
        lines += ["", "| what | median | goal | unit | runs |", "|---|---|---|---|---|"]
        for row in self.rows:
            runs = ", ".join(f"{value:.3g}" for value in row["values"])
            goal = "" if row["goal"] is None else f"{row['goal']:g}"
            lines.append(f"| {row['name']} | {row['median']:.3g} | {goal} | {row['unit']} | {runs} |")
        return "\n".join(lines) + "\n"


class Bench:
    def __init__(self, arguments, folder):
        self.seconds = arguments.seconds
        self.repeats = arguments.repeats
        self.records = arguments.records
        self.overload_seconds = arguments.overload_seconds
        self.history = arguments.history
        self.folder = Path(folder)
        self.report = Report()
        self.bodies = {}
        for batch in BATCHES:
            self.bodies[batch] = self.folder / f"bodies-{batch}"
            measure.write_bodies(self.bodies[batch], traffic.bodies(batch, BODY_BYTES // 200 // batch))

    # Accepting.

    def echo(self):
        values = []
        for _ in range(self.repeats):
            process = subprocess.Popen([ECHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            port = int(process.stdout.readline())
            measure.pin(process.pid)
            requests, bad, _ = measure.wrk(f"http://127.0.0.1:{port}", self.bodies[1], self.seconds)
            assert bad == 0
            values.append(measure.cpu_seconds(process.pid) * 1e6 / requests)
            process.communicate("")
            assert process.returncode == 0
        self.report.add("bare Beast echo, 1", "CPU s per million requests", values)

    def _accept(self, name, role, settings, goals, threads=()):
        """Loads a server with each size of batch. `threads`: those of it that accept."""
        for batch in BATCHES:
            values, latencies, memory = [], [], []
            for number in range(self.repeats):
                server = Millrace(self.folder / f"{role}-{batch}-{number}", settings, role=role)
                server.start()
                try:
                    pid = server.process.pid
                    measure.pin(pid)
                    before = measure.cpu_seconds(pid, threads)
                    requests, bad, latency = measure.wrk(server.url, self.bodies[batch], self.seconds)
                    measure.wait_until_quiet(pid)
                    accepted = server.metric("millrace_ingest_records_accepted_total")
                    assert bad == 0 and accepted >= requests * batch, (bad, accepted, requests)
                    values.append((measure.cpu_seconds(pid, threads) - before) * 1e6 / accepted)
                    latencies.append(latency * 1e3)
                    memory.append(measure.peak_memory_mib(pid))
                    self._check_arrived(server, accepted)
                finally:
                    server.kill()
                    shutil.rmtree(server.folder)
            goal = goals[batch](self.report) if callable(goals[batch]) else goals[batch]
            self.report.add(f"{name}, {batch}", "CPU s per million records", values, goal)
            self.report.add(f"{name}, {batch}: 99 % of answers under full load within", "ms", latencies)
            self.report.add(f"{name}, {batch}: memory at its peak", "MiB", memory)

    def _check_arrived(self, server, accepted):
        if server.role != "serve":
            return
        self.wait_until_written(server, accepted)

    def wait_until_written(self, writer, records, pause_seconds=0.25):
        """Asks rarely: each question costs the writer a millisecond."""
        def is_written():
            time.sleep(pause_seconds)
            return writer.metric("millrace_writer_records_total") == records
        wait_until("all records are in the table", is_written, writer.log_tail, 600)

    def accept_to_journal(self):
        self._accept("HTTP to the embedded journal", "serve", limits.ONE_CORE,
                     {1: lambda report: report.times_echo(1.4), 100: 0.7, 1000: 0.5},
                     ("http-", "journal"))

    def accept_to_kafka(self):
        with self.broker("accept") as broker:
            self._accept("HTTP to Kafka", "ingest", {**broker.settings(), **limits.ONE_CORE},
                         {1: lambda report: report.times_echo(1.6), 100: 0.9, 1000: 0.7})

    # Storing and summing up.

    def store(self):
        with self.broker("store") as broker:
            data = self.folder / "store"
            log = self.folder / "records.ndjson"
            with open(log, "w") as file:
                file.writelines(line + "\n" for line in traffic.records(self.records))
            ingest = Millrace(self.folder / "store-ingest", broker.settings(), role="ingest").start()
            try:
                run("send", "--quiet", "--to", ingest.url, log)
            finally:
                ingest.stop()
            values, memory = self.write(broker, data, self.records)
            self.report.add("Kafka to the table", "CPU s per million records", values, 0.8)
            self.report.add("Kafka to the table: memory at its peak", "MiB", memory, 400)
            self._aggregate(data)
            self._query(data)

    def write(self, broker, data, records):
        """What a writer needs for the records of the topic, time by time: processor time and memory."""
        values, memory = [], []
        for number in range(self.repeats):
            shutil.rmtree(data, ignore_errors=True)
            writer = Millrace(self.folder / "store-write", {**broker.settings(), "writer.flush_idle": "0s"},
                              data_dir=data, role="write")
            writer.start()
            try:
                pid = writer.process.pid
                measure.pin(pid)
                self.wait_until_written(writer, records)
                values.append(measure.cpu_seconds(pid) * 1e6 / records)
                memory.append(measure.peak_memory_mib(pid))
            finally:
                writer.stop()
        count = query(data, "SELECT count(*) AS n FROM access_logs")[0]["n"]
        assert count == records, f"{count} records are in the table"
        return values, memory

    def cpu_of(self, command):
        """Processor time of a command, and what it wrote."""
        before = os.times()
        done = subprocess.run(["taskset", "--cpu-list", measure.SERVER_CORE, *map(str, command)],
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        after = os.times()
        return (after.children_user + after.children_system - before.children_user
                - before.children_system), after.elapsed - before.elapsed, done.stdout

    def _aggregate(self, data):
        values, peers = [], []
        for _ in range(self.repeats):
            for rollup in (data / "lake").glob("rollup_*"):
                shutil.rmtree(rollup)
            shutil.rmtree(data / "analytics", ignore_errors=True)
            cpu, _, _ = self.cpu_of([BINARY, "aggregate", "--once", "--data", data])
            values.append(cpu * 1e6 / self.records)
            cpu, _, _ = self.cpu_of([sys.executable, ROOT / "bench/pipeline/duckdb_sums.py",
                                      data / "lake/access_logs"])
            peers.append(cpu * 1e6 / self.records)
        self.report.add("DuckDB's GROUP BYs over the same files", "CPU s per million records", peers)
        self.report.add("rollups of new data", "CPU s per million records", values, 0.25)
        self.report.add("rollups, relative to DuckDB's GROUP BYs", "times",
                        [ours / peer for ours, peer in zip(values, peers)], 1.3)

    def _query(self, data):
        files = sum(file.stat().st_size for file in (data / "lake/access_logs").glob("date=*/*.parquet"))
        self.report.add("stored, as written", "bytes per record", [files / self.records])
        run("maintain", "--data", data)
        actions = DeltaTable(data / "lake/access_logs").get_add_actions(flatten=True)
        total = sum(actions.column("size_bytes").to_pylist())
        self.report.add("stored, after compaction", "bytes per record", [total / self.records], 8)
        top = ("SELECT * FROM (SELECT {0} AS hour, path, count(*) AS n, row_number() OVER (PARTITION BY {0} "
               "ORDER BY count(*) DESC) AS place FROM access_logs GROUP BY hour, path) WHERE place <= 20")
        rolled = ("SELECT * FROM (SELECT hour, path, sum(requests) AS n, row_number() OVER (PARTITION BY hour "
                  "ORDER BY sum(requests) DESC) AS place FROM rollup_by_path GROUP BY hour, path) "
                  "WHERE place <= 20")
        for name, sql, goal in (("nothing (start and end of `query`)", "SELECT 1", 0.15),
                                ("top 20 paths per hour, from the table", top.format("hour_of(timestamp)"), 0.25),
                                ("the same by date_trunc()", top.format("date_trunc('hour', timestamp)"), None),
                                ("top 20 paths per hour, from rollups", rolled, None)):
            times = [self.cpu_of([BINARY, "query", "--data", data, sql])[1] for _ in range(self.repeats)]
            self.report.add(f"query: {name}", "s", times, goal)

    def send(self):
        """A combined log, end to end, on all cores."""
        log = self.folder / "access.log"
        count = min(self.records, 2_000_000)
        with open(log, "w") as file:
            subprocess.run([BINARY, "generate", "--records", str(count)], stdout=file, check=True)
        values = []
        for number in range(self.repeats):
            # What comes last is written soon, instead of waiting a second for more.
            server = Millrace(self.folder / f"send-{number}", {"writer.flush_idle": "100ms"}).start()
            try:
                start = time.monotonic()
                run("send", "--quiet", "--to", server.url, log)
                self.wait_until_written(server, count, 0.02)
                values.append(count / (time.monotonic() - start))
            finally:
                server.kill()
                shutil.rmtree(server.folder)
        self.report.add("`send` of a combined log, until all is in the table", "lines/s", values, 500_000)

    def whole_path(self):
        """The sum of the stages, where all of them were measured."""
        parts = [self.report.median(name) for name in ("HTTP to Kafka, 1000", "Kafka to the table",
                                                       "rollups of new data")]
        if None not in parts:
            self.report.add("the whole path, batches of 1,000", "CPU s per million records", [sum(parts)], 2.0)

    def broker(self, name, properties=""):
        return _UpBroker(self.folder / f"kafka-{name}", properties)


class _UpBroker:
    def __init__(self, folder, properties):
        self.broker = Broker(folder)
        if properties:
            self.broker.folder.mkdir(parents=True)
            self.broker.use(properties)

    def __enter__(self):
        self.broker.up()
        measure.pin(int((self.broker.folder / "pid").read_text()), measure.LOAD_CORE)
        return self.broker

    def __exit__(self, *_):
        self.broker.down()


STAGES = {
    "echo": Bench.echo, "accept_to_journal": Bench.accept_to_journal, "accept_to_kafka": Bench.accept_to_kafka,
    "store": Bench.store, "send": Bench.send, "start": limits.start, "idle": limits.idle,
    "latency": limits.latency, "overload": limits.overload, "connections": limits.connections,
    "partitions": limits.partitions, "history": limits.history, "questions": questions.questions,
}


def about(arguments):
    model = next(line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                 if line.startswith("model name"))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    changed = subprocess.run(["git", "diff", "--quiet", "HEAD"], cwd=ROOT).returncode
    return {"machine": f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
            "date": time.strftime("%Y-%m-%d"),
            "commit": commit.stdout.strip() + (" with changes" if changed else ""),
            "settings": f"{arguments.seconds} s a run, {arguments.repeats} runs, {arguments.records} records "
                        f"stored, {measure.CONNECTIONS} connections"}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=8, help="of load for each figure")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each figure; the median counts")
    parser.add_argument("--records", type=int, default=5_000_000, help="that are stored and summed up")
    parser.add_argument("--overload-seconds", type=int, default=120, help="of each overload")
    parser.add_argument("--history", type=int, nargs="+", default=[1, 10], help="millions that are stored already")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--output", type=Path, default=ROOT / "build/bench")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    described = about(arguments)
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as folder:
        bench = Bench(arguments, folder)
        for stage in arguments.stages:
            STAGES[stage](bench)
        bench.whole_path()
    (arguments.output / "pipeline.md").write_text(bench.report.markdown(described))
    (arguments.output / "pipeline.json").write_text(
        json.dumps({"about": described, "rows": bench.report.rows}, indent=2) + "\n")
    print(bench.report.markdown(described))


if __name__ == "__main__":
    main()
