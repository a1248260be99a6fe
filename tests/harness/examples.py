"""The example configurations, as the user gets them."""
import re

import yaml

from harness.process import ROOT, run

FOLDER = ROOT / "config/examples"


def example(name, **changes):
    """The settings of one by dotted key, with some changed: `example("serve.local", data="/tmp/x")`."""
    settings = dict(_flat(yaml.safe_load((FOLDER / f"{name}.yaml").read_text())))
    assert set(changes) <= set(settings) | ALLOWED, set(changes) - set(settings)
    return {**settings, **changes}


# What only a test's own servers need to be told.
ALLOWED = {"journal.kafka.ssl_ca_file", "s3.endpoint", "http.listen", "admin.listen"}


def _flat(tree, prefix=""):
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def make_key(name):
    """A new API key, and its hash."""
    made = run("key", "create", "--name", name, "--site", f"{name}.example").stdout
    return re.search(r"\bmr_\w+", made)[0], re.search(r"sha256: (\w+)", made)[1]
