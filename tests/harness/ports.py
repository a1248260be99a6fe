"""Ports for the servers of tests."""
import random
import socket


def free_ports(count):
    """The first of `count` neighbouring ports that nobody listens on now. At random: those of another
    test's server are free while it is down."""
    for _ in range(1000):
        first = random.randrange(20000, 30000 - count)
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
    raise AssertionError("no free ports")
