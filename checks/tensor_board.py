"""Checks that TensorBoard reads the event files of `--tensorboard`: with its Python classes, and with its server in both loading modes.

Runs on the digits: an uninterrupted run; runs that were stopped or killed in the middle of an epoch and are resumed, in their folder and in
another one, while two servers and a reader watch; a run that diverges. In each, every scalar must equal that of metrics.jsonl as f32, at the
same step and exactly once; every histogram must have the counts of the params of a run that ends at its step, and the resumed runs must have
the histograms of the uninterrupted run.
"""
import sys

from _environment import enter

enter("tensorboard", ["numpy", "tensorboard", "setuptools<81"], ["numpy", "tensorboard.main"])

import contextlib
import json
import math
import os
import shutil
import socket
import struct
import subprocess
import time
import urllib.parse
import urllib.request

import numpy as np
import tensorboard
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.compat.proto.event_pb2 import SessionLog

from _data import PHALANX, folder, phalanx

work = folder()
runs = work / "runs"
FLAGS = ["--quiet", "--tensorboard", "--optimizer", "adam", "--hidden", "32", "--noise-scale=4", "--log-every", "3"]
EPOCHS = 6
MORE = ["--quiet", "--epochs", EPOCHS, "--allow-changed", "epochs"]
BUCKETS = 30


def logged(run):
    """Returns the steps and values in metrics.jsonl, by tag."""
    scalars = {}
    for line in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()):
        event, step, _ = line.pop("event"), line.pop("step"), line.pop("epoch")
        for key, value in line.items():
            if value is not None:
                scalars.setdefault(f"{event}/{key}", []).append((step, float(np.float32(value))))
    return scalars


def event_file(run):
    """Returns the newest event file of a run; the previous one must be empty."""
    *emptied, path = sorted(run.glob("*tfevents*"))
    assert len(emptied) <= 1 and not any(path.stat().st_size for path in emptied), emptied
    return path


def reader(run):
    everything = {"scalars": 0, "histograms": 0}
    return EventAccumulator(str(run), size_guidance=everything).Reload()


def read(accumulator):
    """Returns the steps and values that TensorBoard's classes read, by tag; without tags whose records are all obsolete."""
    scalars = {tag: accumulator.Scalars(tag) for tag in accumulator.Tags()["scalars"]}
    return {tag: [(event.step, event.value) for event in events] for tag, events in scalars.items() if events}


def params(path):
    """Returns the tensors of a model in a safetensors file, by name."""
    content = path.read_bytes()
    [size] = struct.unpack_from("<Q", content)
    tensors = {}
    for name, about in json.loads(content[8 : 8 + size]).items():
        if name.startswith("layers."):
            begin, end = about["data_offsets"]
            tensors[name] = np.frombuffer(content[8 + size :][begin:end], "<f4").astype(np.float64)
    return tensors


def histograms(accumulator):
    """Returns the histograms by tag and step."""
    tags = accumulator.Tags()["histograms"]
    return {tag: {event.step: event.histogram_value for event in accumulator.Histograms(tag)} for tag in tags}


def check_histogram(found, values):
    """Compares a histogram with the values it was computed from."""
    limits = np.array(found.bucket_limit)
    assert (found.min, found.max, found.num) == (values.min(), values.max(), len(values)), found
    assert len(limits) == BUCKETS and np.allclose(limits, np.linspace(values.min(), values.max(), BUCKETS + 1)[1:])
    # A value on a limit belongs to the bucket above it, the largest value, which is the last limit, to the last bucket.
    expected = np.bincount(np.searchsorted(limits[:-1], values, side="right"), minlength=BUCKETS)
    assert np.array_equal(found.bucket, expected), (found, expected)
    assert math.isclose(found.sum, values.sum(), rel_tol=1e-9, abs_tol=1e-9)
    assert math.isclose(found.sum_squares, np.square(values).sum(), rel_tol=1e-9)


def marks(run):
    """Returns the steps of the session marks."""
    events = LegacyEventFileLoader(str(event_file(run))).Load()
    return [event.step for event in events if event.HasField("session_log") and event.session_log.status == SessionLog.START]


def check_scalars(run, found, by):
    expected = logged(run)
    assert found == expected, f"{run.name} by {by}: " + "; ".join(
        f"{tag} {sorted(set(found.get(tag, [])) ^ set(expected.get(tag, [])))[:4]}" for tag in found | expected if found.get(tag) != expected.get(tag)
    )
    for tag, points in found.items():
        steps = [step for step, _ in points]
        assert steps == sorted(set(steps)), f"{run.name}: {tag} has a step twice or out of order"
    return sum(map(len, found.values()))


class Server:
    """A TensorBoard server for all runs."""

    def __init__(self, *ways):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [sys.executable, "-m", "tensorboard.main", "--logdir", runs, "--port", self.port, "--reload_interval", 1]
        command += ["--samples_per_plugin", "scalars=100000,histograms=1000", *ways]
        self.log = open(work / f"server-{self.port}.log", "w")
        environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
        self.process = subprocess.Popen([str(word) for word in command], stdout=self.log, stderr=self.log, env=environment)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def get(self, path, **query):
        address = f"http://127.0.0.1:{self.port}/data/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(address, timeout=30) as answer:
            return json.load(answer)

    def scalars(self, run):
        """Returns the steps and values that the server shows for a run, by tag."""
        tags = self.get("plugin/scalars/tags").get(run, {})
        points = {tag: self.get("plugin/scalars/scalars", run=run, tag=tag) for tag in tags}
        return {tag: [(step, float(np.float32(value))) for _, step, value in listed] for tag, listed in points.items()}

    def wait_for(self, run, expected):
        """Polls until the server shows this. The fast loader still shows a partial epoch, under separate tags, after the complete one."""
        found, end = None, time.monotonic() + 60
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                shown = self.scalars(run).items()
                found = {tag: points for tag, points in shown if tag in expected or not tag.startswith("partial_epoch/")}
                if found == expected:
                    return
            time.sleep(0.5)
        check_scalars(runs / run, found or {}, f"the server: {(work / self.log.name).read_text()[-1000:]}")


# The values that steps and epochs log with these flags.
runs.mkdir()
whole = runs / "whole"
phalanx("train", "-o", whole, *FLAGS, "--epochs", EPOCHS)
accumulator = reader(whole)
count = check_scalars(whole, read(accumulator), "the classes")
expected = {"step": ["train_loss", "lr", "grad_norm", "noise_scale", "noise_scale_error"]}
expected["epoch"] = ["train_loss", "test_loss", "test_accuracy", "noise_scale", "noise_scale_error", "samples_per_sec"]
expected["epoch"] += ["epoch_secs", "compute_secs", "wait_secs", "reduce_update_secs"]
assert set(read(accumulator)) == {f"{event}/{key}" for event, keys in expected.items() for key in keys}
of_whole = histograms(accumulator)
counted = 0
for epoch in range(1, EPOCHS + 1):
    ended = work / f"ended-{epoch}"
    phalanx("train", "-o", ended, *FLAGS[:1], *FLAGS[2:], "--epochs", epoch)
    for name, values in params(ended / "model.safetensors").items():
        check_histogram(of_whole[f"params/{name}"][23 * epoch], values)
        counted += 1
assert counted == sum(map(len, of_whole.values())) == 4 * EPOCHS
assert marks(whole) == [0]
print(f"uninterrupted run: {count} scalars match metrics.jsonl, {counted} histograms match the params")

# One run is stopped at step 60, in the middle of the third epoch, the other killed after step 60, with the last checkpoint at step 50.
stopped, killed, elsewhere = runs / "stopped", runs / "killed", runs / "elsewhere"
phalanx("train", "-o", stopped, *FLAGS, "--max-steps", 60)
phalanx("train", "-o", killed, *FLAGS, "--max-steps", 50)
phalanx("train", "--resume", killed, "--max-steps", 60, "--allow-changed", "max-steps", "--quiet")
(killed / "checkpoints" / "step-00000060.safetensors").unlink()
(killed / "results.json").unlink()
with open(event_file(killed), "ab") as file:
    file.write(struct.pack("<Q", 100) + b"half a record")

with Server("--load_fast=true") as fast, Server("--load_fast=false") as slow:
    servers = {"fast": fast, "slow": slow}
    before = {run.name: logged(run) for run in (whole, stopped, killed)}
    watching = reader(stopped)
    for server in servers.values():
        for run, points in before.items():
            server.wait_for(run, points)
    assert sorted(fast.get("runs")) == sorted(before) == sorted(slow.get("runs"))
    phalanx("train", "--resume", stopped, "-o", elsewhere, *MORE)
    assert event_file(stopped).exists() and logged(stopped) == before["stopped"]
    for run in (stopped, killed):
        phalanx("train", "--resume", run, "-t", 3, *MORE)
    for run, sessions in ((stopped, [61]), (killed, [51, 51]), (elsewhere, [61])):
        accumulator = reader(run)
        count = check_scalars(run, read(accumulator), "the classes")
        assert histograms(accumulator) == of_whole, f"{run.name}: histograms differ from those of the uninterrupted run"
        assert marks(run) == [0, *sessions], marks(run)
        for server in servers.values():
            server.wait_for(run.name, logged(run))
        print(f"{run.name}, resumed after step {sessions[0] - 1}: {count} scalars, each once; histograms of the uninterrupted run; shown by both servers")
    check_scalars(stopped, read(watching.Reload()), "a reader that watched")
    assert histograms(watching) == of_whole
    shown = fast.get("plugin/histograms/histograms", run="stopped", tag="params/layers.0.weight")
    assert [step for _, step, _ in shown] == sorted(of_whole["params/layers.0.weight"]), shown

diverged = runs / "diverged"
ran = subprocess.run([PHALANX, "train", "--tensorboard", "--lr", "1e30", "--log-every", "1", "-o", diverged], capture_output=True)
assert ran.returncode == 3, ran
[*_, last] = read(reader(diverged))["step/train_loss"]
assert not math.isfinite(last[1]), last
print(f"diverged run: the loss of step {last[0]} is {last[1]}")
print(f"tensorboard {tensorboard.__version__}: all files read")
