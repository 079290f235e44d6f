"""Checks that Python's safetensors reads the model files and checkpoints of Phalanx, and that Phalanx reads files of Python, with the same bits.

Phalanx to Python: in every model and checkpoint, each tensor has the expected name, type and shape, the params have the hash that the run
reported, and the metadata are JSON. Python to Phalanx: --init accepts params that Python saved, with the same hash; a model or checkpoint that
Python has loaded and saved again is unchanged; tensors of another type, shape or name are refused, and the error names them.
"""
import json
import subprocess
import sys

from _environment import enter

enter("safetensors", ["safetensors", "numpy"], ["numpy", "safetensors.numpy"])

import hashlib

import numpy as np
from safetensors import __version__, safe_open
from safetensors.numpy import save_file

from _data import PHALANX, folder, phalanx

work = folder()
cases = []


def case(good, label):
    cases.append(bool(good))
    if not good:
        print(f"FAILED: {label}")


def read(path):
    """Returns the tensors of a file and its metadata, as read by Python's safetensors."""
    with safe_open(path, "np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()


def shapes(widths):
    """Returns the shape of each tensor of a model, in the order of its params."""
    layers = enumerate(zip(widths, widths[1:]))
    return {f"layers.{k}.{part}": shape for k, (i, o) in layers for part, shape in (("weight", (o, i)), ("bias", (o,)))}


def params_sha256(tensors, names):
    return hashlib.sha256(b"".join(tensors[name].astype("<f4").tobytes() for name in names)).hexdigest()


def recorded_hash(run):
    return json.loads((run / "results.json").read_text())["params_sha256"]


def check_tensors(label, tensors, expected):
    case(set(tensors) == set(expected), f"{label}: names {sorted(tensors)}")
    for name, shape in expected.items():
        found = tensors.get(name, np.zeros(()))
        element = np.float64 if name == "history.epoch_secs" else np.float32
        case(found.shape == shape and found.dtype == element, f"{label}: {name} is {found.dtype} of {found.shape}")


def inspected(path):
    """Returns the output of `phalanx inspect` for a file, including errors."""
    ran = subprocess.run([PHALANX, "inspect", path], capture_output=True, text=True)
    return ran.stdout + ran.stderr


STATES = {"sgd": [], "adam": ["exp_avg", "exp_avg_sq"], "adagrad": ["sum"], "lamb": ["exp_avg", "exp_avg_sq"]}
for optimizer, states in STATES.items():
    for hidden in ([], [5], [7, 3]):
        label = f"{optimizer} {hidden}"
        run = work / f"{optimizer}-{len(hidden)}"
        flags = ["--hidden", ",".join(map(str, hidden)) or "none", "--optimizer", optimizer, "--restore-best"]
        phalanx("train", "digits", "--quiet", "-o", run, "--epochs", "2", "--standardize", *flags)
        expected = shapes([64, *hidden, 10])

        tensors, metadata = read(run / "model.safetensors")
        check_tensors(f"model of {label}", tensors, expected)
        case(params_sha256(tensors, expected) == recorded_hash(run), f"model of {label}: hash")
        described = json.loads(metadata["phalanx"])
        case(described["shape"]["hidden"] == hidden and len(described["standardize"]["mean"]) == 64, f"model of {label}: {described}")

        [path] = sorted((run / "checkpoints").iterdir())[-1:]
        kept, about = read(path)
        of_best = {f"best.{name}": shape for name, shape in expected.items()}
        of_state = {f"optimizer.{state}.{name}": shape for state in states for name, shape in expected.items()}
        check_tensors(f"checkpoint of {label}", kept, expected | of_best | of_state | {"history.epoch_secs": (2,)})
        case(json.loads(about["phalanx-checkpoint"])["state"] == states, f"checkpoint of {label}: state")

        for kind, (arrays, texts) in {"model": (tensors, metadata), "checkpoint": (kept, about)}.items():
            copy = work / f"{run.name}-{kind}.safetensors"
            save_file(arrays, copy, texts)
            case(params_sha256(arrays, expected) in inspected(copy), f"{kind} of {label}, saved again")

chance = np.random.default_rng(7)
for hidden in ([], [1], [30, 20], [6, 5, 4]):
    names = shapes([64, *hidden, 10])
    tensors = {name: chance.standard_normal(shape).astype(np.float32) for name, shape in names.items()}
    theirs = work / "theirs.safetensors"
    flags = ["--hidden", ",".join(map(str, hidden)) or "none", "--lr", "0", "--max-steps", "1", "--quiet"]
    for label, metadata in (("no metadata", None), ("metadata", {"format": "np", "made by": "ü \"x\""})):
        save_file(tensors, theirs, metadata)
        run = work / f"init-{len(hidden)}-{label[:2]}"
        phalanx("train", "digits", "-o", run, "--init", theirs, *flags)
        case(recorded_hash(run) == params_sha256(tensors, names), f"--init of {hidden} with {label}")
        shown = inspected(theirs)
        case(all(name in shown for name in names), f"inspect of {hidden} with {label}: {shown}")

    first = "layers.0.weight"
    for label, name, array in (
        ("F16", first, tensors[first].astype(np.float16)),
        ("F64", first, tensors[first].astype(np.float64)),
        ("[64, ", first, np.ascontiguousarray(tensors[first].T)),
        ("fc.weight", "fc.weight", tensors[first]),
        ("NaN", first, np.full_like(tensors[first], np.nan)),
    ):
        save_file({key: value for key, value in tensors.items() if key != name} | {name: array}, theirs)
        refused = subprocess.run([PHALANX, "train", "digits", "-o", work / "no", "--init", theirs, *flags], capture_output=True, text=True)
        good = refused.returncode == 1 and label in refused.stderr and "theirs.safetensors" in refused.stderr
        case(good, f"{hidden}, {label}: {refused.returncode} {refused.stderr}")

print(f"D7 {sum(cases)}/{len(cases)}: files exchanged between Phalanx and Python's safetensors {__version__}")
sys.exit(not all(cases))
