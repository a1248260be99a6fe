"""overlays/prod in a cluster, with its broker and its S3 server outside."""
import shutil
from pathlib import Path

import yaml
from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from harness.certificates import make_certificate
from harness.cluster import HOST
from harness.examples import make_key
from harness.kafka import Broker
from harness.lake import S3Lake
from harness.manifests import K8S, Manifests, rendered
from harness.process import ROOT
from harness.s3 import S3Server
from harness.waiting import wait_until

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
        self.read_key, self.read_digest = make_key("team")
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
        content = {"millrace-api-keys": {"shop": self.digest}, "millrace-query-keys": {"team": self.read_digest},
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
