"""Checks that onnxruntime runs the models written by `phalanx export`, with the predictions of Phalanx.

For every activation, softmax regression, a bce model and mse models, with and without standardized features and targets: on all 1,797
built-in digits, and on the 10,000 test images of MNIST (in the folder MNIST; skipped if it is not set). ONNX's checker validates each file.

For the digits every probability must agree to 1e-6, for MNIST 99 % to 1e-6 and all to 1e-5: there, 784 products are added in a different
order, and both programs differ by up to 6e-6 from the result in f64. For values, these tolerances are relative to the largest value.
"""
import sys

from _environment import enter

enter("onnx", ["numpy", "onnx", "onnxruntime"], ["numpy", "onnx.checker", "onnxruntime"])

import io
import json

import numpy as np
import onnx
import onnxruntime
from onnx import checker

from _data import MNIST, agreement, digits, folder, mnist, phalanx

work = folder()
faults = []


def check(name, run, x, data, labels=None):
    """Exports a run and compares onnxruntime on the features `x` with Phalanx on `data`."""
    path = work / f"{name}.onnx"
    phalanx("export", run, path)
    model = onnx.load(path)
    checker.check_model(model, full_check=True)
    assert (model.ir_version, model.opset_import[0].version) == (8, 17), model.opset_import
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    last, *answers = [output.name for output in session.get_outputs()]
    answer = answers[0] if answers else last
    assert answer == ("probabilities" if "classes" in metadata else "values"), answer
    [found] = session.run([answer], {"input": x})
    expected = np.load(io.BytesIO(phalanx("predict", run, data, "--format", "npy")))
    assert found.shape == expected.shape and found.dtype == expected.dtype, (found.shape, expected.shape)
    # The number of samples is not fixed.
    [one] = session.run([answer], {"input": x[:1]})
    assert np.allclose(one, found[:1], rtol=0, atol=1e-5)
    summary, agrees = agreement(found, expected, answer == "values", most=1e-6 if name.startswith("digits") else 1e-5)
    summary = f"{name}: {summary}"
    if labels is not None:
        classes = np.array(json.loads(metadata["classes"]))
        accuracy = float((classes[found.argmax(1)] == labels.astype(str)).mean())
        assert accuracy > 0.8, accuracy
        summary += f", accuracy {accuracy:.4f}"
    print(summary)
    if not agrees:
        faults.append(name)


def train(name, data, *flags):
    phalanx("train", data, "--quiet", "-o", work / name, *flags)
    return work / name


shapes = [(activation, ["--activation", activation, "--hidden", "128,64"]) for activation in ("relu", "tanh", "sigmoid", "scaled-tanh", "gelu")]
shapes.append(("softmax-regression", ["--hidden", "none"]))

pixels, labels = digits()
x = ((pixels - 5) / 3).astype(np.float32)
np.save(work / "digits.npy", x)
for name, flags in shapes:
    for standardize in ("true", "false"):
        run = train(f"digits-{name}-{standardize}", "digits", "--optimizer", "adam", f"--standardize={standardize}", *flags)
        standardized = " standardized" if standardize == "true" else ""
        check(f"digits {name}{standardized}", run, x, work / "digits.npy", labels)

np.save(work / "raw.npy", pixels.astype(np.uint8))
for loss, targets in (("bce", labels % 2), ("mse", labels.astype(np.float32))):
    np.save(work / f"{loss}.npy", targets)
    rate = {"bce": "0.1", "mse": "0.001"}[loss]
    data = f"{work}/raw.npy,{work}/{loss}.npy"
    run = train(f"digits-{loss}", data, "--loss", loss, "--lr", rate, "--standardize", "--hidden", "64")
    check(f"digits {loss}", run, pixels, work / "raw.npy")
    if loss == "mse":
        run = train("digits-mse-raw", data, "--loss", loss, "--lr", rate, "--standardize", "--standardize-targets=false", "--hidden", "64")
        check("digits mse, targets not standardized", run, pixels, work / "raw.npy")

if MNIST:
    pixels, labels = mnist("t10k")
    x = pixels.astype(np.float32) / np.float32(255)
    for name, flags in shapes:
        for standardize in ("true", "false"):
            run = train(f"mnist-{name}-{standardize}", MNIST, "--epochs", "2", f"--standardize={standardize}", *flags)
            standardized = " standardized" if standardize == "true" else ""
            check(f"mnist {name}{standardized}", run, x, MNIST, labels)
    trained, answers = mnist("train")
    np.save(work / "train.npy", trained)
    np.save(work / "test.npy", pixels)
    for loss, targets in (("bce", answers % 2), ("mse", answers.astype(np.float32))):
        np.save(work / f"{loss}.npy", targets)
        rate = {"bce": "0.1", "mse": "0.001"}[loss]
        data = f"{work}/train.npy,{work}/{loss}.npy"
        run = train(f"mnist-{loss}", data, "--epochs", "2", "--loss", loss, "--lr", rate, "--standardize")
        check(f"mnist {loss}", run, pixels.astype(np.float32), work / "test.npy")
else:
    print("MNIST is not available: its 10,000 test images are skipped")

print(f"onnxruntime {onnxruntime.__version__}, onnx {onnx.__version__}: " + (f"differences too large: {', '.join(faults)}" if faults else "all agree"))
sys.exit(bool(faults))
