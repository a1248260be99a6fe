"""tools/stack.sh as a developer runs it, on ports of its own."""
import json
import os
import signal
import subprocess

from harness.ports import free_ports
from harness.http import exchange
from harness.process import ROOT
from harness.waiting import wait_until

PORTS = ["MILLRACE_PORT", "PROMETHEUS_PORT", "SERVE_PORT", "MINIO_PORT", "MINIO_CONSOLE_PORT",
         "ADMIN_PORT", "ADMIN_PORT_2", "ADMIN_PORT_3", "ADMIN_PORT_4", "QUERY_PORT", "KAFKA_PORT", "KAFKA_CONTROLLER_PORT"]


class Stack:
    """One stack; `environment` says which. `make` runs a target of the Makefile."""

    def __init__(self, environment):
        first = free_ports(len(PORTS))
        self.ports = {name: first + index for index, name in enumerate(PORTS)}
        self.environment = {**os.environ, **environment,
                            **{name: str(port) for name, port in self.ports.items()}}

    @property
    def url(self):
        return f"http://127.0.0.1:{self.ports['MILLRACE_PORT']}"

    def make(self, target, check=True, timeout=1800, **variables):
        """What it printed; it must exit 0, or where not `check` must not."""
        done = subprocess.run(["make", "--no-print-directory", target], cwd=ROOT, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                              env={**self.environment, **variables})
        assert (done.returncode == 0) is check, f"make {target}: exit {done.returncode}\n{done.stdout}"
        return done.stdout


class Containers(Stack):
    """The stack in containers of `engine`, a DockerEngine."""

    def __init__(self, engine, project):
        super().__init__({**engine.environment, "STACK": "docker", "COMPOSE_PROJECT_NAME": project})
        self.engine = engine
        self._label = f"label=com.docker.compose.project={project}"

    def container(self, service):
        """Its id, or None."""
        ids = self.engine.docker("ps", "-q", "--filter", self._label, "--filter",
                                 f"label=com.docker.compose.service={service}").split()
        return ids[0] if ids else None

    def kill(self, service):
        """SIGKILL, as the kernel does it: `docker kill` would keep the container from starting again."""
        state = self.state(service)
        os.kill(state["Pid"], signal.SIGKILL)
        wait_until(f"{service} has started again",
                   lambda: self.state(service).get("Pid") not in (0, state["Pid"]), self.logs)
        wait_until(f"{service} is healthy", lambda: self.is_healthy(service), self.logs)

    def state(self, service):
        container = self.container(service)
        return json.loads(self.engine.docker("inspect", container))[0]["State"] if container else {}

    def is_healthy(self, service):
        return self.state(service).get("Health", {}).get("Status") == "healthy"

    def logs(self):
        return self.make("stack-logs", TAIL="20")

    def what_is_left(self):
        return [line for kind in ("container", "network", "volume")
                for line in self.engine.docker(
                    kind, "ls", *(["--all"] if kind == "container" else []), "--filter", self._label,
                    "--format", "{{json .}}").splitlines()]

    def prometheus(self, query):
        """The instant vector: [(labels, value)]"""
        answer = exchange(f"http://127.0.0.1:{self.ports['PROMETHEUS_PORT']}", "GET",
                          f"/api/v1/query?query={query}").json
        return [(row["metric"], float(row["value"][1])) for row in answer["data"]["result"]]


class DockerEngine:
    """The engine that runs here, or one that tests/stack/engine.sh starts; and the images to be used."""

    def __init__(self, folder):
        self._script = [ROOT / "tests/stack/engine.sh"]
        self._folder = folder
        lines = subprocess.run([*self._script, "up", folder], check=True, timeout=1800, text=True,
                               stdout=subprocess.PIPE).stdout.splitlines()
        self.environment = dict(line.split("=", 1) for line in lines)

    def docker(self, *arguments, check=True):
        done = subprocess.run([self.environment["DOCKER"], *arguments], text=True, timeout=600,
                              capture_output=True, env={**os.environ, **self.environment})
        assert done.returncode == 0 or not check, f"docker {arguments}: {done.stdout}{done.stderr}"
        return done.stdout + ("" if check else done.stderr)

    def stop(self):
        subprocess.run([*self._script, "down", self._folder], check=True, timeout=120)
