"""The manifests of deploy/ in a real cluster: `make test-deploy`. Others' controllers (KEDA, External Secrets, the
Prometheus Operator, a gateway, Argo CD) are there with the definitions of their objects only."""
import base64
import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml
from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from harness.certificates import make_certificate
from harness.cluster import HOST, Cluster, why_not
from harness.examples import make_key
from harness.kafka import Broker
from harness.lake import S3Lake
from harness.load import LoadClient, assert_each_once
from harness.manifests import K8S, OVERLAYS, Manifests, rendered, tools
from harness.process import ROOT
from harness.readers import read_everywhere
from harness.s3 import S3Server
from harness.stack import Containers
from harness.waiting import wait_until
from test_deploy import FOLDERS

pytestmark = [pytest.mark.cluster, pytest.mark.local,
              pytest.mark.skipif(why_not() is not None, reason=str(why_not()))]

every_folder = pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
GITOPS = ROOT / "deploy/gitops"

# What the linter wants and we do not do, and why.
WAIVED = {
    "container-image-pull-policy": "an image by digest is the same whenever it is pulled",
    "deployment-has-host-podantiaffinity": "spread over hosts is asked for by topologySpreadConstraints",
}
WAIVED_IN_DEV = {
    "container-image-pull-policy": "Kafka's has a tag that stays; MinIO's is one's own",
    ("container-security-context-readonlyrootfilesystem", "kafka"): "Apache's image writes its configuration into its root",
    ("container-security-context-readonlyrootfilesystem", "kafka-topic"): "the same",
    ("container-security-context-user-group-id", "kafka"): "Apache's image has its own user, 1000",
    ("container-security-context-user-group-id", "kafka-topic"): "the same",
    ("deployment-replicas", "ingestion-api"): "one of everything",
    ("pod-probes-identical", "kafka"): "a broker lives where it is ready",
}


def linted(text):
    """What the linter finds: check and object. Of processors there are requests and no limits: a
    limit throttles a process that others leave room for."""
    said = subprocess.run([f"{tools('all')}/kube-score", "score", "-", "--kubernetes-version", "v1.35",
                           "--ignore-container-cpu-limit", "--output-format", "json"],
                          input=text, capture_output=True, text=True).stdout
    checks = [(check["check"]["id"], it["object_meta"]["name"], check["grade"]) for it in json.loads(said)
              for check in it["checks"] if not check["skipped"]]
    assert len(checks) > 50
    return {(check, name) for check, name, grade in checks if grade < 10}


@every_folder
def test_the_linter_finds_what_is_waived_and_nothing_else(folder):
    waived = WAIVED_IN_DEV if folder.name == "dev" else WAIVED
    found = linted(rendered(folder))
    assert {it for it in found if it not in waived and it[0] not in waived} == set()
    assert set(waived) <= found | {check for check, _ in found}, "what is waived is found"


def test_the_linter_sees_what_is_wrong():
    text = rendered(K8S / "overlays/prod").replace("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", 1)
    assert "container-security-context-readonlyrootfilesystem" in {check for check, _ in linted(text)}


def strict(schema):
    """A schema of a definition, where what it does not name is refused, as a client with strict validation does. Without
    its patterns, which are Go's: the API server looks at them."""
    if isinstance(schema, list):
        return [strict(it) for it in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: strict(value) for key, value in schema.items() if not (key == "pattern" and isinstance(value, str))}
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    return schema


@pytest.fixture(scope="module")
def schemas():
    """Of others' objects, by kind and version."""
    found = {}
    for path in Path(tools("all"), "crds").iterdir():
        for it in filter(None, yaml.safe_load_all(path.read_text())):
            for version in it["spec"]["versions"]:
                schema = strict(version["schema"]["openAPIV3Schema"])
                schema["properties"]["metadata"] = {"type": "object"}
                found[it["spec"]["names"]["kind"], f"{it['spec']['group']}/{version['name']}"] = schema
    return found


def others(objects):
    return [it for it in objects if re.search(r"\.(sh|io|com)/", it["apiVersion"]) and (
        not it["apiVersion"].split("/")[0].endswith(".k8s.io") or it["kind"] == "HTTPRoute")]


def test_others_objects_have_their_fields(schemas):
    checked = set()
    objects = [it for folder in FOLDERS for it in Manifests.of(folder).objects]
    objects += [it for path in GITOPS.glob("*.yaml") for it in yaml.safe_load_all(path.read_text())]
    for it in others(objects):
        jsonschema.validate(it, schemas[it["kind"], it["apiVersion"]])
        checked.add(it["kind"])
    assert checked == {"ScaledObject", "TriggerAuthentication", "ExternalSecret", "SealedSecret", "PodMonitor",
                       "PrometheusRule", "HTTPRoute", "ApplicationSet", "AppProject"}


def test_an_unknown_field_of_others_is_seen(schemas):
    broken = Manifests.of(K8S / "overlays/prod").copy().get("ScaledObject", "consumer-writer")
    broken["spec"]["maxReplicas"] = 3
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schemas["ScaledObject", "keda.sh/v1alpha1"])


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield cluster.start()
    finally:
        cluster.stop()


@every_folder
def test_the_api_server_accepts_it(folder, cluster):
    manifests = Manifests.of(folder)
    namespaces = manifests.all("Namespace")
    cluster.apply(namespaces)
    accepted = cluster.apply(rendered(folder), "--dry-run=server").stdout.splitlines()
    assert len(accepted) == len(manifests.objects)


@pytest.mark.parametrize("old, new, said", [
    ("containerPort: 8081", "containerPort: metrics", "containerPort"), ("minReplicaCount:", "minReplicas:", "minReplicas"),
    ("timeZone: Etc/UTC", "timeZone: Mars/Base", "timeZone"), ("cpu: ", "cpu: much", "quantities must match"),
    ("unhealthyPodEvictionPolicy: AlwaysAllow", "unhealthyPodEvictionPolicy: Always", "unhealthyPodEvictionPolicy")])
def test_the_api_server_refuses_what_is_wrong(old, new, said, cluster):
    text = rendered(K8S / "overlays/prod")
    assert old in text
    cluster.apply(Manifests.of(K8S / "overlays/prod").all("Namespace"))
    done = cluster.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=text.replace(old, new), check=False)
    assert done.returncode != 0 and said in done.stderr, done.stderr


def test_the_namespace_refuses_a_pod_that_is_not_restricted(cluster):
    prod = Manifests.of(K8S / "overlays/prod")
    cluster.apply(prod.all("Namespace") + prod.all("ServiceAccount"))
    # An account that each namespace gets in a moment.
    wait_until("the namespace has its account", lambda: cluster.kubectl(
        "get", "serviceaccount", "default", "-n", "millrace", check=False).returncode == 0)
    spec = {"containers": [{"name": "a", "image": "a"}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "millrace"}, "spec": spec}
    done = cluster.kubectl("apply", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(pod), check=False)
    assert "violates PodSecurity" in done.stderr
    for workload in prod.pods:
        good = {**pod, "spec": workload.spec}
        cluster.kubectl("apply", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(good))


def test_the_examples_for_argo_cd_are_accepted_and_point_at_the_overlays(cluster):
    cluster.kubectl("create", "namespace", "argocd")
    for path in sorted(GITOPS.glob("*.yaml")):
        cluster.apply(path.read_text(), "--dry-run=server")
    it = yaml.safe_load((GITOPS / "applicationset.yaml").read_text())
    elements = it["spec"]["generators"][0]["list"]["elements"]
    assert {element["overlay"] for element in elements} == set(OVERLAYS)
    project = yaml.safe_load((GITOPS / "project.yaml").read_text())["spec"]
    allowed = {(it["group"], it["kind"]) for it in project["namespaceResourceWhitelist"] + project["clusterResourceWhitelist"]}
    for element in elements:
        manifests = Manifests.of(K8S / "overlays" / element["overlay"])
        assert manifests.namespace == element["namespace"]
        assert element["namespace"] in [it["namespace"] for it in project["destinations"]]
        for each in manifests.objects:
            group = each["apiVersion"].split("/")[0] if "/" in each["apiVersion"] else ""
            assert (group, each["kind"]) in allowed


def deployment(image="a:1", **spec):
    return [{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "it", "namespace": "default"}, "spec": {
        **spec, "selector": {"matchLabels": {"app": "it"}}, "template": {
            "metadata": {"labels": {"app": "it"}}, "spec": {"containers": [{"name": "it", "image": image}]}}}}]


def test_replicas_are_handed_to_an_autoscaler_as_the_guide_says(cluster):
    def replicas():
        return cluster.get("deployment", "it", "-n", "default")["spec"]["replicas"]
    cluster.apply(deployment(replicas=4))
    cluster.apply(deployment())
    assert replicas() == 1, "what the guide warns of"
    cluster.apply(deployment(replicas=4))
    cluster.kubectl("scale", "deployment/it", "-n", "default", "--replicas=5")
    cluster.apply(deployment())
    assert replicas() == 5
    cluster.kubectl("delete", "deployment", "it", "-n", "default")


def test_a_roll_back_is_the_old_line_and_not_an_undo(cluster):
    def count():
        return len([it for it in cluster.get("replicasets", "-n", "default")["items"] if it["metadata"]["labels"]["app"] == "it"])
    for number, image in enumerate(("a:1", "a:2"), 1):
        cluster.apply(deployment(image))
        wait_until("it is rolled out", lambda: count() == number)
    cluster.apply(deployment("a:1"))
    cluster.apply(deployment("a:2"))
    cluster.kubectl("rollout", "undo", "deployment/it", "-n", "default")
    with pytest.raises(AssertionError, match="conflict"):
        cluster.apply(deployment("a:3"))
    cluster.kubectl("delete", "deployment", "it", "-n", "default")


def test_secrets_are_sealed_as_the_guide_says(tmp_path):
    """kubeseal's output goes into the component as it is, and opens to what was put in with the cluster's key alone."""
    certificate, key = make_certificate(tmp_path)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "millrace-kafka", "namespace": "millrace"},
              "stringData": {"username": "millrace", "password": "of-the-test", "ca.crt": "x"}}
    sealed = subprocess.run([f"{tools('all')}/kubeseal", "--cert", certificate, "--format", "yaml"],
                            input=yaml.safe_dump(secret), check=True, capture_output=True, text=True).stdout
    assert "of-the-test" not in sealed
    ours = next(it for it in yaml.safe_load_all((K8S / "components/sealed-secrets/sealedsecrets.yaml").read_text())
                if it["metadata"]["name"] == "millrace-kafka")
    assert set(yaml.safe_load(sealed)["spec"]["encryptedData"]) == set(ours["spec"]["encryptedData"])
    opened = subprocess.run([f"{tools('all')}/kubeseal", "--recovery-unseal", "--recovery-private-key", key],
                            input=sealed, check=True, capture_output=True, text=True).stdout
    data = json.loads(opened)["data"]
    assert base64.b64decode(data["password"]).decode() == "of-the-test"


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


SECURE_BROKER = """
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},SECURE://{host}:9094
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SECURE://kafka-0.kafka.example.com:9094
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.secure.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
"""


class Production:
    """overlays/prod as it is, but for: where S3 is and its keys (there is no AWS here), a shorter flush age, and small
    requests of processors (one node of two cores). Kafka and S3 are outside the cluster, where prod has them."""
    NAMESPACE = "millrace"

    def __init__(self, node, folder):
        self.node, self.folder = node, folder
        self.api_key, self.digest = make_key("shop")
        hosts = [f"kafka-{index}.kafka.example.com" for index in range(3)]
        self.certificate, key = make_certificate(folder, "kafka", hosts)
        keystore = folder / "keystore.pem"
        keystore.write_text(key.read_text() + self.certificate.read_text())
        self.broker = Broker(folder / "broker", topic="access-logs")
        self.broker.folder.mkdir()
        self.broker.use(SECURE_BROKER.format(port=self.broker.port, controller=self.broker.port + 1, host=HOST,
                                             keystore=keystore))
        self.server = S3Server("minio", folder / "s3", region="eu-central-1", address=f"{HOST}:443")
        shutil.copytree(ROOT / "deploy", folder / "deploy")

    def start(self):
        (self.folder / "s3").mkdir()
        self.server.start()
        self.server.client.create_bucket(Bucket="example-millrace")
        self.broker.up()
        login = UserScramCredentialUpsertion("millrace", ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096), b"of the test")
        admin = AdminClient({"bootstrap.servers": self.broker.address})
        for done in admin.alter_user_scram_credentials([login]).values():
            done.result(60)
        self.deploy()
        # What the autoscalers would make of it: the one for the API is there, KEDA is not.
        self.node.kubectl("scale", "deployment/consumer-writer", "-n", self.NAMESPACE, "--replicas=3")
        wait_until("the autoscaler has its least", lambda: len(self.pods("ingestion-api")) == 3)
        self.node.wait_ready(self.NAMESPACE)

    def deploy(self, flush_age="5s"):
        overlay = self.folder / "deploy/k8s/overlays/run"
        overlay.mkdir(exist_ok=True)
        config = (K8S / "overlays/prod/config.yaml").read_text()
        (overlay / "config.yaml").write_text(
            config.replace("region: eu-central-1", "region: eu-central-1\n  endpoint: http://s3.example.com:443")
                  .replace("flush_age: 60s", f"flush_age: {flush_age}"))
        small = "- {op: replace, path: PATH/containers/0/resources/requests/cpu, value: 10m}"
        (overlay / "kustomization.yaml").write_text(yaml.safe_dump({
            "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": ["../prod"],
            "components": ["../../components/s3/secret"],
            "configMapGenerator": [{"name": "millrace-config", "namespace": "millrace", "behavior": "replace", "files": ["config.yaml"]}],
            "patches": [
                {"target": {"kind": "Deployment"}, "patch": small.replace("PATH", "/spec/template/spec")},
                {"target": {"kind": "CronJob"}, "patch": small.replace("PATH", "/spec/jobTemplate/spec/template/spec")}]}))
        rendered.cache_clear()
        manifests = Manifests.of(overlay)
        for it in manifests.all("CronJob"):
            it["spec"]["suspend"] = True  # They run when the test says so.
        self.node.apply(manifests.all("Namespace"))
        self.node.apply(self.secrets())
        self.node.apply(manifests.objects)
        self.node.wait_ready(self.NAMESPACE)
        return manifests

    def secrets(self):
        """As External Secrets would make them."""
        content = {"millrace-api-keys": {"shop": self.digest},
                   "millrace-kafka": {"username": "millrace", "password": "of the test", "ca.crt": self.certificate.read_text()},
                   "millrace-s3": {"access_key_id": self.server.key, "secret_access_key": self.server.secret}}
        return [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": self.NAMESPACE},
                 "stringData": data} for name, data in content.items()]

    def pods(self, component):
        return [it for it in self.node.get("pods", "-n", self.NAMESPACE, "-l", f"app.kubernetes.io/component={component}")["items"]
                if "deletionTimestamp" not in it["metadata"]]

    def tables(self):
        self.server.bucket = "example-millrace"
        ProductionLake(self.server).bring_here(self.folder / "read")
        return self.folder / "read/lake"

    def stop(self):
        self.broker.down()
        self.server.stop()


class ProductionLake(S3Lake):
    def _prefix(self, _data_dir):
        return ""

    def bring_here(self, data_dir):
        for key in [key for key, _ in self._list("lake/")]:
            # The hint may be newer than the list of the files that it names; readers find them without it.
            if key.endswith("/_last_checkpoint"):
                continue
            path = Path(data_dir) / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.server.get(key))


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
    for component, count in (("ingestion-api", 3), ("consumer-writer", 3)):
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
    api, writer = (production.pods(it)[0]["status"]["podIP"] for it in ("ingestion-api", "consumer-writer"))
    urls = {"api": f"http://{api}:8080", "service": "http://ingestion-api.millrace.svc.cluster.local",
            "api's metrics": f"http://{api}:8081", "writer's metrics": f"http://{writer}:8081"}
    want = {"gateway": {"api", "service"}, "monitoring": {"api's metrics", "writer's metrics"}, "strangers": set()}

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
        asked = names(production.pods("ingestion-api") + production.pods("consumer-writer"))
        config = production.pods("consumer-writer")[0]["spec"]["volumes"][0]["configMap"]["name"]
        # A changed configuration: all pods are replaced, one by one, by SIGTERM.
        production.deploy(flush_age="4s")
        new = production.pods("ingestion-api") + production.pods("consumer-writer")
        assert not asked & names(new)
        assert all(it["spec"]["volumes"][0]["configMap"]["name"] != config for it in new)
        rolled = client.batches
        # A node's drain takes one of each, which the budgets allow.
        for pod in (production.pods("ingestion-api")[0], production.pods("consumer-writer")[0]):
            name = pod["metadata"]["name"]
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
        assert set(killed) == {b"ingest", b"write"}
        wait_until("batches are taken again", lambda: client.batches > rolled + 200, lambda: node.describe("millrace"))
        node.wait_ready("millrace")
    assert len(asked) == 8
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
        for table in ("rollup_by_path", "rollup_by_user_agent", "rollup_by_status", "access_logs", "dead_letters"):
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
