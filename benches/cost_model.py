#!/usr/bin/env python3
"""The cost of a step on a cluster: a model with four terms, fitted to this machine, and its predictions for larger ones.

    benches/cost_model.py --measure      measures (needs Open MPI and libclang, two idle cores, some minutes) into benches/cost_model.json
    benches/cost_model.py                prints the chapter of the book, from that file:
                                         benches/cost_model.py > docs/src/cluster.md

The model: T = compute · (1 + imbalance) + latency + bytes / bandwidth + combining. See the page for the formulas.
"""

import argparse
import datetime
import json
import math
import os
import random
import re
import statistics
import struct
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FACTS = ROOT / "benches/cost_model.json"
#: 784-512-512-10 and batches of 256.
HIDDEN, BATCH, PARAMS = "512,512", 256, 669_706
LENGTHS = [1, 256, 4096, 65_536, 262_144, 1_048_576, 4_194_304]
#: About the length that two processes exchange for that model, and in the caches as in a step.
LARGE = 262_144
#: Exchanges of a step: the calls, subtrees, words, params; with norms, one more.
EXCHANGES = 4
#: Networks by their nominal Gbit/s, with the latency of one small message in µs according to vendors and benchmarks:
#: TCP over 10 Gbit Ethernet, RoCE at 100, InfiniBand NDR at 400.
NETWORKS = {10: 30.0, 100: 5.0, 400: 2.0}
#: The fraction of the nominal rate that large messages reach.
REACHED = 0.9
#: Bytes per second that all cores of a host together read and write: three quarters of eight channels of DDR5-4800.
HOST_BYTES = 230e9
#: The relative deviation of one rank's compute time from step to step on dedicated hosts; on this machine it is measured.
DEDICATED = 0.01
#: Seconds that a process spends on a message in addition to its latency: posting, matching.
OVERHEAD = 1e-6
CLUSTERS = [(8, 64), (128, 64)]
SIZES = [10**5, 10**6, 10**7, 10**8, 10**9]


def npy(path, descr, shape, data):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data)


def measure():
    subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "phalanx-cli", "--features", "mpi"], cwd=ROOT, check=True)
    program = str(Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release/phalanx")
    os.environ |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    job = ["mpirun", "-np", "2", program]
    with tempfile.TemporaryDirectory() as folder:
        samples, draw = 4096, random.Random(1)
        npy(Path(folder, "X.npy"), "|u1", (samples, 784), draw.randbytes(samples * 784))
        npy(Path(folder, "Y.npy"), "<i4", (samples,), struct.pack(f"<{samples}i", *(draw.randrange(10) for _ in range(samples))))
        data = f"{folder}/X.npy,{folder}/Y.npy"

        def measured(command, *arguments):
            text = subprocess.run([*command, "bench", *arguments, "--json", "-", "--quiet"], check=True, capture_output=True, text=True).stdout
            return json.loads(text[text.index("{"):])

        train = ["scaling", data, "--hidden", HIDDEN, "-b", str(BATCH), "--lr", "0.01", "--momentum", "0.9", "--max-steps", "200", "--takes", "3"]
        all_reduce = ["all-reduce", "--lengths", ",".join(map(str, LENGTHS))]
        rounds = []
        for _ in range(5):
            threads, processes = measured([program], *train, "-t", "1,2"), measured(job, *train, "-t", "1")
            speeds = [point["samples_per_sec"]["median"] for point in threads["points"]]
            speeds.append(processes["points"][-1]["samples_per_sec"]["median"])
            rounds.append(speeds)
        shares = threads["points"][1]["ranks"]
        facts = {
            "machine": machine(),
            "date": datetime.date.today().isoformat(),
            "samples_per_sec": dict(zip(["1x1", "1x2", "2x1"], (statistics.median(column) for column in zip(*rounds)))),
            "two_processes_over_two_threads": statistics.median(speeds[2] / speeds[1] for speeds in rounds),
            "flops_per_sample": threads["flops_per_sample"],
            "wait_of_two_threads": statistics.mean(share["wait"] for share in shares),
            "all_reduce_of_processes": [
                {name: point[name] for name in ("len", "median_secs", "mpi_median_secs")} for point in measured(job, *all_reduce)["points"]
            ],
            "all_reduce_of_threads": [
                {name: point[name] for name in ("len", "median_secs")} for point in measured([program], *all_reduce, "-t", "2")["points"]
            ],
        }
    FACTS.write_text(json.dumps(facts, indent=1) + "\n")


def machine():
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return f"{os.cpu_count()} cores, {model.group(1).strip() if model else 'unknown processor'}"


class Model:
    """The terms of a step, in seconds."""

    def __init__(self, facts):
        self.facts = facts
        self.rate = facts["samples_per_sec"]["1x1"] * facts["flops_per_sample"]
        #: Relative deviation of a rank's time that explains the measured wait of two ranks: E max of two normals is σ/√π above the mean.
        self.jitter = facts["wait_of_two_threads"] * math.sqrt(math.pi)
        points = {point["len"]: point["median_secs"] for point in facts["all_reduce_of_processes"]}
        #: A small all-reduce is one exchange.
        self.latency = points[1]
        #: With two processes, the bytes of the vector are sent each way; latencies and combining are small in comparison.
        self.bandwidth = 4 * LARGE / (points[LARGE] - 3 * self.latency)
        threads = {point["len"]: point["median_secs"] for point in facts["all_reduce_of_threads"]}
        #: Bytes per second that a core reads and writes while it combines: each of two reads and writes its half of both vectors.
        self.combining = 4 * 2 * LARGE / threads[LARGE]

    def step(self, n, t, params, samples, bandwidth=None, latency=None, host=None, jitter=None):
        """The parts of a step of n processes with t threads each, on `samples` samples per rank, in seconds."""
        bandwidth, latency, jitter = bandwidth or self.bandwidth, latency or self.latency, jitter or self.jitter
        combining = min(self.combining * t, host or math.inf)
        compute = samples * 6 * params / self.rate
        # The maximum of two normals is 1/√π above their mean, the maximum of n about √(2 ln n).
        greatest = math.sqrt(2 * math.log(n * t)) if n * t > 2 else 1 / math.sqrt(math.pi)
        return {
            "compute": compute,
            "imbalance": compute * jitter * greatest,
            "latency": EXCHANGES * (latency + (n - 1) * OVERHEAD),
            "bandwidth": 2 * (n - 1) / n * 4 * params / bandwidth,
            # Data to others is written and read, data from others is read, and the result is written.
            "combining": 4 * params * (3 * (n - 1) / n + 1 / n) / combining,
        }

    def efficiency(self, *arguments, **network):
        parts = self.step(*arguments, **network)
        return parts["compute"] / sum(parts.values())


def least_samples(model, n, t, params, network):
    """The smallest number of samples per rank with an efficiency of at least 0.9, or None if a million is not enough."""
    samples = 1
    while model.efficiency(n, t, params, samples, **network) < 0.9:
        samples *= 2
        if samples > 1 << 20:
            return None
    low = samples // 2
    while samples - low > max(1, samples // 64):
        middle = (samples + low) // 2
        low, samples = (low, middle) if model.efficiency(n, t, params, middle, **network) >= 0.9 else (middle, samples)
    return samples


def page():
    facts = json.loads(FACTS.read_text())
    model = Model(facts)
    speeds, of_two = facts["samples_per_sec"], facts["two_processes_over_two_threads"]
    # An MLP's gradient takes 6 operations per param and sample; the measured model computes no gradient of the inputs of its first layer.
    scale = facts["flops_per_sample"] / (6 * PARAMS)
    parts = model.step(2, 1, PARAMS, BATCH / 2 * scale)
    predicted, found = sum(parts.values()), BATCH / speeds["2x1"]
    print(f"""# The cost of a cluster

This chapter models what a step costs over several machines. The model is fitted to measurements on one
machine, and predicts the cost on others. Only the first two sections contain measurements; the rest is
prediction, as there was no cluster to measure. `benches/cost_model.py --measure` measures your machine, and
`benches/cost_model.py` prints this chapter. Measured {facts["date"]}; {facts["machine"]}.

## The model

n processes with t threads each, P params, b samples per rank:

```text
T = compute · (1 + imbalance) + latency + bandwidth + combining

compute     6·P·b / r                          r = {model.rate / 1e9:.0f} GFLOP/s, one core in training
imbalance   σ·√(2 ln(n·t)), σ/√π for two ranks σ = {100 * model.jitter:.1f} %, from the wait of two threads for each other
latency     {EXCHANGES}·(α + (n − 1)·o)                  α = {1e6 * model.latency:.1f} µs, a small all-reduce of two processes; o = {1e6 * OVERHEAD:.0f} µs, assumed
bandwidth   2·(n − 1)/n · 4·P / β              β = {model.bandwidth / 1e9:.1f} GB/s each way, a large all-reduce
combining   4·P·(3(n − 1) + 1)/n / ρ           ρ = {model.combining / 1e9:.1f} GB/s per core, at most {HOST_BYTES / 1e9:.0f} GB/s per host, assumed
```

Two processes of one thread, 784-512-512-10 with batches of {BATCH}: predicted {1e3 * predicted:.2f} ms per step (without
the products for the gradient of the inputs, which training does not compute), measured
{1e3 * found:.2f} ms; the prediction is {abs(predicted / found - 1) * 100:.0f} % too {"high" if predicted > found else "low"}. The two processes reach {100 * of_two:.0f} % of the speed of one
process with two threads (median of 5 interleaved rounds). By the model, their step consists of
{", ".join(f"{name} {100 * part / predicted:.0f} %" for name, part in parts.items())}.

## The all-reduce of two processes on one machine

| length (f32) | Phalanx | `MPI_Allreduce` | ratio |
|---|---|---|---|""")
    for point in facts["all_reduce_of_processes"]:
        ours, mpi = 1e6 * point["median_secs"], 1e6 * point["mpi_median_secs"]
        print(f"| {point['len']:,} | {ours:,.1f} µs | {mpi:,.1f} µs | {ours / mpi:.1f} × |")
    print(f"""
Phalanx first checks that all processes call the same operation, and combines in a documented order.

## Predictions

Efficiency of a step, compute / T, with 32 samples per rank and one shard each. Further assumptions:
latencies of {", ".join(f"{micros:.0f} µs at {gbit} Gbit/s" for gbit, micros in NETWORKS.items())}, nine tenths of the nominal
rates, and σ = {100 * DEDICATED:.0f} % on hosts that run nothing else. With the σ of the machine above, which was shared
with other programs, no efficiency of 8 × 64 is above {100 / (1 + model.jitter * math.sqrt(2 * math.log(512))):.0f} %.
""")
    print("| processes × threads | network | " + " | ".join(f"P = 10^{round(math.log10(size))}" for size in SIZES) + " |")
    print("|---|---|" + "---|" * len(SIZES))
    networks = {gbit: {"bandwidth": REACHED * gbit * 1e9 / 8, "latency": 1e-6 * micros, "host": HOST_BYTES, "jitter": DEDICATED} for gbit, micros in NETWORKS.items()}
    for n, t in CLUSTERS:
        for gbit, network in networks.items():
            cells = [f"{100 * model.efficiency(n, t, size, 32, **network):.0f} %" for size in SIZES]
            print(f"| {n} × {t} | {gbit} Gbit/s | " + " | ".join(cells) + " |")
    print("""
The next table has the smallest number of samples per rank for which the efficiency stays above 90 %, and in
brackets the batch size that results. Compute and bytes both grow with the params; so, once latency is
negligible, the number of samples decides, and not the size of the model:
""")
    print("| processes × threads | network | " + " | ".join(f"P = 10^{round(math.log10(size))}" for size in SIZES) + " |")
    print("|---|---|" + "---|" * len(SIZES))
    for n, t in CLUSTERS:
        for gbit, network in networks.items():
            cells = []
            for size in SIZES:
                samples = least_samples(model, n, t, size, network)
                cells.append("never" if samples is None else f"{samples:,} ({samples * n * t:,})")
            print(f"| {n} × {t} | {gbit} Gbit/s | " + " | ".join(cells) + " |")
    print("""
What would change these numbers:

- Gradients of fewer bits would halve the bandwidth term, but would not give the same bits.
- Sending the gradient of the last layer while that of the first is computed would hide it behind compute.
- With more than a hundred processes, exchanges in log₂ n rounds would save messages.
- If the number of shards per process is not a power of two, the shards of a process do not form a
  subtree, and more bytes are sent: up to twice as many for three processes.

Models that do not fit in the memory of one process are out of scope.""")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true")
    measure() if parser.parse_args().measure else page()
