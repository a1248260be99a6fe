"""Real S3 servers, two that have nothing in common: MinIO and versitygw."""
import json
import os
import shutil
import subprocess
from pathlib import Path

import boto3
from botocore.config import Config

from harness.ports import free_ports
from harness.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
KEY, SECRET = "millrace-test", "millrace-secret"
KINDS = ["minio", "versitygw"]


class S3Server:
    """One server over one folder, with one bucket.

    `region` is MinIO's only, and `has_users` versitygw's: its add_user() and allow_all_but() work.
    The keys may be others after each stop(). `url`: of one that runs already, on loopback; it is used
    and left as it is. `address`: where it listens, if not on a free port of loopback.
    """

    def __init__(self, kind, folder, region="us-east-1", has_users=False, url=None,
                 address=None):
        self.kind = kind
        self.folder = Path(folder)
        self.bucket = "lake"
        self.region = region
        self.key, self.secret = KEY, SECRET
        self._has_users = has_users
        self._is_ours = url is None
        self.port = free_ports(2)
        self.address = address or f"127.0.0.1:{self.port}"
        self.url = url or f"http://{self.address}"
        self.process = None
        self.programs = None

    def start(self):
        if self._is_ours:
            self._run()
        wait_until(f"{self.kind} is ready", self._is_ready, self.log_tail)
        if self.bucket not in [bucket["Name"] for bucket in self.client.list_buckets()["Buckets"]]:
            self.client.create_bucket(Bucket=self.bucket)
        return self

    def _run(self):
        self.programs = subprocess.run([ROOT / "tools/install_s3_servers.sh"], check=True,
                                       timeout=1800, stdout=subprocess.PIPE,
                                       text=True).stdout.strip()
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        command = {
            "minio": ["server", data, "--address", self.address, "--console-address",
                      f"127.0.0.1:{self.port + 1}"],
            "versitygw": ["--port", self.address, "--quiet", *self._users(), "posix", data],
        }[self.kind]
        environment = {**os.environ, "MINIO_ROOT_USER": self.key,
                       "MINIO_ROOT_PASSWORD": self.secret, "MINIO_SITE_REGION": self.region,
                       "ROOT_ACCESS_KEY": self.key, "ROOT_SECRET_KEY": self.secret}
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen([f"{self.programs}/{self.kind}", *map(str, command)],
                                            stdout=log, stderr=log, env=environment)

    def _is_ready(self):
        try:
            self.client.list_buckets()
            return True
        except Exception:
            return False

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)
            self.process = None

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder)

    def log_tail(self):
        if not self._is_ours:
            return ""
        return (self.folder / "server.log").read_text(errors="replace")[-2000:]

    def _users(self):
        if not self._has_users:
            return []
        folder = self.folder / "users"
        folder.mkdir(exist_ok=True)
        return ["--iam-dir", folder]

    def add_user(self, key, secret):
        subprocess.run(
            [f"{self.programs}/versitygw", "admin", "--access", self.key, "--secret", self.secret,
             "--endpoint-url", self.url, "create-user", "--access", key, "--secret", secret,
             "--role", "user"], check=True, timeout=60, stdout=subprocess.DEVNULL)

    def allow_all_but(self, key, action):
        """The user may do to the bucket what Millrace needs, except one action."""
        allowed = {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"} - {action}
        bucket = f"arn:aws:s3:::{self.bucket}"
        statements = [
            {"Effect": "Allow", "Principal": {"AWS": [key]}, "Action": [name],
             "Resource": bucket if name == "s3:ListBucket" else f"{bucket}/*"} for name in allowed]
        self.client.put_bucket_policy(Bucket=self.bucket, Policy=json.dumps(
            {"Version": "2012-10-17", "Statement": statements}))

    @property
    def client(self):
        return boto3.client(
            "s3", endpoint_url=self.url, aws_access_key_id=self.key,
            aws_secret_access_key=self.secret, region_name=self.region, config=Config(retries={"max_attempts": 3}, read_timeout=20))

    def settings(self, url=None):
        """What Millrace is told of it; `url`: of a proxy before it."""
        return {"s3.endpoint": url or self.url, "s3.access_key_id": self.key,
                "s3.secret_access_key": self.secret, "s3.region": self.region}

    def storage_options(self):
        """What delta-rs and Polars are told of it."""
        return {"AWS_ENDPOINT_URL": self.url, "AWS_ACCESS_KEY_ID": self.key,
                "AWS_SECRET_ACCESS_KEY": self.secret, "AWS_REGION": self.region,
                "AWS_ALLOW_HTTP": "true", "aws_conditional_put": "etag"}

    def list(self, prefix=""):
        """[(key, ETag)]"""
        found = []
        for page in self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix):
            found += [(item["Key"], item["ETag"]) for item in page.get("Contents", [])]
        return found

    def get(self, key):
        return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
