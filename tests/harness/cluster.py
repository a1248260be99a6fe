"""A Kubernetes cluster of one node on this machine: the real programs, in a network namespace of their own.

Its bridge, routes and firewall rules are in the namespace, its containers in a containerd of its own; stop() leaves nothing
but the Debian packages that it installed. It wants root."""
import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import yaml

from harness.manifests import kubectl, tools
from harness.waiting import wait_until

NAMESPACE = "millrace-k8s"
HOST, NODE = "10.213.255.1", "10.213.255.2"
PODS, SERVICES = "10.213.0.0/17", "10.213.128.0/18"
DNS = "10.213.128.10"
CLONE_NEWNET = 0x40000000
PACKAGES = ["containerd", "runc", "containernetworking-plugins", "iptables", "ipset", "iproute2"]


def why_not():
    """Why there can be no cluster here; None where there can."""
    if os.geteuid() != 0:
        return "a cluster wants root: network namespaces, containers"
    if not shutil.which("go"):
        return "a cluster wants Go, to build Kubernetes"
    return None


class Cluster:
    """start() makes etcd, the API server, controllers and the scheduler; add_node() what runs pods."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.programs = tools("all")
        self.processes = {}
        self.config = self.folder / "kubeconfig"
        self.environment = {**os.environ, "KUBECONFIG": str(self.config), "PATH": f"{self.programs}:{os.environ['PATH']}"}
        self._networks_before = None

    def kubectl(self, *arguments, **options):
        return kubectl(*arguments, KUBECONFIG=str(self.config), **options)

    def get(self, *arguments):
        return json.loads(self.kubectl("get", *arguments, "-o", "json").stdout)

    def apply(self, objects, *arguments):
        """YAML text, or objects."""
        text = objects if isinstance(objects, str) else yaml.safe_dump_all(objects)
        return self.kubectl("apply", "--server-side", "-f", "-", *arguments, stdin=text)

    def start(self):
        self._enter_network()
        pki = self.folder / "pki"
        pki.mkdir(parents=True)
        subprocess.run(["openssl", "genrsa", "-out", pki / "accounts.key", "2048"], check=True, capture_output=True)
        (pki / "tokens.csv").write_text('of-the-test,admin,admin,"system:masters"\n')
        self._spawn("etcd", "--data-dir", self.folder / "etcd", "--listen-client-urls", "http://127.0.0.1:2379",
                    "--advertise-client-urls", "http://127.0.0.1:2379", "--listen-peer-urls", "http://127.0.0.1:2380")
        self._spawn("kube-apiserver", "--etcd-servers", "http://127.0.0.1:2379", "--bind-address", NODE,
                    "--advertise-address", NODE, "--secure-port", "6443", "--cert-dir", pki,
                    "--service-account-key-file", pki / "accounts.key",
                    "--service-account-signing-key-file", pki / "accounts.key",
                    "--service-account-issuer", "https://kubernetes.default.svc", "--token-auth-file", pki / "tokens.csv",
                    "--service-cluster-ip-range", SERVICES, "--authorization-mode", "RBAC",
                    "--kubelet-preferred-address-types", "InternalIP")
        self.config.write_text(yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": f"https://{NODE}:6443", "insecure-skip-tls-verify": True}}],
            "users": [{"name": "admin", "user": {"token": "of-the-test"}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "admin"}}]}))
        wait_until("the API server is ready", lambda: self.kubectl(
            "get", "--raw", "/readyz", check=False).returncode == 0, lambda: self.log_tail("kube-apiserver"))
        self._spawn("kube-controller-manager", "--kubeconfig", self.config, "--leader-elect=false",
                    "--service-account-private-key-file", pki / "accounts.key", "--root-ca-file", pki / "apiserver.crt",
                    "--bind-address", "127.0.0.1")
        self._spawn("kube-scheduler", "--kubeconfig", self.config, "--leader-elect=false", "--bind-address", "127.0.0.1")
        self.apply("".join(path.read_text() + "\n---\n" for path in sorted(Path(self.programs, "crds").iterdir())))
        wait_until("others' objects are known", lambda: self.kubectl(
            "wait", "--for=condition=Established", "crd", "--all", check=False).returncode == 0)
        return self

    def add_node(self, engine, images, hosts):
        """`images`: by name, what each is to be called in manifests. `hosts`: names of this machine, outside the cluster."""
        # As its own package manager has it: containerd is there with the Docker engine.
        missing = [name for name in PACKAGES if subprocess.run(["dpkg", "-s", name], capture_output=True).returncode != 0]
        if missing:
            subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], check=True,
                           capture_output=True, timeout=600, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
        self._write("cni/10-bridge.conflist", json.dumps({
            "cniVersion": "0.4.0", "name": "pods", "plugins": [{
                "type": "bridge", "bridge": "pods", "isGateway": True, "ipMasq": True, "hairpinMode": True,
                "ipam": {"type": "host-local", "dataDir": str(self.folder / "addresses"),
                         "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}))
        # A process that may not lower its own oom_score_adj (as in some sandboxes) would start no pod otherwise.
        self._write("containerd.toml", f"""
            version = 2
            root = "{self.folder}/containerd"
            state = "{self.folder}/containerd-run"
            [grpc]
              address = "{self.folder}/containerd.sock"
            [plugins."io.containerd.grpc.v1.cri"]
              sandbox_image = "docker.io/millrace-test/pause:1"
              restrict_oom_score_adj = true
              disable_tcp_service = true
              [plugins."io.containerd.grpc.v1.cri".cni]
                bin_dir = "/usr/lib/cni"
                conf_dir = "{self.folder}/cni"
            """)
        self._spawn("containerd", "--config", self.folder / "containerd.toml", program="/usr/bin/containerd")
        wait_until("containerd answers", lambda: self._ctr("version", check=False).returncode == 0)
        for name, called in {**self._own_images(engine), **images}.items():
            self._import(engine, name, called)
        self._write("kubelet.yaml", yaml.safe_dump({
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "address": NODE,
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"}, "cgroupDriver": "cgroupfs", "failCgroupV1": False,
            "failSwapOn": False, "clusterDNS": [DNS], "clusterDomain": "cluster.local", "resolvConf": "/dev/null",
            "containerRuntimeEndpoint": f"unix://{self.folder}/containerd.sock", "podLogsDir": f"{self.folder}/logs",
            "evictionHard": {"memory.available": "100Mi"}, "imageMaximumGCAge": "0s", "imageGCHighThresholdPercent": 100}))
        self._spawn("kubelet", "--config", self.folder / "kubelet.yaml", "--kubeconfig", self.config, "--root-dir",
                    self.folder / "kubelet", "--hostname-override", "node-1", "--node-ip", NODE, "--cert-dir",
                    self.folder / "kubelet-pki", "--node-labels", "topology.kubernetes.io/zone=zone-1")
        self._write("proxy.yaml", yaml.safe_dump({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "mode": "iptables",
            "clientConnection": {"kubeconfig": str(self.config)}, "clusterCIDR": PODS, "hostnameOverride": "node-1",
            "conntrack": {"maxPerCore": 0}}))
        self._spawn("kube-proxy", "--config", self.folder / "proxy.yaml")
        wait_until("the node is there", lambda: self.get("nodes")["items"], lambda: self.log_tail("kubelet"))
        self._spawn("kube-router", "--run-router=false", "--run-firewall=true", "--run-service-proxy=false",
                    "--run-loadbalancer=false", "--kubeconfig", self.config, "--hostname-override", "node-1",
                    "--service-cluster-ip-range", SERVICES, "--service-node-port-range", "30000-32767")
        self.apply(NAMES.replace("HOSTS", "\n".join(f"          {HOST} {name}" for name in hosts)))
        self.wait_ready("kube-system")

    def wait_ready(self, namespace, hang_seconds=300):
        """Until each Deployment and StatefulSet has what it is to have, of the newest template."""
        def is_ready():
            for it in self.get("deployments,statefulsets", "-n", namespace)["items"]:
                want, has = it["spec"]["replicas"], it["status"]
                if has.get("observedGeneration", 0) < it["metadata"]["generation"] or not (
                        want == has.get("updatedReplicas", 0) == has.get("readyReplicas", 0) == has.get("replicas", 0)):
                    return False
            return True
        wait_until(f"all of {namespace} is ready", is_ready, lambda: self.describe(namespace), hang_seconds)

    def run_job(self, namespace, cronjob, name):
        """One run of a CronJob, now: what it printed. It must succeed."""
        self.kubectl("create", "job", "-n", namespace, name, f"--from=cronjob/{cronjob}")

        def outcome():
            return [it["type"] for it in self.get("job", name, "-n", namespace)["status"].get("conditions", [])
                    if it["status"] == "True" and it["type"] in ("Complete", "Failed")]
        ended = wait_until(f"{name} has ended", outcome, lambda: self.describe(namespace), 300)
        assert ended == ["Complete"], self.describe(namespace)
        return self.logs(namespace, name)

    def add_shell(self, namespace, image):
        """A pod that waits, for execute(); in a namespace that is made where it is not there."""
        self.apply([
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shell", "namespace": namespace},
             "spec": {"selector": {"matchLabels": {"app": "shell"}}, "template": {
                 "metadata": {"labels": {"app": "shell"}},
                 "spec": {"terminationGracePeriodSeconds": 0, "containers": [
                     {"name": "it", "image": image, "command": ["sleep", "infinity"]}]}}}}])
        self.wait_ready(namespace)

    @contextlib.contextmanager
    def watch_ends(self, namespace):
        """A dictionary that is filled, by its end, with the exit codes of pods that were deleted meanwhile."""
        ends = {}
        path = self.folder / "watch.json"
        with open(path, "wb") as file:
            watch = subprocess.Popen([f"{self.programs}/kubectl", "get", "pods", "-n", namespace, "--watch", "-o", "json"],
                                     stdout=file, env={**os.environ, "KUBECONFIG": str(self.config)})
        try:
            yield ends
        finally:
            watch.terminate()
            watch.wait(30)
        text, decoder, at = path.read_text(), json.JSONDecoder(), 0
        while text[at:].strip():
            pod, at = decoder.raw_decode(text, at)
            at += len(text[at:]) - len(text[at:].lstrip())
            for it in pod["status"].get("containerStatuses", []):
                if "deletionTimestamp" in pod["metadata"] and "terminated" in it["state"]:
                    ends[pod["metadata"]["name"]] = it["state"]["terminated"]["exitCode"]

    @contextlib.contextmanager
    def listen(self, address, port):
        """Something that takes connections at an address of the node."""
        inside = ["nsenter", f"--net=/run/netns/{NAMESPACE}"]
        subprocess.run([*inside, "ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
        server = subprocess.Popen([*inside, sys.executable, "-m", "http.server", str(port), "--bind", address],
                                  cwd=self.folder / "cni", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until("it listens", lambda: subprocess.run(
                [*inside, "bash", "-c", f": </dev/tcp/{address}/{port}"], capture_output=True).returncode == 0)
            yield
        finally:
            server.kill()
            server.wait()

    def execute(self, namespace, target, *command):
        """Whether a command in a pod exits 0."""
        return self.kubectl("exec", "-n", namespace, target, "--", *command, check=False).returncode == 0

    def from_node(self, url):
        """For LoadClient: `url`, for threads that it moves into the node's network as they ask."""
        joined = threading.local()

        def ask():
            if not hasattr(joined, "done"):
                with open(f"/run/netns/{NAMESPACE}") as network:
                    if ctypes.CDLL(None, use_errno=True).setns(network.fileno(), CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), "setns")
                joined.done = True
            return url
        return ask

    def logs(self, namespace, start):
        """What the containers of pods whose name starts so have written, also of pods that are gone."""
        return "\n".join(path.read_text() for path in sorted(self.folder.glob(f"logs/{namespace}_{start}*/*/*.log")))

    def describe(self, namespace):
        told = self.kubectl("get", "pods,jobs", "-n", namespace, "-o", "wide", check=False).stdout
        events = self.kubectl("get", "events", "-n", namespace, "--sort-by=.lastTimestamp", check=False).stdout
        lines = [f"{path.parent.parent.name}: {line[:400]}" for path in self.folder.glob(f"logs/{namespace}_*/*/*.log")
                 for line in path.read_text().splitlines()[-3:]]
        return "\n".join([told, *events.splitlines()[-15:], *lines])

    def log_tail(self, program):
        return (self.folder / f"{program}.log").read_text()[-3000:]

    def stop(self):
        if "kubelet" in self.processes:
            # The controllers go first, so that nothing comes again; the kubelet then takes its pods down.
            self._end("kube-controller-manager")
            self.kubectl("delete", "pods", "--all", "--all-namespaces", "--force", "--grace-period=0", check=False)
            wait_until("all containers are gone", lambda: not self._ctr("containers", "list", "-q").stdout.strip(),
                       lambda: self.log_tail("kubelet"))
        for name in list(self.processes)[::-1]:
            self._end(name)
        left = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if str(self.folder) in line]
        for path in sorted(left, reverse=True):
            subprocess.run(["umount", "--lazy", path], check=False)
        for name in set(os.listdir("/run/netns")) - (self._networks_before or set()):
            if self._networks_before is not None and name.startswith("cni-"):
                subprocess.run(["ip", "netns", "delete", name], check=False)
        subprocess.run(["ip", "netns", "delete", NAMESPACE], check=False)
        for path in Path("/sys/fs/cgroup").glob("*/kubepods"):
            for folder in sorted([path, *path.glob("**/")], reverse=True):
                with contextlib.suppress(OSError):
                    folder.rmdir()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _enter_network(self):
        def ip(*arguments):
            subprocess.run(["ip", *arguments], check=True, capture_output=True)
        if Path("/run/netns", NAMESPACE).exists():
            ip("netns", "delete", NAMESPACE)
        ip("netns", "add", NAMESPACE)
        self._networks_before = set(os.listdir("/run/netns"))
        ip("link", "add", "mr-k8s", "type", "veth", "peer", "name", "eth0", "netns", NAMESPACE)
        ip("address", "add", f"{HOST}/30", "dev", "mr-k8s")
        ip("link", "set", "mr-k8s", "up")
        for arguments in (["link", "set", "lo", "up"], ["link", "set", "eth0", "up"],
                          ["address", "add", f"{NODE}/30", "dev", "eth0"], ["route", "add", "default", "via", HOST]):
            ip("-n", NAMESPACE, *arguments)
        ip("route", "add", SERVICES, "via", NODE)
        ip("route", "add", PODS, "via", NODE)
        subprocess.run(["nsenter", f"--net=/run/netns/{NAMESPACE}", "sysctl", "-qw", "net.ipv4.ip_forward=1"], check=True)

    def _spawn(self, name, *arguments, program=None):
        with open(self.folder / f"{name}.log", "wb") as log:
            # Not `ip netns exec`: all must see the same mounts.
            self.processes[name] = subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{NAMESPACE}", program or f"{self.programs}/{name}", *map(str, arguments)],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                env={**os.environ, "NODE_NAME": "node-1"})

    def _end(self, name):
        process = self.processes.pop(name, None)
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))

    def _ctr(self, *arguments, check=True, **options):
        return subprocess.run(["ctr", "--address", self.folder / "containerd.sock", "--namespace", "k8s.io", *arguments],
                              check=check, capture_output=True, timeout=300, **options)

    def _own_images(self, engine):
        """Of the programs that hold a pod's namespaces together, and answer for names."""
        base = engine.environment["BASE_IMAGE"]
        for name, lines in (("pause", [f"FROM {base}", 'ENTRYPOINT ["sleep", "infinity"]']),
                            ("coredns", [f"FROM {base}", "COPY coredns /", 'ENTRYPOINT ["/coredns"]'])):
            folder = self.folder / f"image-{name}"
            folder.mkdir()
            (folder / "Dockerfile").write_text("\n".join(lines) + "\n")
            shutil.copy(f"{self.programs}/coredns", folder)
            engine.docker("build", "--quiet", "--tag", f"millrace-test/{name}:1", str(folder))
        return {f"millrace-test/{name}:1": f"docker.io/millrace-test/{name}:1" for name in ("pause", "coredns")}

    def _import(self, engine, name, called):
        archive = self.folder / "image.tar"
        engine.docker("save", "--output", str(archive), name)
        told = self._ctr("images", "import", str(archive)).stdout.decode()
        there = told.split("unpacking ")[1].split(" ")[0]
        if there != called:
            self._ctr("images", "tag", there, called)
        archive.unlink()


# CoreDNS as a cluster has it; what is outside is found as in a company's own names.
NAMES = f"""
apiVersion: v1
kind: ServiceAccount
metadata: {{name: coredns, namespace: kube-system}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: coredns}}
rules:
  - {{apiGroups: [""], resources: [services, pods, namespaces], verbs: [list, watch]}}
  - {{apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: coredns}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: coredns}}
subjects: [{{kind: ServiceAccount, name: coredns, namespace: kube-system}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: coredns, namespace: kube-system}}
data:
  Corefile: |
    .:53 {{
      errors
      ready
      hosts {{
HOSTS
          fallthrough
      }}
      kubernetes cluster.local
    }}
---
apiVersion: v1
kind: Service
metadata: {{name: kube-dns, namespace: kube-system}}
spec:
  clusterIP: {DNS}
  selector: {{k8s-app: kube-dns}}
  ports: [{{name: udp, port: 53, protocol: UDP}}, {{name: tcp, port: 53, protocol: TCP}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: coredns, namespace: kube-system}}
spec:
  selector: {{matchLabels: {{k8s-app: kube-dns}}}}
  template:
    metadata: {{labels: {{k8s-app: kube-dns}}}}
    spec:
      serviceAccountName: coredns
      dnsPolicy: Default
      containers:
        - name: coredns
          image: docker.io/millrace-test/coredns:1
          imagePullPolicy: Never
          args: [-conf, /etc/coredns/Corefile]
          readinessProbe: {{httpGet: {{path: /ready, port: 8181}}}}
          volumeMounts: [{{name: config, mountPath: /etc/coredns}}]
      volumes: [{{name: config, configMap: {{name: coredns}}}}]
"""
