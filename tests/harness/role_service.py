"""What gives a machine or a container the keys of its role: the metadata services of EC2 and ECS."""
import json
import threading
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3

ROLE = "the-role"
TOKEN = "the-token"


class RoleService:
    """Answers with temporary keys that `server`, a MinIO, has made. They are said to expire in
    `lifetime_seconds`, and there are others at half of that; `made` has them all.
    """

    def __init__(self, server, lifetime_seconds=4):
        self._server = server
        self._lifetime = timedelta(seconds=lifetime_seconds)
        self._lock = threading.Lock()
        self._until = datetime.now(timezone.utc)
        self.made = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self):
                self._answer(TOKEN if self.path == "/latest/api/token" else None)

            def do_GET(self):
                roles = "/latest/meta-data/iam/security-credentials"
                if self.path == "/container":
                    return self._answer(service._keys())
                if self.headers.get("X-aws-ec2-metadata-token") != TOKEN:
                    return self._answer(None, 401)
                if self.path.rstrip("/") == roles:
                    return self._answer(ROLE)
                return self._answer(
                    service._keys() if self.path == f"{roles}/{ROLE}" else None)

            def _answer(self, text, error=404):
                self.send_response(200 if text else error)
                body = (text or "").encode()
                self.send_header("Content-Length", str(len(body)))
                self.send_header("x-aws-ec2-metadata-token-ttl-seconds", "21600")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)

    def _keys(self):
        with self._lock:
            now = datetime.now(timezone.utc)
            if now > self._until - self._lifetime / 2:
                self.made.append(self._make_keys())
                self._until = now + self._lifetime
            return json.dumps({**self.made[-1], "Code": "Success", "Type": "AWS-HMAC",
                               "Expiration": self._until.strftime("%Y-%m-%dT%H:%M:%SZ")})

    def _make_keys(self):
        made = boto3.client(
            "sts", endpoint_url=self._server.url, aws_access_key_id=self._server.key,
            aws_secret_access_key=self._server.secret, region_name="us-east-1").assume_role(
                RoleArn="arn:aws:iam::1:role/any", RoleSessionName="test")["Credentials"]
        return {"AccessKeyId": made["AccessKeyId"], "SecretAccessKey": made["SecretAccessKey"],
                "Token": made["SessionToken"]}

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()
