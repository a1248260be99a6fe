"""Faults at random over the three workloads: every acknowledged batch is in the tables once.

A few seeds by default. `pytest tests/test_chaos.py -s --minutes 60 --seed 1000` goes on with seeds
from 1000 upwards for an hour.
"""
import itertools
import time

import pytest

from harness.chaos import Chaos
from harness.kafka import Broker

SEEDS = range(1, 4)
LOAD_SECONDS = 40


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    broker = Broker(tmp_path_factory.mktemp("kafka")).up()
    yield broker
    broker.down()


def test_each_batch_is_there_once_whatever_fails(broker, tmp_path, pytestconfig):
    minutes = pytestconfig.getoption("--minutes")
    end = time.monotonic() + 60 * minutes
    seeds = itertools.count(pytestconfig.getoption("--seed")) if minutes else SEEDS
    for seed in seeds:
        folder = tmp_path / str(seed)
        folder.mkdir()
        chaos = Chaos(broker, folder, seed)
        try:
            print(chaos.run(LOAD_SECONDS), flush=True)
        finally:
            chaos.end()
        if minutes and time.monotonic() > end:
            break
