"""What kustomize makes of a folder of deploy/k8s, as objects."""
import copy
import os
import subprocess
from dataclasses import dataclass
from functools import cache

import yaml

from harness.process import ROOT

K8S = ROOT / "deploy/k8s"
OVERLAYS = sorted(path.name for path in (K8S / "overlays").iterdir())
CONFIG_FILE = "/etc/millrace/config.yaml"


@cache
def tools(what=""):
    """The folder of kubectl; with "all", also of the linter and the programs of a cluster."""
    arguments = [what] if what else []
    return subprocess.run([ROOT / "tools/install_kubernetes_tools.sh", *arguments], check=True, timeout=3000,
                          text=True, stdout=subprocess.PIPE).stdout.strip()


def kubectl(*arguments, stdin=None, check=True, **environment):
    done = subprocess.run([f"{tools()}/kubectl", *map(str, arguments)], input=stdin, text=True, timeout=300,
                          capture_output=True, env={**os.environ, **environment})
    assert done.returncode == 0 or not check, f"kubectl {arguments}: {done.stderr}"
    return done


@cache
def rendered(folder):
    """The YAML of one folder."""
    return kubectl("kustomize", folder).stdout


@dataclass
class Pod:
    """What one workload makes pods of."""
    owner: dict
    labels: dict
    spec: dict

    @property
    def name(self):
        return self.owner["metadata"]["name"]

    @property
    def container(self):
        return self.spec["containers"][0]

    @property
    def is_ours(self):
        return self.labels.get("app.kubernetes.io/name") == "millrace"

    @property
    def command(self):
        """What the program is to do: ingest, write, aggregate, maintain or query."""
        return self.container["args"][0]

    @property
    def ports(self):
        return {port["name"]: port["containerPort"] for port in self.container.get("ports", [])}

    def volume(self, name):
        return next(volume for volume in self.spec["volumes"] if volume["name"] == name)

    def volume_of(self, path):
        """The volume in whose mount a file would be, and the file's name in it; or None."""
        for mount in self.container.get("volumeMounts", []):
            if path.startswith(mount["mountPath"] + "/"):
                return self.volume(mount["name"]), path.removeprefix(mount["mountPath"] + "/")
        return None


class Manifests:
    def __init__(self, objects):
        self.objects = objects

    @classmethod
    def of(cls, folder):
        return cls(list(yaml.safe_load_all(rendered(folder))))

    def copy(self):
        return Manifests(copy.deepcopy(self.objects))

    def all(self, kind):
        return [it for it in self.objects if it["kind"] == kind]

    def get(self, kind, name):
        found = [it for it in self.all(kind) if it["metadata"]["name"] == name]
        assert len(found) == 1, f"{len(found)} of {kind} {name}"
        return found[0]

    @property
    def pods(self):
        found = []
        for it in self.objects:
            template = it.get("spec", {})
            if it["kind"] == "CronJob":
                template = template["jobTemplate"]["spec"]
            if it["kind"] in ("Deployment", "StatefulSet", "Job", "CronJob"):
                template = template["template"]
                found.append(Pod(it, template["metadata"]["labels"], template["spec"]))
        return found

    @property
    def ours(self):
        return [pod for pod in self.pods if pod.is_ours]

    def pod(self, name):
        return next(pod for pod in self.pods if pod.name == name)

    @property
    def namespace(self):
        return self.all("Namespace")[0]["metadata"]["name"]

    def config_text(self, pod):
        """The configuration that a pod is started with."""
        volume, file = pod.volume_of(CONFIG_FILE)
        return self.get("ConfigMap", volume["configMap"]["name"])["data"][file]

    @property
    def config(self):
        return yaml.safe_load(self.config_text(self.pod("consumer-writer")))


def selects(selector, labels):
    """Whether a label selector takes pods with these labels."""
    wanted = selector.get("matchLabels", {}).items()
    expressions = selector.get("matchExpressions", [])
    assert all(it["operator"] == "In" for it in expressions)
    return wanted <= labels.items() and all(labels.get(it["key"]) in it["values"] for it in expressions)
