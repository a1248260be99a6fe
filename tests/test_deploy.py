"""The manifests of deploy/: what they render to, and what must hold in it. `make test-deploy` does more of it, in a real
cluster (tests/test_deploy_cluster.py, tests/test_deploy_production.py)."""
import re
import subprocess

import kubernetes_validate
import pytest
import yaml

from harness.manifests import K8S, OVERLAYS, Manifests, rendered
from harness.process import ROOT, run
from harness.relations import CHECKS, secret_sources
import harness.relations as relations

pytestmark = pytest.mark.local

# Other ways to put the components together, beside the overlays.
VARIANTS = sorted(path.parent for path in (ROOT / "tests/kubernetes/variants").glob("*/kustomization.yaml"))
FOLDERS = [K8S / "overlays" / name for name in OVERLAYS] + VARIANTS
KUBERNETES = ["1.34", "1.35", "1.36", "1.37"]

every_folder = pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)


def problems(check, manifests, folder):
    return list(check(manifests, folder) if check is relations.configuration_is_accepted else check(manifests))


@every_folder
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_what_must_hold(folder, check, tmp_path):
    assert problems(check, Manifests.of(folder), tmp_path) == []


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_configuration_can_be_checked_before_it_is_applied(name, tmp_path):
    """Where the secrets are not: as the guide says."""
    config = K8S / "overlays" / name / "config.yaml"
    assert run("config", "check", "--without-secrets", config).stdout.startswith(f"{config} is fine")
    broken = tmp_path / "config.yaml"
    broken.write_text(config.read_text() + "ingest: {future_max: soon}\n")
    assert "ingest.future_max" in run("config", "check", "--without-secrets", broken, check=False).stderr


@every_folder
@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_knows_every_field(folder, version):
    checked = 0
    for it in Manifests.of(folder).objects:
        if "." not in it["apiVersion"].split("/")[0] or it["apiVersion"].split("/")[0].endswith(".k8s.io"):
            try:
                kubernetes_validate.validate(it, version, strict=True)
                checked += 1
            except kubernetes_validate.SchemaNotFoundError:
                assert it["kind"] == "HTTPRoute", it["kind"]
    assert checked > 15


def _put(node, path):
    """Changes one value: the last of `path`; None takes it out."""
    *steps, last, value = path
    for step in steps:
        node = node[step]
    if value is None:
        del node[last]
    else:
        node[last] = value


def _set(kind, name, *path):
    return lambda manifests: _put(manifests.get(kind, name), path)


def _pod(name, change):
    return lambda manifests: change(manifests.pod(name))


def _container(name, *path):
    return _pod(name, lambda pod: _put(pod.container, path))


def _config(old, new):
    def change(manifests):
        for it in manifests.all("ConfigMap"):
            if "config.yaml" in it["data"]:
                assert old in it["data"]["config.yaml"]
                it["data"]["config.yaml"] = it["data"]["config.yaml"].replace(old, new)
    return change


def _remove(kind, name):
    return lambda manifests: manifests.objects.remove(manifests.get(kind, name))


# What a check must find, in a copy of prod that was changed.
BROKEN = [
    ("selectors_match", "a Service's selector", _set("Service", "ingestion-api", "spec", "selector", "app.kubernetes.io/component", "api")),
    ("selectors_match", "pods with another label", _set("Deployment", "consumer-writer", "spec", "template", "metadata", "labels", "app.kubernetes.io/component", "writer")),
    ("selectors_match", "no disruption budget", _remove("PodDisruptionBudget", "consumer-writer")),
    ("selectors_match", "a spread of others", _pod("ingestion-api", lambda pod: pod.spec["topologySpreadConstraints"][0]["labelSelector"].update(matchLabels={"app": "x"}))),
    ("ports_are_those_that_the_program_listens_on", "another port in the configuration", _config("0.0.0.0:8081", "0.0.0.0:9081")),
    ("ports_are_those_that_the_program_listens_on", "a probe of an unknown port", _container("consumer-writer", "readinessProbe", "httpGet", "port", "metrics")),
    ("ports_are_those_that_the_program_listens_on", "a Service's target", _set("Service", "ingestion-api", "spec", "ports", 0, "targetPort", "api")),
    ("ports_are_those_that_the_program_listens_on", "a policy for a port that nobody has", _set("NetworkPolicy", "ingestion-api", "spec", "ingress", 0, "ports", 0, "port", 80)),
    ("ports_are_those_that_the_program_listens_on", "a route to a port that the Service lacks", _set("HTTPRoute", "ingestion-api", "spec", "rules", 0, "backendRefs", 0, "port", 8080)),
    ("ports_are_those_that_the_program_listens_on", "metrics of the API's port", _set("PodMonitor", "millrace", "spec", "podMetricsEndpoints", 0, "port", "http")),
    ("probes_ask_what_they_are_for", "a liveness probe that hangs on Kafka", _container("consumer-writer", "livenessProbe", "httpGet", "path", "/readyz")),
    ("probes_ask_what_they_are_for", "no readiness probe", _container("ingestion-api", "readinessProbe", None)),
    ("configuration_is_accepted", "a key that there is not", _config("flush_age: 60s", "flush_age_max: 60s")),
    ("configuration_is_accepted", "a value that is none", _config("size_max: 8GiB", "size_max: 8 apples")),
    ("secrets_are_there", "a Secret that nobody makes", _remove("ExternalSecret", "millrace-kafka")),
    ("secrets_are_there", "a key that is not in it", _set("ExternalSecret", "millrace-kafka", "spec", "data", 1, "secretKey", "pass")),
    ("secrets_are_there", "a file that is not mounted", _config("/kafka/password", "/kafka2/password".replace("kafka2", "kafka/x"))),
    ("secrets_are_there", "a Secret of somebody else", lambda manifests: (
        manifests.pod("aggregation-worker").container["volumeMounts"].append({"name": "kafka-login", "mountPath": "/run/secrets/millrace/kafka"}),
        manifests.pod("aggregation-worker").spec["volumes"].append({"name": "kafka-login", "secret": {"secretName": "millrace-kafka"}}))),
    ("secrets_are_there", "one that may be missing", _pod("ingestion-api", lambda pod: pod.volume("api-keys")["secret"].update(optional=True))),
    ("keda_reads_what_the_writer_reads", "another topic", _config("topic: access-logs", "topic: logs")),
    ("keda_reads_what_the_writer_reads", "another group", _config("group: millrace-writer", "group: writers")),
    ("keda_reads_what_the_writer_reads", "other brokers", _set("ScaledObject", "consumer-writer", "spec", "triggers", 0, "metadata", "bootstrapServers", "kafka:9092")),
    ("keda_reads_what_the_writer_reads", "no login", _set("ScaledObject", "consumer-writer", "spec", "triggers", 0, "metadata", "sasl", "none")),
    ("keda_reads_what_the_writer_reads", "down to none", _set("ScaledObject", "consumer-writer", "spec", "minReplicaCount", 0)),
    ("keda_reads_what_the_writer_reads", "a threshold below one flush", _set("ScaledObject", "consumer-writer", "spec", "triggers", 0, "metadata", "lagThreshold", "10")),
    ("autoscalers_own_replicas", "replicas beside an autoscaler", _set("Deployment", "ingestion-api", "spec", "replicas", 3)),
    ("autoscalers_own_replicas", "replicas of nobody", _remove("ScaledObject", "consumer-writer")),
    ("drains_fit_into_the_grace_period", "a longer drain", _config("log:", "shutdown:\n  grace: 60s\nlog:")),
    ("drains_fit_into_the_grace_period", "a short grace period", _pod("consumer-writer", lambda pod: pod.spec.update(terminationGracePeriodSeconds=30))),
    ("drains_fit_into_the_grace_period", "no preStop", _container("ingestion-api", "lifecycle", None)),
    ("limits_cover_what_the_configuration_allows", "a larger buffer", _config("flush_age: 60s", "flush_age: 60s\n  buffer_size_max: 4GiB")),
    ("limits_cover_what_the_configuration_allows", "a small disk", _pod("aggregation-worker", lambda pod: pod.volume("data")["emptyDir"].update(sizeLimit="1Gi"))),
    ("pods_are_locked_down", "a root that can be written", _container("ingestion-api", "securityContext", "readOnlyRootFilesystem", False)),
    ("pods_are_locked_down", "a shared account", _pod("aggregation-worker", lambda pod: pod.spec.update(serviceAccountName="maintenance"))),
    ("pods_are_locked_down", "a token", _pod("aggregation-worker", lambda pod: pod.spec.update(automountServiceAccountToken=True))),
    ("pods_are_locked_down", "an open namespace", _set("Namespace", "millrace", "metadata", "labels", "pod-security.kubernetes.io/enforce", "baseline")),
    ("images_are_pinned", "a tag", _container("ingestion-api", "image", "registry.example.com/millrace:latest")),
    ("drains_of_nodes_are_never_blocked", "one that must stay", _set("PodDisruptionBudget", "ingestion-api", "spec", {"minAvailable": 1, "selector": {}})),
    ("jobs_end", "jobs beside each other", _set("CronJob", "aggregation-worker", "spec", "concurrencyPolicy", "Allow")),
    ("jobs_end", "a job without an end", _set("CronJob", "maintenance", "spec", "jobTemplate", "spec", "activeDeadlineSeconds", None)),
    ("retention_is_stated", "none", _config("retention: 400d", "interval: 10m")),
    ("network_admits_what_is_needed", "brokers at another port", _config(".example.com:9094", ".example.com:9095")),
    ("network_admits_what_is_needed", "an S3 service at another port", _config("region: eu-central-1", "endpoint: https://minio.example:9000")),
    ("network_admits_what_is_needed", "no way to S3", _remove("NetworkPolicy", "s3")),
    ("network_admits_what_is_needed", "no names", _remove("NetworkPolicy", "dns")),
    ("network_admits_what_is_needed", "names by UDP only", _set("NetworkPolicy", "dns", "spec", "egress", 0, "ports", [{"protocol": "UDP", "port": 53}])),
    ("network_admits_what_is_needed", "no metrics", _remove("NetworkPolicy", "metrics")),
    ("secrets_are_there", "keys of senders for those who answer readers", lambda manifests: (
        manifests.pod("query").container["volumeMounts"].append({"name": "api-keys", "mountPath": "/run/secrets/millrace/api-keys"}),
        manifests.pod("query").spec["volumes"].append({"name": "api-keys", "secret": {"secretName": "millrace-api-keys"}}))),
    ("limits_cover_what_the_configuration_allows", "more questions at once", _config("query:", "query:\n  concurrency: 8")),
    ("network_admits_nothing_else", "questions past the gateway", _set("NetworkPolicy", "query", "spec", "ingress", 0, "from", [{"namespaceSelector": {}}])),
    ("network_admits_what_is_needed", "no questions", _set("NetworkPolicy", "query", "spec", "ingress", [])),
    ("network_admits_what_is_needed", "no gateway", _set("NetworkPolicy", "ingestion-api", "spec", "ingress", [])),
    ("network_admits_nothing_else", "every port", _set("NetworkPolicy", "kafka", "spec", "egress", 0, "ports", None)),
    ("network_admits_nothing_else", "no default", _remove("NetworkPolicy", "default-deny")),
    ("network_admits_nothing_else", "the node's role", _set("NetworkPolicy", "s3", "spec", "egress", 0, "to", 0, "ipBlock", {"cidr": "0.0.0.0/0"})),
    ("network_admits_nothing_else", "S3 for the API", _set("NetworkPolicy", "s3", "spec", "podSelector", {})),
]


@pytest.mark.parametrize("check, what, change", BROKEN, ids=[f"{check}: {what}" for check, what, _ in BROKEN])
def test_each_check_can_fail(check, what, change, tmp_path):
    broken = Manifests.of(K8S / "overlays/prod").copy()
    change(broken)
    assert problems(getattr(relations, check), broken, tmp_path) != []


def test_each_check_has_failed():
    assert {check for check, _, _ in BROKEN} == {check.__name__ for check in CHECKS}


def test_only_development_has_its_secrets_here():
    for name in OVERLAYS:
        has_secrets = bool(Manifests.of(K8S / "overlays" / name).all("Secret"))
        assert has_secrets == (name == "dev"), name
        assert secret_sources(Manifests.of(K8S / "overlays" / name)), name


# What a key looks like: a PEM file, AWS's, ours, a token of GitHub or Slack.
SECRET = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n[A-Za-z0-9+/]{20}|\b(AKIA|ASIA)[A-Z0-9]{16}\b|\bmr_[0-9a-f]{40,}"
                    r"|\bgh[pousr]_\w{36}|\bxox[bp]-\w{10}")


def test_nothing_secret_is_in_the_repository():
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found = []
    for name in filter(None, files.split("\0")):
        path = ROOT / name
        text = path.read_text(errors="replace") if path.is_file() else ""
        found += [(name, hit[0]) for hit in SECRET.finditer(text)]
    assert found == []
    for secret in ("-----BEGIN PRIVATE " + "KEY-----\nMIIEvQIBADANBgkqhkiG9w0B", "AKI" + "AIOSFODNN7EXAMPLE", "mr_" + "a1" * 24):
        assert SECRET.search(secret)


def test_the_alerts_are_those_of_the_stack():
    made = subprocess.run([ROOT / "tools/kubernetes_alerts.sh"], check=True, capture_output=True, text=True).stdout
    path = K8S / "components/monitoring/alerts/prometheusrule.yaml"
    assert path.read_text() == made, "tools/kubernetes_alerts.sh makes it"
    rules = yaml.safe_load(made)["spec"]["groups"]
    assert [group["name"] for group in rules] == ["millrace", "millrace-cronjobs"]


def test_every_component_is_used():
    """By an overlay, or by a variant of the tests."""
    used = set()
    for folder in FOLDERS:
        for component in yaml.safe_load((folder / "kustomization.yaml").read_text())["components"]:
            used.add((folder / component).resolve())
    there = {path.parent.resolve() for path in (K8S / "components").glob("**/kustomization.yaml")}
    assert used - there == {(ROOT / "deploy/observability").resolve()} and there <= used


def test_an_overlay_is_promoted_by_one_line():
    for name in OVERLAYS:
        lines = (K8S / "overlays" / name / "kustomization.yaml").read_text().splitlines()
        assert len([line for line in lines if re.fullmatch(r" +digest: sha256:[0-9a-f]{64}", line)]) == 1


def test_a_changed_configuration_rolls(tmp_path):
    """The ConfigMap's name is another one, in every pod."""
    before = Manifests.of(K8S / "overlays/dev").pod("ingestion-api").volume("config")["configMap"]["name"]
    subprocess.run(["cp", "-r", K8S, tmp_path], check=True)
    config = tmp_path / "k8s/overlays/dev/config.yaml"
    config.write_text(config.read_text().replace("flush_age: 10s", "flush_age: 11s"))
    after = {pod.volume("config")["configMap"]["name"] for pod in Manifests.of(tmp_path / "k8s/overlays/dev").ours}
    assert len(after) == 1 and before not in after
    assert "flush_age: 11s" in rendered(tmp_path / "k8s/overlays/dev")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The repository as it is here, to write into."""
    folder = tmp_path_factory.mktemp("release") / "millrace"
    subprocess.run(["git", "clone", "--quiet", "--shared", ROOT, folder], check=True)
    subprocess.run(f"git ls-files -z -co --exclude-standard | xargs -0 cp --parents -t {folder}", cwd=ROOT, shell=True,
                   check=True)
    subprocess.run(["git", "add", "--all"], cwd=folder, check=True)
    subprocess.run(["git", "-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "--quiet", "--allow-empty",
                    "--message", "as it is"], cwd=folder, check=True)
    return folder


def release(checkout, image):
    done = subprocess.run(["make", "--no-print-directory", "release", f"IMAGE={image}"], cwd=checkout, capture_output=True,
                          text=True, timeout=600)
    return done, {path.name: path.read_bytes() for path in (checkout / "dist").glob("*")}


def test_a_release_has_the_image_everywhere_and_is_reproducible(checkout, tmp_path):
    image = f"registry.test/team/millrace@sha256:{'a1' * 32}"
    done, files = release(checkout, image)
    assert done.returncode == 0, done.stderr
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=checkout / "dist", check=True, capture_output=True)
    sums = files["SHA256SUMS"].decode()
    assert len(sums.splitlines()) == len(files) - 1 == len(OVERLAYS) + 1
    archive = next(name for name in files if name.endswith("-deploy.tar.gz"))
    subprocess.run(["tar", "-xzf", checkout / "dist" / archive, "-C", tmp_path], check=True)
    root = next(tmp_path.iterdir())
    for name in OVERLAYS:
        text = next(content for file, content in files.items() if file.endswith(f"-{name}.yaml")).decode()
        assert {pod.container["image"] for pod in Manifests(list(yaml.safe_load_all(text))).ours} == {image}
        # Who unpacks the archive applies the same.
        assert rendered(root / "deploy/k8s/overlays" / name) == text == (root / f"{name}.yaml").read_text()
    assert (root / "deploy/README.md").exists() and (root / "LICENSE").exists()
    assert release(checkout, image)[1] == files
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=checkout, capture_output=True, text=True).stdout
    assert changed == "", "the overlays themselves stay as they are"


@pytest.mark.parametrize("image", ["registry.test/millrace:latest", "millrace@sha256:12", "Mill race@sha256:" + "0" * 64])
def test_a_release_wants_an_image_by_digest(checkout, image):
    done, _ = release(checkout, image.replace(" ", "\\ "))
    assert done.returncode != 0 and "is not an image by digest" in done.stderr


def test_a_release_without_an_image_says_what_is_missing(checkout):
    done, files = release(checkout, "")
    assert done.returncode == 0 and len(files) == len(OVERLAYS) + 2
    assert "prod has no image yet: make release IMAGE=registry/millrace@sha256:..." in done.stderr
