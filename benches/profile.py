#!/usr/bin/env python3
"""The shares of a training step by kind of work: 784-512-512-10 on two threads with batches of 256 and momentum.

Usage: profile.py MNIST_FOLDER   (needs `perf`; the kernel must allow it to record)

Builds the program with symbols that name the kernels, records a run with each instruction set that the machine has, and
prints a table for the docs of `train`. Loading and scoring are too short to matter in 40 epochs.
"""
import collections
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TARGET = os.path.join(ROOT, "target", "profile")
# The first pattern that a symbol matches gives its kind.
KINDS = [
    ("products", r"(Output|Input)Tile|gradient::Gradient<"),
    ("packing and transposing", r"RowProduct|InputGradient|panels::Packing"),
    ("updates", r"optim|memmove|memcpy"),
    ("gathering, softmax, activations", r"data::features|activation|loss|exp|BiasGradient|largest_magnitude"),
    ("waiting and system", r"phalanx_collective|^\[k\]|Gate|sched"),
    ("other", r""),
]


def shares(program, data, instructions, folder):
    record = os.path.join(folder, instructions)
    run = [program, "--instructions", instructions, "train", data, "-t", "2", "-b", "256", "--hidden", "512,512", "--lr", "0.1",
           "--momentum", "0.9", "--epochs", "40", "--test-split", "0.01", "--quiet", "-o", os.path.join(folder, f"run-{instructions}")]
    subprocess.run(["perf", "record", "-q", "-F", "2000", "-o", record, *run], check=True)
    report = ["perf", "report", "-i", record, "--no-children", "--sort", "symbol", "--percentage", "absolute", "--stdio"]
    text = subprocess.run(report, check=True, capture_output=True, text=True).stdout
    found = collections.Counter()
    for percent, symbol in re.findall(r"^\s+([\d.]+)%\s+(.*)$", text, re.MULTILINE):
        found[next(kind for kind, pattern in KINDS if re.search(pattern, symbol))] += float(percent)
    return found


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    flags = os.environ.get("RUSTFLAGS", "") + " -C symbol-mangling-version=v0"
    build = ["cargo", "build", "--release", "--quiet", "--target-dir", TARGET]
    subprocess.run(build, check=True, cwd=ROOT, env={**os.environ, "RUSTFLAGS": flags})
    program = os.path.join(TARGET, "release", "phalanx")
    columns = {}
    with tempfile.TemporaryDirectory() as folder:
        for instructions in ["avx512", "avx2", "portable"]:
            if subprocess.run([program, "--instructions", instructions, "train", "--print-config"], capture_output=True).returncode == 0:
                columns[instructions] = shares(program, sys.argv[1], instructions, folder)
    print("| work |", " | ".join(columns), "|\n|---|" + "---|" * len(columns))
    for kind, _ in KINDS:
        print(f"| {kind} |", " | ".join(f"{found[kind]:.1f} %" for found in columns.values()), "|")


if __name__ == "__main__":
    main()
