"""What must hold between the objects of deploy/k8s, and between them and the program, that no schema says.

Each check is a function of Manifests that yields a sentence for each thing that is wrong."""
import re
import subprocess

import yaml

from harness.certificates import make_certificate
from harness.manifests import CONFIG_FILE, selects
from harness.process import BINARY

SECRETS = "/run/secrets/millrace"
# The sections whose secrets and addresses a command uses.
USES_KAFKA = {"ingest", "write"}
USES_TABLES = {"write", "aggregate", "maintain", "query"}
# Who is asked by others.
SERVES = {"ingest": "ingestion-api", "query": "query"}
UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "ms": 0.001, "s": 1,
         "m": 60, "h": 3600, "d": 86400}


def quantity(text):
    """Bytes or seconds: "512Mi", "1GiB", "60s"."""
    number, unit = re.fullmatch(r"([\d.]+)(\w*)", str(text)).groups()
    return float(number) * (UNITS[unit] if unit else 1)


def settings(manifests):
    """Every key of the configuration with its value, also of those that it does not give: "writer.flush_age"."""
    printed = subprocess.run([BINARY, "config", "print"], check=True, capture_output=True, text=True).stdout

    def flat(tree, path=""):
        for key, value in tree.items():
            if isinstance(value, dict):
                yield from flat(value, f"{path}{key}.")
            else:
                yield path + key, value

    return {**dict(flat(yaml.safe_load(printed))), **dict(flat(manifests.config))}


def port_of(address):
    return int(address.rsplit(":", 1)[1])


def selectors_match(manifests):
    pods = manifests.pods
    for pod in pods:
        selector = pod.owner["spec"].get("selector", {}) if pod.owner["kind"] != "CronJob" else {}
        if not selects(selector, pod.labels):
            yield f"{pod.name} does not select its own pods"
        for constraint in pod.spec.get("topologySpreadConstraints", []):
            if not selects(constraint["labelSelector"], pod.labels):
                yield f"{pod.name} does not spread its own pods"
    for service in manifests.all("Service"):
        if not any(selects({"matchLabels": service["spec"]["selector"]}, pod.labels) for pod in pods):
            yield f"Service {service['metadata']['name']} leads to no pod"
    for kind, field in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector"), ("PodMonitor", "selector")):
        for it in manifests.all(kind):
            if not any(selects(it["spec"][field], pod.labels) for pod in pods):
                yield f"{kind} {it['metadata']['name']} is about no pod"
    for pod in manifests.ours:
        if pod.owner["kind"] != "Deployment":
            continue
        if sum(selects(it["spec"]["selector"], pod.labels) for it in manifests.all("PodDisruptionBudget")) != 1:
            yield f"{pod.name} does not have one PodDisruptionBudget"


def ports_are_those_that_the_program_listens_on(manifests):
    config = manifests.config
    listens = {"http": port_of(config["http"]["listen"]), "admin": port_of(config["admin"]["listen"])}
    for pod in manifests.ours:
        for name, port in pod.ports.items():
            if listens[name] != port:
                yield f"{pod.name}: port {name} is {port}, and the program listens on {listens[name]}"
    for pod in manifests.pods:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            for action in (pod.container.get(probe) or {}).values():
                if isinstance(action, dict) and "port" in action and action["port"] not in pod.ports:
                    yield f"{pod.name}: its {probe} asks a port that it does not have: {action['port']}"
    for service in manifests.all("Service"):
        for pod in manifests.pods:
            if not selects({"matchLabels": service["spec"]["selector"]}, pod.labels):
                continue
            for port in service["spec"]["ports"]:
                if port["targetPort"] not in pod.ports:
                    yield f"Service {service['metadata']['name']} leads to a port that {pod.name} does not have"
    for policy in manifests.all("NetworkPolicy"):
        reached = [pod for pod in manifests.pods if selects(policy["spec"]["podSelector"], pod.labels)]
        for rule in policy["spec"].get("ingress", []):
            for port in rule["ports"]:
                if not any(port["port"] in pod.ports.values() for pod in reached):
                    yield f"NetworkPolicy {policy['metadata']['name']} lets in to port {port['port']}, which no pod has"
    for monitor in manifests.all("PodMonitor"):
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            if endpoint["port"] != "admin":
                yield f"PodMonitor {monitor['metadata']['name']} does not ask the port of /metrics"
    for route in manifests.all("HTTPRoute"):
        for rule in route["spec"]["rules"]:
            for backend in rule["backendRefs"]:
                ports = [port["port"] for service in manifests.all("Service")
                         if service["metadata"]["name"] == backend["name"] for port in service["spec"]["ports"]]
                if backend["port"] not in ports:
                    yield f"HTTPRoute {route['metadata']['name']} leads to no Service's port: {backend}"


def probes_ask_what_they_are_for(manifests):
    """A process is killed only where it does not answer at all."""
    want = {"startupProbe": "/healthz", "readinessProbe": "/readyz", "livenessProbe": "/healthz"}
    for pod in manifests.ours:
        if pod.owner["kind"] != "Deployment":
            continue
        for probe, path in want.items():
            if (pod.container.get(probe) or {}).get("httpGet", {}).get("path") != path:
                yield f"{pod.name}: its {probe} must ask {path}"


def configuration_is_accepted(manifests, folder):
    """By the program itself, with a file for each secret that it wants."""
    for name in {pod.volume_of(CONFIG_FILE)[0]["configMap"]["name"] for pod in manifests.ours}:
        if not re.search(r"-[a-z0-9]{10}$", name):
            yield f"ConfigMap {name} has no hash in its name: a change would not roll"
    for text in {manifests.config_text(pod) for pod in manifests.ours}:
        for index, path in enumerate(secret_files(text)):
            file = folder / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(make_certificate(folder)[0].read_text() if file.suffix == ".crt" else f"{index:064x}")
        config = folder / "config.yaml"
        config.write_text(text.replace(SECRETS, f"{folder}{SECRETS}"))
        done = subprocess.run([BINARY, "config", "check", config], capture_output=True, text=True)
        if done.returncode != 0:
            yield done.stderr


def secret_files(text):
    return re.findall(rf"{SECRETS}/[\w./-]+", text)


def secret_sources(manifests):
    """The keys of each Secret that is made here; None: any (they are those of the entry in a store)."""
    sources = {}
    for it in manifests.objects:
        name, spec = it["metadata"]["name"], it.get("spec", {})
        if it["kind"] == "Secret":
            sources[name] = set(it.get("data", {})) | set(it.get("stringData", {}))
        elif it["kind"] == "SealedSecret":
            sources[spec["template"]["metadata"]["name"]] = set(spec["encryptedData"])
        elif it["kind"] == "ExternalSecret":
            keys = None if "dataFrom" in spec else {entry["secretKey"] for entry in spec["data"]}
            sources[spec["target"]["name"]] = keys
    return sources


def secrets_are_there(manifests):
    """Each Secret and key that something refers to is made in the same overlay, and each file is mounted."""
    sources = secret_sources(manifests)

    def problem(who, name, key=None):
        if name not in sources:
            return f"{who} wants the Secret {name}, which nothing makes"
        if key is not None and sources[name] is not None and key not in sources[name]:
            return f"{who} wants {key} of the Secret {name}, which is not in it"
        return None

    found = []
    for pod in manifests.pods:
        for entry in pod.container.get("env", []):
            reference = entry.get("valueFrom", {}).get("secretKeyRef")
            if reference:
                found.append(problem(pod.name, reference["name"], reference["key"]))
        for volume in pod.spec.get("volumes", []):
            if "secret" in volume:
                found.append(problem(pod.name, volume["secret"]["secretName"]))
                if volume["secret"].get("optional"):
                    found.append(f"{pod.name} would start without {volume['name']}")
    for it in manifests.all("TriggerAuthentication"):
        for reference in it["spec"]["secretTargetRef"]:
            found.append(problem("KEDA", reference["name"], reference["key"]))
    for pod in manifests.ours:
        for path in secret_files(manifests.config_text(pod)):
            part = path.removeprefix(SECRETS + "/").split("/")[0]
            users = {"api-keys": {"ingest"}, "query-keys": {"query"}, "kafka": USES_KAFKA, "s3": USES_TABLES}[part]
            volume = pod.volume_of(path)
            if pod.command not in users:
                if volume:
                    found.append(f"{pod.name} has {path}, which it does not need")
            elif not volume:
                found.append(f"{pod.name} lacks {path}")
            else:
                found.append(problem(pod.name, volume[0]["secret"]["secretName"], volume[1]))
    yield from filter(None, found)


def keda_reads_what_the_writer_reads(manifests):
    config = settings(manifests)
    for it in manifests.all("ScaledObject"):
        spec = it["spec"]
        metadata = spec["triggers"][0]["metadata"]
        want = {"topic": config["journal.kafka.topic"], "consumerGroup": config["journal.kafka.group"],
                "bootstrapServers": ",".join(config["journal.kafka.brokers"]), "offsetResetPolicy": "earliest",
                "sasl": config["journal.kafka.sasl_mechanism"].lower().replace("scram-sha-", "scram_sha")
                                                              .replace("plain", "plaintext") or "none",
                "tls": "enable" if "ssl" in config["journal.kafka.security"] else "disable"}
        for key, value in want.items():
            if metadata.get(key) != value:
                yield f"KEDA has {key} {metadata.get(key)}, and the writer {value}"
        if spec["minReplicaCount"] < 1:
            yield "without a writer nothing is flushed by age"
        if not spec["minReplicaCount"] <= spec["fallback"]["replicas"] <= spec["maxReplicaCount"]:
            yield "KEDA's fallback is out of its own limits"
        # At fewer than ten batches a second a writer has nothing to do.
        least = 3 * quantity(config["writer.flush_age"]) * 10
        if int(metadata["lagThreshold"]) < least:
            yield f"lagThreshold {metadata['lagThreshold']} is less than three flush ages of ten batches a second: {least}"


def autoscalers_own_replicas(manifests):
    owned = {it["spec"]["scaleTargetRef"]["name"]
             for kind in ("HorizontalPodAutoscaler", "ScaledObject") for it in manifests.all(kind)}
    deployments = {it["metadata"]["name"]: it for it in manifests.all("Deployment")}
    for name in owned - set(deployments):
        yield f"an autoscaler is for {name}, which is not there"
    for name, it in deployments.items():
        if name in owned and "replicas" in it["spec"]:
            yield f"{name} has replicas, which an autoscaler sets too"
        if name not in owned and "replicas" not in it["spec"]:
            yield f"nobody says how many of {name} there are"


def drains_fit_into_the_grace_period(manifests):
    """Requests under way and the drain may each take shutdown.grace; leaving the group takes 5 s."""
    for pod in manifests.ours:
        pre_stop = pod.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        longest = pre_stop + 2 * quantity(settings(manifests)["shutdown.grace"]) + 5
        if pod.spec["terminationGracePeriodSeconds"] <= longest:
            yield f"{pod.name} is killed after {pod.spec['terminationGracePeriodSeconds']} s, and may drain for {longest}"
        if pod.command in SERVES and pre_stop < 5:
            yield f"{pod.name} stops to listen while proxies still send to it"


def limits_cover_what_the_configuration_allows(manifests):
    config = settings(manifests)
    program = 300 * 2**20
    least = {
        "ingest": quantity(config["http.bodies_in_flight_size_max"]) + quantity(config["journal.queue_size_max"]),
        "write": quantity(config["writer.buffer_size_max"]) + program,
        "aggregate": quantity(config["sql.memory_max"]) + program,
        "maintain": quantity(config["sql.memory_max"]) + program,
        "query": config["query.concurrency"] * quantity(config["query.memory_max"]) + program,
    }
    cache = quantity(config["cache.size_max"])
    for pod in manifests.ours:
        limits = pod.container["resources"]["limits"]
        if quantity(limits["memory"]) < least[pod.command]:
            yield f"{pod.name}: {limits['memory']} is less than its configuration lets it take: {least[pod.command]:.0f}"
        if pod.command not in USES_TABLES:
            continue
        volume, _ = pod.volume_of(config["data"] + "/cache")
        disk = quantity(volume["emptyDir"]["sizeLimit"])
        if disk <= cache:
            yield f"{pod.name}: its disk is smaller than cache.size_max"
        if quantity(limits["ephemeral-storage"]) <= disk:
            yield f"{pod.name}: it is evicted before its disk is full"


def pods_are_locked_down(manifests):
    accounts = [pod.spec.get("serviceAccountName") for pod in manifests.ours]
    if len(set(accounts)) != len(accounts):
        yield "two workloads share a ServiceAccount"
    for pod in manifests.pods:
        inner, outer = pod.container["securityContext"], pod.spec["securityContext"]
        want = [outer.get("runAsNonRoot"), isinstance(outer.get("runAsUser"), int) and outer["runAsUser"] > 0,
                outer.get("seccompProfile") == {"type": "RuntimeDefault"},
                inner.get("allowPrivilegeEscalation") is False, inner.get("capabilities") == {"drop": ["ALL"]},
                pod.spec.get("automountServiceAccountToken") is False,
                not any("hostPath" in volume for volume in pod.spec.get("volumes", [])),
                not pod.spec.get("hostNetwork") and not pod.spec.get("hostPID")]
        if pod.is_ours:
            want += [inner.get("readOnlyRootFilesystem") is True, pod.spec.get("enableServiceLinks") is False]
        if not all(want):
            yield f"{pod.name} is not locked down: {want}"
    for pod in manifests.ours:
        account = [it for it in manifests.all("ServiceAccount") if it["metadata"]["name"] == pod.spec["serviceAccountName"]]
        if not account or account[0].get("automountServiceAccountToken") is not False:
            yield f"{pod.name} has no ServiceAccount of its own without a token"
    labels = manifests.all("Namespace")[0]["metadata"]["labels"]
    if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
        yield "the namespace takes pods that are not restricted"


def images_are_pinned(manifests):
    for pod in manifests.ours:
        if not re.fullmatch(r"[\w.:/-]+@sha256:[0-9a-f]{64}", pod.container["image"]):
            yield f"{pod.name}: {pod.container['image']} is not pinned by its digest"


def drains_of_nodes_are_never_blocked(manifests):
    for it in manifests.all("PodDisruptionBudget"):
        spec = it["spec"]
        if spec.get("maxUnavailable") != 1 or spec.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            yield f"PodDisruptionBudget {it['metadata']['name']} can block a drain"


def jobs_end(manifests):
    for it in manifests.all("CronJob"):
        spec, job = it["spec"], it["spec"]["jobTemplate"]["spec"]
        want = [spec.get("concurrencyPolicy") == "Forbid", spec.get("startingDeadlineSeconds", 0) > 10,
                spec.get("timeZone") == "Etc/UTC", "successfulJobsHistoryLimit" in spec, "failedJobsHistoryLimit" in spec,
                job.get("activeDeadlineSeconds", 0) > 0, job.get("ttlSecondsAfterFinished", 0) > 0,
                job.get("backoffLimit", 6) <= 2]
        if not all(want):
            yield f"CronJob {it['metadata']['name']} can pile up: {want}"


def retention_is_stated(manifests):
    if "retention" not in manifests.config.get("maintain", {}):
        yield "nobody says how long records are kept: maintain.retention"


class Network:
    """Which connections the NetworkPolicies of an overlay admit."""

    def __init__(self, manifests):
        self.manifests = manifests
        self.policies = [it["spec"] for it in manifests.all("NetworkPolicy")]

    def leaves(self, pod, port, protocol="TCP", labels=None, namespace=None):
        """Whether a pod may connect to pods with `labels` of this namespace, to another namespace, or outside."""
        return self._admits(pod, "egress", "to", port, protocol, labels, namespace)

    def enters(self, pod, port, labels=None, namespace=None):
        return self._admits(pod, "ingress", "from", port, "TCP", labels, namespace)

    def _admits(self, pod, direction, peers, port, protocol, labels, namespace):
        mine = [it for it in self.policies if selects(it["podSelector"], pod.labels)
                and direction.capitalize() in it["policyTypes"]]
        rules = [rule for it in mine for rule in it.get(direction, [])]
        return not mine or any(
            any(it["port"] == port and it["protocol"] == protocol for it in rule.get("ports", []))
            and any(self._is_peer(peer, labels, namespace) for peer in rule.get(peers, []))
            for rule in rules)

    @staticmethod
    def _is_peer(peer, labels, namespace):
        if labels is None and namespace is None:
            return "ipBlock" in peer
        if "ipBlock" in peer:
            return False
        if namespace is None:
            return "namespaceSelector" not in peer and selects(peer["podSelector"], labels)
        if not selects(peer.get("namespaceSelector", {"matchLabels": {"": ""}}),
                       {"kubernetes.io/metadata.name": namespace}):
            return False
        return "podSelector" not in peer or selects(peer["podSelector"], labels or {})

    def reaches(self, pod, address):
        """HOST:PORT as the configuration has it: a Service here, one of another namespace, or a host outside."""
        host, port = address.rsplit(":", 1)
        services = [it for it in self.manifests.all("Service") if it["metadata"]["name"] == host]
        if not services:
            inside = re.fullmatch(r"[\w-]+\.([\w-]+)\.svc(\.cluster\.local)?", host)
            return self.leaves(pod, int(port), namespace=inside[1] if inside else None)
        for target in self.manifests.pods:
            if selects({"matchLabels": services[0]["spec"]["selector"]}, target.labels):
                real = target.ports[services[0]["spec"]["ports"][0]["targetPort"]]
                return self.leaves(pod, real, labels=target.labels) and self.enters(target, real, labels=pod.labels)
        return False


def network_admits_what_is_needed(manifests):
    network, config = Network(manifests), settings(manifests)
    endpoint = config["s3.endpoint"]
    s3 = re.sub(r"^https?://", "", endpoint) if endpoint else "s3.amazonaws.com:443"
    for pod in manifests.pods:
        for protocol in ("UDP", "TCP"):
            if not network.leaves(pod, 53, protocol, labels={"k8s-app": "kube-dns"}, namespace="kube-system"):
                yield f"{pod.name} cannot ask for names by {protocol}"
    for pod in manifests.ours:
        wanted = config["journal.kafka.brokers"] if pod.command in USES_KAFKA else []
        wanted = wanted + ([s3] if pod.command in USES_TABLES else [])
        for address in wanted:
            if not network.reaches(pod, address):
                yield f"{pod.name} cannot reach {address}"
        scraped = any(selects(it["spec"]["selector"], pod.labels) for it in manifests.all("PodMonitor"))
        if scraped and "admin" in pod.ports and not network.enters(pod, pod.ports["admin"], namespace="monitoring"):
            yield f"Prometheus cannot reach {pod.name}"
    gateways = [parent["namespace"] for it in manifests.all("HTTPRoute") for parent in it["spec"]["parentRefs"]]
    for name in SERVES.values():
        pod = manifests.pod(name)
        for namespace in gateways or ["any"]:
            if not network.enters(pod, pod.ports["http"], namespace=namespace):
                yield f"requests from {namespace} cannot reach {name}"


def network_admits_nothing_else(manifests):
    network = Network(manifests)
    for it in manifests.all("NetworkPolicy"):
        spec = it["spec"]
        for rule in spec.get("egress", []) + spec.get("ingress", []):
            if not rule.get("ports") or not (rule.get("to") or rule.get("from")):
                yield f"NetworkPolicy {it['metadata']['name']} has a rule for every port or everybody"
            for peer in rule.get("to", []):
                block = peer.get("ipBlock", {})
                if block.get("cidr", "").startswith("0.0.0.0") and "169.254.0.0/16" not in block.get("except", []):
                    yield f"NetworkPolicy {it['metadata']['name']} lets out to the node's own role"
    if {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} not in network.policies:
        yield "what is not named is not denied"
    for pod in manifests.ours:
        if network.enters(pod, 8080, namespace="any") and (pod.command not in SERVES or manifests.all("HTTPRoute")):
            yield f"{pod.name} takes connections that it does not serve"
        if pod.command not in USES_TABLES and network.leaves(pod, 443):
            yield f"{pod.name} can connect to all the world"
        if pod.command not in USES_KAFKA and any(network.reaches(pod, it) for it in manifests.config["journal"]["kafka"]["brokers"]):
            yield f"{pod.name} can connect to Kafka, which it has no business with"


CHECKS = [selectors_match, ports_are_those_that_the_program_listens_on, probes_ask_what_they_are_for,
          configuration_is_accepted, secrets_are_there, keda_reads_what_the_writer_reads, autoscalers_own_replicas,
          drains_fit_into_the_grace_period, limits_cover_what_the_configuration_allows, pods_are_locked_down,
          images_are_pinned, drains_of_nodes_are_never_blocked, jobs_end, retention_is_stated,
          network_admits_what_is_needed, network_admits_nothing_else]
