"""Which library each symbol of the program comes from."""
import collections
import os
import re
import subprocess

from harness.process import BINARY

BINDING = re.compile(r"binding file (\S+) \[0\] to (\S+) \[0\]: normal symbol `([^']+)'")
# Arrow's libraries hold copies of both (tools/hide_symbols.py); half of each would crash.
SHARED_WITH_ARROW = re.compile(r"^(EVP|SSL|X509|BIO|RSA|SHA256)_|^_ZNK?8simdjson")


def test_openssl_and_simdjson_are_the_systems(tmp_path):
    """All symbols are resolved at the start here: one that is missing ends the program."""
    trace = tmp_path / "bindings"
    environment = {**os.environ, "LD_BIND_NOW": "1", "LD_DEBUG": "bindings",
                   "LD_DEBUG_OUTPUT": str(trace)}
    done = subprocess.run([BINARY, "version"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    sources = collections.defaultdict(set)
    for path in tmp_path.glob("bindings.*"):
        for user, source, symbol in BINDING.findall(path.read_text(errors="replace")):
            # A library may always use its own copy.
            if SHARED_WITH_ARROW.match(symbol) and user != source:
                sources[os.path.basename(source).split(".so")[0]].add(symbol)
    assert "EVP_sha256" in sources["libcrypto"]
    assert sources["libsimdjson"], "the program uses simdjson"
    # The linker copies constants of a library into the program that uses them.
    others = set(sources) - {"libcrypto", "libssl", "libsimdjson", BINARY.name}
    assert not others, {name: sources[name] for name in others}
