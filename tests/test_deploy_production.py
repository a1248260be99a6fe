"""overlays/prod and overlays/dev on a real node: `make test-deploy`. Others' controllers (KEDA, External Secrets, the
Prometheus Operator, a gateway) are there with the definitions of their objects only."""
import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from harness.cluster import why_not
from harness.load import LoadClient, assert_each_once
from harness.manifests import K8S, Manifests
from harness.process import ROOT
from harness.production import Production
from harness.readers import read_everywhere
from harness.stack import Containers
from harness.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.local,
              pytest.mark.skipif(why_not() is not None, reason=str(why_not()))]


# The workloads that run all the time, and how many pods each has.
LASTING = {"ingestion-api": 3, "consumer-writer": 3, "query": 2}


@pytest.fixture(scope="module")
def node(cluster, engine):
    """The cluster with a node, and the images under the names that the manifests have."""
    print(Containers(engine, "millrace-image").make("image"))
    print(subprocess.run([ROOT / "tools/image.sh", "minio"], check=True, capture_output=True, text=True,
                         env={**engine.environment, "PATH": "/usr/bin:/bin"}).stderr)
    dev = Manifests.of(K8S / "overlays/dev")
    # One image under a digest of its own for each overlay that has another; they are all alike here.
    images = {"millrace:dev": dev.pod("ingestion-api").container["image"],
              "millrace-minio:dev": f"docker.io/library/{dev.pod('minio').container['image']}",
              engine.environment["KAFKA_IMAGE"]: f"docker.io/{dev.pod('kafka').container['image']}"}
    cluster.add_node(engine, images, ["kafka-0.kafka.example.com", "kafka-1.kafka.example.com",
                                      "kafka-2.kafka.example.com", "s3.example.com"])
    return cluster


@pytest.fixture(scope="module")
def production(node, tmp_path_factory):
    production = Production(node, tmp_path_factory.mktemp("production"))
    try:
        production.start()
        yield production
    finally:
        production.stop()


def contains(there, written):
    """Whether the API server's object has all that was written, beside its defaults."""
    if isinstance(written, dict):
        return all(contains(there.get(key), value) for key, value in written.items())
    return there == written


def test_production_runs_as_it_is_written(production):
    """Locked down, with its probes answered, by a real kubelet."""
    prod = Manifests.of(K8S / "overlays/prod")
    for component, count in LASTING.items():
        written = prod.pod(component)
        pods = production.pods(component)
        assert len(pods) == count
        for pod in pods:
            there = pod["spec"]["containers"][0]
            for field in ("args", "image", "securityContext", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle"):
                assert contains(there.get(field) or {}, written.container.get(field) or {}), field
            for field in ("securityContext", "terminationGracePeriodSeconds", "serviceAccountName", "automountServiceAccountToken"):
                assert contains(pod["spec"][field], written.spec[field]), field
            assert not any("projected" in volume for volume in pod["spec"]["volumes"]), "no token"
            assert pod["status"]["containerStatuses"][0]["started"], "its probes were answered"
    # What the kernel says of them.
    processes = millrace_processes()
    assert len(processes) >= 6
    for process in processes:
        assert process["Uid"] == {"10001"} and process["CapEff"] == {"0000000000000000"}
        assert process["NoNewPrivs"] == {"1"} and process["Seccomp"] == {"2"}
        root = next(line for line in Path(f"/proc/{process['pid']}/mounts").read_text().splitlines() if line.split()[1] == "/")
        assert root.split()[3].startswith("ro"), root


def millrace_processes():
    """What /proc says of each process of the workloads in the cluster."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes().split(b"\0")
            if not command[0].endswith(b"millrace") or b"/etc/millrace/config.yaml" not in command:
                continue
            fields = dict(line.split(":\t", 1) for line in (path / "status").read_text().splitlines() if ":\t" in line)
            found.append({"pid": path.name, **{key: set(fields[key].split()) for key in ("Uid", "CapEff", "NoNewPrivs", "Seccomp")}})
        except FileNotFoundError:
            continue
    return found


def test_only_the_named_ways_are_open(production):
    """By a firewall that reads the NetworkPolicies."""
    node = production.node
    image = Manifests.of(K8S / "overlays/prod").pod("ingestion-api").container["image"]
    api, writer, query = (production.pods(it)[0]["status"]["podIP"] for it in ("ingestion-api", "consumer-writer", "query"))
    urls = {"api": f"http://{api}:8080", "service": "http://ingestion-api.millrace.svc.cluster.local",
            "api's metrics": f"http://{api}:8081", "writer's metrics": f"http://{writer}:8081",
            "page": "http://query.millrace.svc.cluster.local", "page's metrics": f"http://{query}:8081"}
    want = {"gateway": {"api", "service", "page"}, "monitoring": {"api's metrics", "writer's metrics", "page's metrics"},
            "strangers": set()}

    def reached(namespace):
        return {what for what, url in urls.items() if node.execute(
            namespace, "deployment/shell", "millrace", "healthcheck", "--url", url)}
    for namespace in want:
        node.add_shell(namespace, image)
        # The firewall needs a moment to hear of a new pod.
        wait_until(f"what {namespace} may reach is reached", lambda: reached(namespace) >= want[namespace])
    assert {namespace: reached(namespace) for namespace in want} == want
    # And out: to the brokers; neither to Kubernetes' own API nor to the node's role, which others do reach.
    ways = {"kafka-0.kafka.example.com/9094": (True, True, True), "10.213.128.1/443": (True, False, False),
            "169.254.169.254/443": (True, False, False)}

    def leaves(namespace, deployment, way):
        return node.execute(namespace, f"deployment/{deployment}", "timeout", "3", "bash", "-c", f": </dev/tcp/{way}")
    with node.listen("169.254.169.254", 443):
        assert {way: (leaves("strangers", "shell", way), leaves("millrace", "ingestion-api", way),
                      leaves("millrace", "consumer-writer", way)) for way in ways} == ways


def names(pods):
    return {it["metadata"]["name"] for it in pods}


def test_all_of_it_rolls_under_load_and_nothing_is_lost(production):
    node = production.node
    # From the node's own network, as a gateway's proxy that runs there.
    address = node.get("service", "ingestion-api", "-n", "millrace")["spec"]["clusterIP"]
    with node.watch_ends("millrace") as ends, LoadClient(
            node.from_node(f"http://{address}"), resend_seed=1, pause_seconds=0.01, api_key=production.api_key) as client:
        wait_until("batches are taken", lambda: client.batches > 50, lambda: node.describe("millrace"))
        asked = names(pod for component in LASTING for pod in production.pods(component))
        config = production.pods("consumer-writer")[0]["spec"]["volumes"][0]["configMap"]["name"]
        # A changed configuration: all pods are replaced, one by one, by SIGTERM.
        production.deploy(flush_age="4s")
        new = [pod for component in LASTING for pod in production.pods(component)]
        assert not asked & names(new)
        assert all(it["spec"]["volumes"][0]["configMap"]["name"] != config for it in new)
        rolled = client.batches
        # A node's drain takes one of each, which the budgets allow.
        for component in LASTING:
            name = production.pods(component)[0]["metadata"]["name"]
            node.kubectl("create", "--raw", f"/api/v1/namespaces/millrace/pods/{name}/eviction", "-f", "-", stdin=json.dumps({
                "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "millrace"}}))
            asked.add(name)
            wait_until(f"{name} is gone", lambda: name not in names(node.get("pods", "-n", "millrace")["items"]))
            node.wait_ready("millrace")
        # The kernel kills one of each, which nobody has asked to end.
        wait_until("all that was asked to end has", lambda: not asked & names(node.get("pods", "-n", "millrace")["items"]))
        killed = {}
        for process in millrace_processes():
            command = Path(f"/proc/{process['pid']}/cmdline").read_bytes().split(b"\0")[1]
            if killed.setdefault(command, process["pid"]) == process["pid"]:
                os.kill(int(process["pid"]), signal.SIGKILL)
        assert set(killed) == {b"ingest", b"write", b"query"}
        wait_until("batches are taken again", lambda: client.batches > rolled + 200, lambda: node.describe("millrace"))
        node.wait_ready("millrace")
    assert len(asked) == sum(LASTING.values()) + len(LASTING)
    assert {name: ends.get(name) for name in asked} == dict.fromkeys(asked, 0), "each ended by itself, within its grace period"
    wanted = len(set(client.acknowledged))
    wait_until("all that was acknowledged is in the table", lambda: len(read_everywhere(
        production.tables() / "access_logs")) >= wanted, lambda: node.describe("millrace"))
    rows = read_everywhere(production.tables() / "access_logs")
    assert_each_once(rows, client)
    # prod cuts addresses, so that what was rejected is not kept; its batch is.
    letters = [row["batch_id"] for row in read_everywhere(production.tables() / "dead_letters")]
    rejected = {f"shop/batch-{re.search('[0-9]+', payload)[0]}" for payload in client.acknowledged_rejects}
    assert len(letters) == len(set(letters)) and set(letters) >= rejected and rejected
    assert {row["site"] for row in rows} == {"shop.example"}
    print(f"{wanted} records in {client.batches} batches acknowledged, {client.resent} sent again: each once in the table")


def test_the_cron_jobs_do_their_work(production):
    node = production.node
    said = node.run_job("millrace", "aggregation-worker", "aggregate-now")
    assert re.search(r"folded [1-9]\d* files in", said), said
    rows = read_everywhere(production.tables() / "access_logs")
    assert sum(row["requests"] for row in read_everywhere(production.tables() / "rollup_by_status")) == len(rows)
    said = node.run_job("millrace", "maintenance", "maintain-now")
    assert "access_logs" in said, said
    assert len(read_everywhere(production.tables() / "access_logs")) == len(rows)


def copy(client, old, new, only=lambda key: True):
    """Copies objects below a prefix that the other does not have."""
    there = {key for key in keys(client, new)}
    for key in keys(client, old):
        target = new + key.removeprefix(old)
        if only(key) and target not in there:
            client.copy_object(Bucket="example-millrace", Key=target, CopySource={"Bucket": "example-millrace", "Key": key})


def keys(client, prefix):
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="example-millrace", Prefix=prefix)
    return [it["Key"] for page in pages for it in page.get("Contents", [])]


def test_a_backup_is_restored_and_the_writers_go_on_from_it(production):
    """As the guide says: logs before files, the rollups' first. Kafka has what came after."""
    node, s3 = production.node, production.server.client
    api = node.from_node("http://" + node.get("service", "ingestion-api", "-n", "millrace")["spec"]["clusterIP"])
    before = {row["path"] for row in read_everywhere(production.tables() / "access_logs")}
    letters_before = {row["batch_id"] for row in read_everywhere(production.tables() / "dead_letters")}
    with LoadClient(api, resend_seed=2, pause_seconds=0.01, api_key=production.api_key, first=10**6) as client:
        wait_until("batches are taken", lambda: client.batches > 50, lambda: node.describe("millrace"))
        for table in ("rollup_by_path", "rollup_by_user_agent", "rollup_by_status", "rollup_by_bot", "access_logs", "dead_letters"):
            copy(s3, f"lake/{table}/_delta_log/", f"backup/lake/{table}/_delta_log/")
            taken = client.batches
            wait_until("more are taken", lambda: client.batches > taken + 50, lambda: node.describe("millrace"))
            copy(s3, f"lake/{table}/", f"backup/lake/{table}/", only=lambda key: "/_delta_log/" not in key)
        copied = len(keys(s3, "backup/lake/"))
        node.kubectl("scale", "deployment/consumer-writer", "-n", "millrace", "--replicas=0")
        for line in re.findall(r"^kubectl -n millrace (?:delete job|wait pod).*(?:\n  .*)*$", guide(), re.M):
            subprocess.run(["bash", "-euc", line.replace("\\\n", " ")], check=True, timeout=400, capture_output=True, env=node.environment)
    for key in keys(s3, "lake/"):
        s3.delete_object(Bucket="example-millrace", Key=key)
    copy(s3, "backup/lake/", "lake/")
    assert len(keys(s3, "lake/")) == copied
    shutil.rmtree(production.folder / "read")
    old = len(read_everywhere(production.tables() / "access_logs"))
    node.kubectl("scale", "deployment/consumer-writer", "-n", "millrace", "--replicas=3")
    wanted = before | set(client.acknowledged)
    wait_until("what the copy did not have is written again", lambda: len(read_everywhere(
        production.tables() / "access_logs")) >= len(wanted), lambda: node.describe("millrace"))
    assert old < len(wanted)
    node.wait_ready("millrace")
    node.run_job("millrace", "aggregation-worker", "aggregate-restored")
    paths = [row["path"] for row in read_everywhere(production.tables() / "access_logs")]
    assert len(paths) == len(set(paths)) and set(paths) >= wanted
    letters = [row["batch_id"] for row in read_everywhere(production.tables() / "dead_letters")]
    rejected = {f"shop/batch-{re.search('[0-9]+', payload)[0]}" for payload in client.acknowledged_rejects}
    assert len(letters) == len(set(letters)) and set(letters) >= letters_before | rejected and rejected
    assert sum(row["requests"] for row in read_everywhere(production.tables() / "rollup_by_status")) == len(paths)


def guide():
    return (ROOT / "deploy/README.md").read_text()


def guide_block(name):
    return re.search(rf"<!-- tested: {name} -->\n```\n(.*?)```", guide(), re.S)[1]


def test_the_guide_brings_up_development(node):
    """overlays/dev as it is, by the commands of deploy/README.md, letter by letter."""
    # What a StorageClass would give.
    for index in (1, 2):
        path = node.folder / f"volume-{index}"
        path.mkdir()
        path.chmod(0o777)
        node.apply([{"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"volume-{index}"},
                     "spec": {"capacity": {"storage": "20Gi"}, "accessModes": ["ReadWriteOnce"],
                              "hostPath": {"path": str(path)}}}])
    done = subprocess.run(["bash", "-euxc", guide_block("dev")], cwd=ROOT, capture_output=True, text=True, timeout=900,
                          env=node.environment)
    assert done.returncode == 0, done.stdout + done.stderr + node.describe("millrace-dev")
    print(done.stdout)
    assert "1,000 accepted, 0 rejected" in done.stdout
    assert re.search(r"records\W+1000\b", done.stdout) and re.search(r"requests\W+1000\b", done.stdout), done.stdout
