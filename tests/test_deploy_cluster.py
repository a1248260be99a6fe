"""The manifests of deploy/ by those who know their objects: a linter, the definitions, a real API server. In `make
test-deploy`, with tests/test_deploy_production.py."""
import base64
import json
import re
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

from harness.certificates import make_certificate
from harness.cluster import why_not
from harness.manifests import K8S, OVERLAYS, Manifests, rendered, tools
from harness.process import ROOT
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
    ("deployment-replicas", "query"): "the same",
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


def test_the_workflows_of_ci_are_valid():
    workflows = sorted((ROOT / ".github/workflows").glob("*.yaml"))
    assert len(workflows) == 2
    subprocess.run([f"{tools('all')}/actionlint", "-shellcheck=", *workflows], check=True)
