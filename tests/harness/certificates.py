"""Certificates for loopback, by openssl."""
import subprocess


def make_certificate(folder, name="cert", hosts=("localhost",)):
    """A self-signed certificate for `hosts` and 127.0.0.1: the paths of it and of its key."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}-key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-keyout", key, "-out", certificate, "-subj", "/CN=localhost", "-addext",
                    ",".join(["subjectAltName=IP:127.0.0.1", *(f"DNS:{host}" for host in hosts)])], check=True, capture_output=True)
    return certificate, key
