"""Waiting for named conditions."""
import time

# Guards against a hang and nothing else: no test passes or fails by how fast something is.
HANG_SECONDS = 120
POLL_SECONDS = 0.02


class Hang(AssertionError):
    """A condition did not come to hold."""


def wait_until(what, condition, describe=None, hang_seconds=HANG_SECONDS):
    """Polls `condition` until it is truthy and returns that value. `what` names the condition."""
    deadline = time.monotonic() + hang_seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            detail = f"; at the end: {describe()}" if describe else ""
            raise Hang(f"did not happen within {hang_seconds} s: {what}{detail}")
        time.sleep(POLL_SECONDS)
