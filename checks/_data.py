"""The data of the checks, read without Phalanx, and a function that runs Phalanx."""
import gzip
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
PHALANX = os.environ.get("PHALANX") or str(ROOT / "target" / "release" / "phalanx")
MNIST = os.environ.get("MNIST") or None


def phalanx(*arguments):
    """Runs the program and returns its output as bytes; if it fails, ends the check with its error output."""
    ran = subprocess.run([PHALANX, *map(str, arguments)], capture_output=True)
    if ran.returncode != 0:
        raise SystemExit(f"phalanx {' '.join(map(str, arguments))}: {ran.stderr.decode()}")
    return ran.stdout


def folder():
    """Returns a temporary folder that is removed at the end of the check."""
    kept = tempfile.TemporaryDirectory(prefix="phalanx-check-")
    folder.kept = kept
    return Path(kept.name)


def digits():
    """Returns the pixels and labels of all 1797 built-in digits, as stored in the file."""
    table = np.loadtxt(gzip.open(ROOT / "src" / "data" / "digits.csv.gz"), delimiter=",", dtype=np.float32)
    return table[:, :-1], table[:, -1].astype(np.int64)


def mnist(part):
    """Returns the pixels (samples, 784), as bytes, and the labels of "train" or "t10k"."""

    def bytes_of(kind, header):
        [path] = [path for path in Path(MNIST).iterdir() if path.name.startswith(f"{part}-{kind}")]
        raw = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
        return np.frombuffer(raw, np.uint8, offset=header)

    return bytes_of("images", 16).reshape(-1, 784), bytes_of("labels", 8).astype(np.int64)


def agreement(found, expected, are_values, most):
    """Describes the difference between two arrays, relative to the largest value for values, and returns True if 99 % agree to 1e-6 and all
    to `most`.
    """
    difference = np.abs(found - expected) / (np.abs(expected).max() if are_values else 1.0)
    largest, usual = float(difference.max()), float(np.quantile(difference, 0.99))
    summary = f"{len(found)} samples, 99 % within {usual:.1e}, all within {largest:.1e}"
    return summary, usual <= 1e-6 and largest <= most
