"""Processor time of processes, and load by wrk."""
import os
import re
import subprocess
import time
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")
SERVER_CORE, LOAD_CORE = "0", "1"
CONNECTIONS = 32
FOLDER = Path(__file__).resolve().parent


def _seconds_in(stat):
    fields = stat.read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * TICK


def cpu_seconds(pid, threads=()):
    """User and system time of a process, or of those of its threads whose names begin so."""
    if not threads:
        return _seconds_in(Path(f"/proc/{pid}/stat"))
    return sum(_seconds_in(task / "stat") for task in Path(f"/proc/{pid}/task").iterdir()
               if (task / "comm").read_text().startswith(threads))


def wait_until_quiet(pid, quiet_seconds=0.5, hang_seconds=120):
    """Until the process uses next to no processor time. Returns how long that has been so."""
    end = time.monotonic() + hang_seconds
    before = cpu_seconds(pid)
    while time.monotonic() < end:
        time.sleep(quiet_seconds)
        now = cpu_seconds(pid)
        if now - before <= 2 * TICK:
            return quiet_seconds
        before = now
    raise TimeoutError(f"process {pid} does not come to rest")


def memory_mib(pid, line="VmRSS"):
    return int(re.search(rf"{line}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def peak_memory_mib(pid):
    return memory_mib(pid, "VmHWM")


def pin(pid, core=SERVER_CORE):
    """All threads of a process, and those to come."""
    subprocess.run(["taskset", "--all-tasks", "--cpu-list", "--pid", core, str(pid)],
                   check=True, stdout=subprocess.DEVNULL)


def write_bodies(path, bodies):
    with open(path, "wb") as file:
        for body in bodies:
            body = body.encode()
            file.write(b"%d\n" % len(body) + body)


def start_wrk(url, bodies_file, seconds, connections=CONNECTIONS, pause_seconds=None):
    """Loads a server from now on. `pause_seconds`: of each connection before each request, on average."""
    pause = [] if pause_seconds is None else [str(1e3 * pause_seconds)]
    return subprocess.Popen(
        ["taskset", "--cpu-list", LOAD_CORE, "wrk", "--threads", "1", "--connections", str(connections),
         "--duration", f"{seconds}s", "--latency", "--timeout", "60s", "--script", FOLDER / "post.lua", url,
         "--", bodies_file, *pause],
        stdout=subprocess.PIPE, text=True)


def wrk_result(started):
    """Waits for the end. Returns requests answered, answers that are no success, and the 99th percentile of
    the time that one took, in seconds."""
    output, _ = started.communicate()
    assert started.returncode == 0, output
    requests = int(re.search(r"(\d+) requests in", output)[1])
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    sockets = re.search(r"Socket errors: (.*)", output)
    if sockets:
        raise RuntimeError(f"wrk: {sockets[0]}")
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s|m)", output).groups()
    scale = {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}[unit]
    return requests, int(bad[1]) if bad else 0, float(value) * scale


def wrk(*arguments, **keywords):
    """start_wrk() and wrk_result()."""
    return wrk_result(start_wrk(*arguments, **keywords))
