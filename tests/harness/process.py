"""The program under test as a process."""
import json
import os
import re
import signal
import subprocess
import threading
from pathlib import Path

from harness.http import exchange
from harness.lake import LocalLake, nested
from harness.waiting import HANG_SECONDS, wait_until

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("MILLRACE_BINARY", ROOT / "build/bin/millrace"))

# Where the tables of all tests are; conftest.py sets it.
LAKE = LocalLake()

ADDRESS = re.compile(r"(https?)://(127\.0\.0\.1|localhost|\[::1\]):(\d+)")


def command_line(*arguments):
    """Of one command, whose --data folder may have its tables elsewhere."""
    arguments = list(map(str, arguments))
    if "--data" in arguments and "--config" not in arguments:
        arguments += LAKE.arguments(arguments[arguments.index("--data") + 1])
    return [str(BINARY), *arguments]


def run(*arguments, stdin=None, environment=None, check=True, cwd=None):
    """Runs one command to its end. `check`: it must exit 0."""
    done = subprocess.run(
        command_line(*arguments), input=stdin, capture_output=True, cwd=cwd,
        env={**os.environ, **(environment or {})}, timeout=HANG_SECONDS,
        text=not isinstance(stdin, bytes))
    if check:
        assert done.returncode == 0, f"{done.args}: exit {done.returncode}\n{done.stderr}"
    return done


def query(data_dir, sql):
    """The rows of a query, by `millrace query`, as dictionaries."""
    done = run("query", "--data", data_dir, "--format", "ndjson", sql)
    return [json.loads(line) for line in done.stdout.splitlines()]


class Millrace:
    """`millrace serve` over one data folder; may be started, killed and started again. With another
    `role` it is one of the workloads: "ingest", "write", "aggregate" or "query".

    `settings` are configuration keys by their dotted paths. What the process writes is kept in
    `log_path` (standard error) and `output` (standard output), over all its lives.
    """

    def __init__(self, folder, settings=None, data_dir=None, role="serve", open_files_max=None):
        self.role = role
        self._limits = ["prlimit", f"--nofile={open_files_max}"] if open_files_max else []
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data_dir = Path(data_dir) if data_dir else self.folder / "data"
        self.config_path = self.folder / "config.yaml"
        self.log_path = self.folder / "stderr.log"
        self.output = []
        self.process = None
        self._reader = None
        self._url = None
        self._admin_url = None
        self.configure(settings or {})

    def configure(self, settings):
        """Writes the configuration for the next start. JSON is YAML."""
        settings = {**LAKE.settings(self.data_dir), **settings}
        self.config_path.write_text(json.dumps(nested(settings), indent=2) + "\n")

    @property
    def lake(self):
        """The tables, as they are now."""
        LAKE.bring_here(self.data_dir)
        return self.data_dir / "lake"

    @property
    def analytics(self):
        LAKE.bring_here(self.data_dir)
        return self.data_dir / "analytics"

    @property
    def access_logs(self):
        return self.lake / "access_logs"

    @property
    def dead_letters(self):
        return self.lake / "dead_letters"

    @property
    def url(self):
        """Of the API, or None while it is not known."""
        return self._url

    @property
    def admin_url(self):
        return self._admin_url

    @property
    def port(self):
        return int(self._url.rsplit(":", 1)[1])

    def spawn(self, crash_point=None):
        """Starts the process and does not wait for it."""
        assert self.process is None, "is running"
        environment = dict(os.environ)
        environment.pop("MILLRACE_CRASH_POINT", None)
        if crash_point:
            environment["MILLRACE_CRASH_POINT"] = crash_point
        self._url = self._admin_url = None
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*self._limits, str(BINARY), self.role, *self._arguments()],
                stdout=subprocess.PIPE, stderr=log, env=environment, text=True)
        self._reader = threading.Thread(target=self._read_output, args=(self.process,))
        self._reader.start()

    def _arguments(self):
        arguments = ["--config", str(self.config_path), "--admin", "127.0.0.1:0"]
        if self.role == "query":
            arguments.append("--serve")
        if self.role in ("serve", "ingest", "query"):
            arguments += ["--listen", "127.0.0.1:0"]
        if self.role != "ingest":
            arguments += ["--data", str(self.data_dir)]
        if self.role == "aggregate":
            arguments += ["--every", "50ms"]
        return arguments

    def _read_output(self, process):
        for line in process.stdout:
            self.output.append(line)
            found = ADDRESS.search(line)
            if not found or process is not self.process:
                continue
            url = f"{found[1]}://{found[2]}:{found[3]}"
            if re.search("admin|metrics", line, re.IGNORECASE):
                self._admin_url = self._admin_url or url
            else:
                self._url = self._url or url
        process.stdout.close()

    def start(self, crash_point=None):
        """Starts the process and waits until it is ready; where it pauses at a crash point, until it does."""
        self.spawn(crash_point)
        if crash_point and crash_point.endswith(":pause"):
            # Nobody answers then: to ask whether it is ready might take for ever.
            wait_until("it pauses", self.is_paused, self.log_tail)
            return self
        wait_until("ready after the start", self._is_ready_or_gone, self.log_tail)
        assert self.is_running(), f"ended during its start:\n{self.log_tail()}"
        return self

    def _is_ready_or_gone(self):
        return not self.is_running() or self.is_ready()

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def is_paused(self):
        return Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"

    def is_ready(self):
        if self._admin_url is None:
            return False
        try:
            return exchange(self._admin_url, "GET", "/readyz").status == 200
        except OSError:
            return False

    def wait_until_gone(self):
        """Waits for the process to end by itself and returns its exit code."""
        wait_until("the process ends", lambda: not self.is_running(), self.log_tail)
        return self._reap()

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """SIGKILL; nothing happens if it is gone already."""
        if self.process is not None:
            self.process.kill()
            self._reap()

    def stop(self):
        """SIGTERM, waits for the end, and asserts that it is a clean one."""
        self.signal(signal.SIGTERM)
        code = self.wait_until_gone()
        assert code == 0, f"exit {code} after SIGTERM:\n{self.log_tail()}"

    def _reap(self):
        code = self.process.wait(HANG_SECONDS)
        self._url = self._admin_url = None
        self._reader.join()
        self.process = None
        return code

    def log_tail(self, lines=40):
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def metrics_text(self):
        return exchange(self._admin_url, "GET", "/metrics").text

    def metric(self, name, **labels):
        """The sum of a metric's samples that carry `labels`; None if there is none."""
        body = self.metrics_text()
        total = None
        for line in body.splitlines():
            found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if not found or found[1] != name:
                continue
            given = dict(re.findall(r'(\w+)="([^"]*)"', found[2] or ""))
            if all(given.get(key) == value for key, value in labels.items()):
                total = (total or 0) + float(found[3])
        return total

    def post(self, body, content_type="application/json", path="/logs", **headers):
        """POSTs a batch. Bodies that are no bytes or text are sent as JSON."""
        if not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if content_type:
            headers["Content-Type"] = content_type
        return self.request("POST", path, body, **headers)

    def get(self, path, **headers):
        return self.request("GET", path, **headers)

    def request(self, method, path, body=None, **headers):
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return exchange(self._url, method, path, body, names)
