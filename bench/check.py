"""Compares what each stage costs, relative to its limit in the same run, with what is recorded.

The limit of decoding is simdjson reading three fields, that of encoding is Arrow alone, that of a durable append is
write() and fdatasync(), that of producing is librdkafka alone. A ratio of two costs in one run says the same on a slow
machine as on a fast one. Fails where a ratio has grown by more than a fifth.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "bench/pipeline"), str(ROOT / "tests")]

import measure  # noqa: E402  (needs the path above)
from harness.kafka import Broker  # noqa: E402

LOSS_MAX = 0.2
RECORDED = ROOT / "bench/ratios.json"

# Stage: the program, what is ours in it, and the limit.
STAGES = {
    "decode JSON": ("record_bench", "decode/json", "simdjson_three_fields"),
    "decode NDJSON": ("record_bench", "decode/ndjson", "simdjson_three_fields"),
    "decode combined lines": ("record_bench", "decode/combined", "simdjson_three_fields"),
    "read back from the journal": ("record_bench", "read_canonical", "simdjson_three_fields"),
    "recognise crawlers": ("crawler_bench", "seen_before", "hash_table_alone"),
    "build and encode a file": ("columnar_bench", "build_and_encode", "arrow_alone"),
    "append to the journal, single records": (
        "journal_bench", "append/single_records", "write_and_fdatasync/single_records"),
    "append to the journal, batches of 1,000": (
        "journal_bench", "append/batches_of_1000", "write_and_fdatasync/batches_of_1000"),
    "append to Kafka, single records": (
        "produce_bench", "append/single_records", "librdkafka_alone/single_records"),
    "append to Kafka, batches of 1,000": (
        "produce_bench", "append/batches_of_1000", "librdkafka_alone/batches_of_1000"),
}


def costs(program, repetitions, environment=None):
    """Processor time of each benchmark of a program, for one iteration: the least of its repetitions, since noise
    only adds. The repetitions of all of them are mixed, so that a machine that slows down slows all of them."""
    done = subprocess.run(
        ["taskset", "--cpu-list", measure.SERVER_CORE, ROOT / "build/release/bench" / program,
         f"--benchmark_repetitions={repetitions}", "--benchmark_enable_random_interleaving=true",
         "--benchmark_format=json"],
        capture_output=True, text=True, env={**os.environ, **(environment or {})})
    assert done.returncode == 0, done.stderr
    found = {}
    for row in json.loads(done.stdout)["benchmarks"]:
        if row["run_type"] == "iteration":
            name = row["run_name"].split("/iterations:")[0]
            found[name] = min(row["cpu_time"], found.get(name, row["cpu_time"]))
    return found


def costs_with_broker(program, repetitions):
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as folder:
        broker = Broker(folder)
        broker.up()
        try:
            measure.pin(int((broker.folder / "pid").read_text()), measure.LOAD_CORE)
            return costs(program, repetitions,
                         {"PRODUCE_BENCH_BROKER": broker.address, "PRODUCE_BENCH_TOPIC": broker.topic})
        finally:
            broker.down()


def measure_ratios(repetitions):
    found = {}
    for program in dict.fromkeys(program for program, _, _ in STAGES.values()):
        # A broker that nobody needs would be in the way of the others.
        if program == "produce_bench":
            found[program] = costs_with_broker(program, repetitions)
        else:
            # A temporary folder may be memory, where a sync costs nothing.
            found[program] = costs(program, repetitions, {"JOURNAL_BENCH_FOLDER": str(ROOT / "build")})
    return {stage: round(found[program][ours] / found[program][limit], 3)
            for stage, (program, ours, limit) in STAGES.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=9, help="of each benchmark; the least counts")
    parser.add_argument("--record", action="store_true", help="take today's ratios for those to compare with")
    arguments = parser.parse_args()
    ratios = measure_ratios(arguments.repetitions)
    if arguments.record:
        RECORDED.write_text(json.dumps(ratios, indent=2) + "\n")
    recorded = json.loads(RECORDED.read_text())
    lost = 0
    print(f"{'stage':42} {'its limit':36} {'ratio':>7} {'recorded':>9}")
    for stage, ratio in ratios.items():
        is_lost = ratio > recorded[stage] * (1 + LOSS_MAX)
        lost += is_lost
        print(f"{stage:42} {STAGES[stage][2]:36} {ratio:7.2f} {recorded[stage]:9.2f}{'  LOST' if is_lost else ''}")
    if lost:
        sys.exit(f"{lost} of {len(ratios)} stages cost over {LOSS_MAX:.0%} more, relative to their limits, than "
                 "recorded in bench/ratios.json. If the loss is meant, record it: tools/bench_check.sh --record")


if __name__ == "__main__":
    main()
