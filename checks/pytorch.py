"""Checks that PyTorch reads the model files of Phalanx with the same predictions, and Phalanx those of PyTorch with the same hash and loss.

For every activation and loss, torch.nn.Linear layers load a trained model.safetensors and predict all test data in f64. Of the predictions of
Phalanx, in f32, 99 % must agree to 1e-6 and all to 1e-5; for values, relative to the largest value. Then Phalanx starts from a model created
by PyTorch with --init: after a step at rate 0, its params have the hash that is computed here, its loss equals PyTorch's to a relative error of
1e-6, and its file loaded into PyTorch has the same bits. Uses MNIST (in the folder MNIST) if available, otherwise the built-in digits.
"""
import hashlib
import os
import shutil
import subprocess
import sys

from _environment import enter, works

MODULES = ["torch", "numpy", "safetensors.torch"]


def with_torch():
    """Returns a Python with PyTorch: this one, the first on the path, the system's, or the system's after installing PyTorch."""
    for python in (sys.executable, shutil.which("python3"), "/usr/bin/python3"):
        if python and os.path.exists(python) and works(python, ["torch", "numpy"]):
            return python
    ran = subprocess.run(["checks/_debian", "python3-torch", "python3-venv"], capture_output=True)
    if ran.returncode == 0 and works("/usr/bin/python3", ["torch", "numpy"]):
        return "/usr/bin/python3"
    return None


if not works(sys.executable, MODULES):
    python = with_torch()
    if python and works(python, MODULES):
        os.execv(python, [python, *sys.argv])
    if python:
        enter("pytorch", ["safetensors"], MODULES, python, system=True)
    else:
        enter("pytorch", ["torch", "numpy", "safetensors"], MODULES)

import copy
import io
import json

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from _data import MNIST, agreement, digits, folder, mnist, phalanx

work = folder()
faults = []

if MNIST:
    (train_x, train_y), (x, y) = mnist("train"), mnist("t10k")
    kind, length = "mnist", ["--epochs", "1"]
else:
    pixels, labels = digits()
    (train_x, train_y), (x, y) = (pixels[:1437], labels[:1437]), (pixels[1437:], labels[1437:])
    kind, length = "digits", ["--epochs", "5"]
for name, array in (("train", train_x.astype(np.uint8)), ("test", x.astype(np.uint8))):
    np.save(work / f"{name}.npy", array)
x = x.astype(np.float32)


def targets(loss, labels):
    return {"cross-entropy": labels, "bce": labels % 2, "mse": labels.astype(np.float32)}[loss]


def data(part, loss):
    """Returns the images and the targets for a loss, as a data source."""
    path = work / f"{part}-{loss}.npy"
    np.save(path, targets(loss, {"train": train_y, "test": y}[part]))
    return f"{work}/{part}.npy,{path}"


class Mlp(nn.Module):
    """An MLP whose layers have the same names as in Phalanx."""

    def __init__(self, widths, activation):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in zip(widths, widths[1:]))
        self.activation = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU}[activation]()

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


def params_sha256(model):
    """Returns the hash as in `results.json`: layer by layer, weight before bias."""
    tensors = (tensor for layer in model.layers for tensor in (layer.weight, layer.bias))
    return hashlib.sha256(b"".join(tensor.detach().numpy().astype("<f4").tobytes() for tensor in tensors)).hexdigest()


def answers(loss, outputs):
    if loss == "cross-entropy":
        return torch.softmax(outputs, dim=1)
    if loss == "bce":
        second = torch.sigmoid(outputs)
        return torch.cat([1 - second, second], dim=1)
    return outputs


def compare(run, loss):
    """Compares the predictions of PyTorch and Phalanx with the model of a run; returns the agreement and the model."""
    with safe_open(run / "model.safetensors", "pt") as file:
        description = json.loads(file.metadata()["phalanx"])
    shape, standardize = description["shape"], description["standardize"]
    model = Mlp([shape["inputs"], *shape["hidden"], shape["outputs"]], shape["activation"])
    model.load_state_dict(load_file(run / "model.safetensors"), strict=True)
    given = x
    if standardize:
        given = (x - np.float32(standardize["mean"])) / np.float32(standardize["std"])
    with torch.no_grad():
        outputs = copy.deepcopy(model).double()(torch.from_numpy(given).double())
    expected = answers(loss, outputs).numpy()
    targets = description.get("standardize_targets")
    assert (targets is not None) == (loss == "mse" and "init" not in run.name), (run, targets)
    if targets:
        expected = expected * np.float32(targets["std"]) + np.float32(targets["mean"])
    found = np.load(io.BytesIO(phalanx("predict", run, work / "test.npy", "--format", "npy")))
    assert found.shape == expected.shape, (found.shape, expected.shape)
    assert json.loads((run / "results.json").read_text())["params_sha256"] == params_sha256(model)
    return agreement(found, expected, loss == "mse", most=1e-5), model


def check(label, agreed):
    difference, agrees = agreed
    print(f"{label}: {difference}")
    if not agrees:
        faults.append(label)


rates = {"cross-entropy": "0.1", "bce": "0.1", "mse": "0.001"}
for loss in rates:
    for activation in ("relu", "tanh", "sigmoid", "gelu"):
        run = work / f"{loss}-{activation}"
        flags = ["--loss", loss, "--lr", rates[loss], "--activation", activation, "--standardize"]
        phalanx("train", data("train", loss), "--quiet", "-o", run, *length, *flags)
        check(f"{kind} {loss} {activation}, to PyTorch", compare(run, loss)[0])

torch.manual_seed(3)
losses = {"cross-entropy": nn.CrossEntropyLoss(), "bce": nn.BCEWithLogitsLoss(), "mse": nn.MSELoss()}
for loss, criterion in losses.items():
    ours = Mlp([x.shape[1], 30, 20, 10 if loss == "cross-entropy" else 1], "tanh")
    save_file(ours.state_dict(), work / f"{loss}.safetensors")
    run = work / f"{loss}-init"
    init = ["--init", work / f"{loss}.safetensors", "--hidden", "30,20", "--activation", "tanh"]
    phalanx("train", data("train", loss), "--quiet", "-o", run, "--loss", loss, "--lr", "0", "--max-steps", "1", *init)
    agreed, theirs = compare(run, loss)
    check(f"{kind} {loss}, from PyTorch", agreed)
    assert params_sha256(ours) == params_sha256(theirs)
    assert all(torch.equal(a, b) for a, b in zip(ours.state_dict().values(), theirs.state_dict().values()))

    goal = torch.from_numpy(targets(loss, y))
    with torch.no_grad():
        outputs = copy.deepcopy(ours).double()(torch.from_numpy(x).double())
    expected = float(criterion(outputs, goal) if loss == "cross-entropy" else criterion(outputs[:, 0], goal.double()))
    printed = phalanx("eval", run, data("test", loss)).decode()
    [found] = [float(line.split()[1]) for line in printed.splitlines() if line.startswith("loss")]
    apart = abs(found - expected) / expected
    check(f"{kind} {loss}, from PyTorch, loss", (f"{found:.6f}, relative difference {apart:.1e}", apart <= 1e-6))

print(f"torch {torch.__version__}: " + (f"differences too large: {', '.join(faults)}" if faults else "all agree"))
sys.exit(bool(faults))
