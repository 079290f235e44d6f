"""Checks that training over the processes of an MPI job has the same bits as one process, and that a failing job ends completely.

    python3 checks/mpi.py [bits] [resume] [failures] [kills] [bench] [hosts]     # all of them by default

- bits: splits into processes and threads x reductions x optimizers, each with the params of one process; with RELIABILITY_FULL
  every combination
- resume: a run resumed with another split ends with the params of the uninterrupted run
- failures: processes with different input, that cannot start, hang or panic end the job with a message that names them
- kills: a process is killed at a random time; the others end within 10 s, and resuming from the last checkpoint gives the same params
  (row C7; 50 kills with RELIABILITY_FULL)
- bench: the two benchmarks over processes
- hosts: processes in separate network namespaces, so that their messages pass a virtual cable, with delay and loss if the kernel supports
  them, and with a cable that is cut during a run

Installs Open MPI and libclang from Debian if they are missing and this runs as root.
"""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _environment import skip

ROOT = Path(__file__).resolve().parent.parent
FULL = "RELIABILITY_FULL" in os.environ
SPLITS = [(1, 1), (2, 1), (1, 4), (2, 2), (4, 1), (3, 1), (3, 2), (1, 3), (2, 3), (5, 1), (4, 2), (2, 4), (6, 1)]
REDUCTIONS = {
    "mean": "0.05",
    "sum": "0.001",
    "mean-of-shard-means": "0.05",
    "sum-of-shard-means": "0.01",
    "mean-of-shard-sums": "0.005",
}
OPTIMIZERS = ["sgd --momentum 0.9", "adam", "lamb"]
os.environ |= {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_hwloc_base_binding_policy": "none",
}
work = Path(tempfile.mkdtemp(prefix="phalanx-mpi-"))
runs = 0


def install():
    has_clang = any(Path("/usr/lib").glob("llvm-*/lib/libclang*.so*")) or any(Path("/usr/lib").glob("*/libclang*.so*"))
    if shutil.which("mpirun") and shutil.which("mpicc") and has_clang:
        return
    packages = ["libopenmpi-dev", "openmpi-bin", "libclang-dev"]
    done = subprocess.run([ROOT / "checks/_debian", *packages], capture_output=True, text=True)
    if done.returncode != 0:
        skip(f"there is no Open MPI with mpicc and libclang: {done.stdout.strip()}")


def build():
    subprocess.run(["cargo", "clippy", "--quiet", "-p", "phalanx-cli", "-p", "phalanx", "-p", "phalanx-collective", "--features", "mpi", "--lib", "--bins", "--", "-D", "warnings"], cwd=ROOT, check=True)
    subprocess.run(["cargo", "build", "--quiet", "-p", "phalanx-cli", "--features", "mpi"], cwd=ROOT, check=True)
    built = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug/phalanx"
    # A copy, because the tests build the same file without MPI.
    return shutil.copy(built, work / "phalanx")


def fresh():
    global runs
    runs += 1
    return work / f"run-{runs}"


def start(processes, *arguments, before=(), **options):
    """Starts a job and returns it."""
    launch = ["mpirun", "-np", str(processes), *before] if processes > 1 or before else []
    kind = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "start_new_session": True}
    return subprocess.Popen([*launch, PHALANX, *arguments], **(kind | options))


def run(processes, *arguments, seconds=120, **options):
    """Runs a job and returns its exit code and output."""
    job = start(processes, *arguments, **options)
    try:
        output, _ = job.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(job.pid, signal.SIGKILL)
        sys.exit(f"a job did not end within {seconds} s: {arguments}\n{job.communicate()[0]}")
    return job.returncode, output


def train(processes, threads, *arguments, **options):
    """Trains a run, which must succeed, and returns its results."""
    folder = fresh()
    code, output = run(processes, "train", "-t", str(threads), "-o", str(folder), "--quiet", *arguments, **options)
    assert code == 0, output
    return json.loads((folder / "results.json").read_text())


def bits():
    """Checks that each split has the hash of one process."""
    cases = [(split, reduction, optimizer) for split in SPLITS for reduction in REDUCTIONS for optimizer in OPTIMIZERS]
    if not FULL:
        # Each split once, each reduction and optimizer several times.
        cases = [(split, list(REDUCTIONS)[n % 5], OPTIMIZERS[n % 3]) for n, split in enumerate(SPLITS)]
    hashes = {}
    for (processes, threads), reduction, optimizer in cases:
        rate = REDUCTIONS[reduction] if optimizer.startswith("sgd") else "0.005"
        options = ["--reduction", reduction, "--optimizer", *optimizer.split(), "--lr", rate]
        # The last batch of an epoch is short.
        options += ["--hidden", "32,20", "-b", "100", "--shards", "7", "--max-steps", "32", "--clip-grad-norm", "5"]
        known = (reduction, optimizer)
        if known not in hashes:
            hashes[known] = train(1, 1, *options)["params_sha256"]
        found = train(processes, threads, *options)
        assert found["params_sha256"] == hashes[known], f"{processes} x {threads}, {known}: different bits"
        assert (found["processes"], found["threads"]) == (processes, threads), found
    print(f"bits: {len(cases)}/{len(cases)} runs over processes x threads have the hash of one process with one thread")


def resume():
    options = ["--hidden", "24", "--optimizer", "adamw", "--restore-best", "-b", "90", "--noise-scale"]
    whole = train(1, 1, *options, "--max-steps", "60")["params_sha256"]
    splits = [(1, 2), (3, 1), (2, 2)]
    for before in splits:
        for after in splits:
            folder = fresh()
            arguments = ["train", "-t", str(before[1]), "-o", str(folder), "--quiet", *options, "--max-steps", "37", "--save-every", "20"]
            code, output = run(before[0], *arguments)
            assert code == 0, output
            arguments = ["train", "-t", str(after[1]), "--resume", str(folder), "--quiet", "--max-steps", "60", "--allow-changed", "max-steps"]
            code, output = run(after[0], *arguments)
            assert code == 0, output
            found = json.loads((folder / "results.json").read_text())["params_sha256"]
            assert found == whole, f"{before}, then {after}: different bits"
    print(f"resume: {len(splits) ** 2}/{len(splits) ** 2} runs resumed with another split have the hash of the uninterrupted run")


def living(folder):
    """Returns the processes of the program that have this folder among their arguments."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] if words else ""
        except (OSError, IndexError):
            continue
        if len(words) > 1 and words[0] == os.fsencode(PHALANX) and os.fsencode(folder) in words and state != "Z":
            found.append(int(entry.name))
    return sorted(found)


def gone(folder, seconds):
    """Waits until no process of a run is left, and returns the time in seconds."""
    begun = time.monotonic()
    while living(folder):
        if time.monotonic() - begun > seconds:
            sys.exit(f"{len(living(folder))} processes of {folder} are left after {seconds} s")
        time.sleep(0.02)
    return time.monotonic() - begun


def ends_badly(what, processes, script, expected, seconds=60):
    """Starts a job in which process 1 behaves differently: it must end soon, with a message that contains `expected`."""
    folder = fresh()
    first = f"exec {PHALANX} train -o {folder} -t 1 --timeout 5 --max-steps 100000000 --no-progress"
    text = f'if [ "$OMPI_COMM_WORLD_RANK" = 1 ]; then {script.format(first=first)}; else {first}; fi'
    begun = time.monotonic()
    job = subprocess.Popen(
        ["mpirun", "-np", str(processes), "sh", "-c", text],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )
    try:
        output, _ = job.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(job.pid, signal.SIGKILL)
        sys.exit(f"{what}: the job is still running after {seconds} s\n{job.communicate()[0]}")
    took = time.monotonic() - begun
    assert job.returncode != 0, f"{what}: exit code 0\n{output}"
    assert expected in output, f"{what}: the output does not contain {expected!r}\n{output}"
    gone(str(folder), 10)
    print(f"   {what}: ended after {took:.1f} s with {expected!r}")


def failures():
    ends_badly("another batch size", 3, "{first} -b 100", "process 1 and process 0 differ in the batch size")
    ends_badly("other data", 3, "{first} --test-split 0.5", "process 1 and process 0 differ in the training samples")
    ends_badly("other standardization", 3, "{first} --standardize", "process 1 and process 0 differ in the score of the first samples")
    ends_badly("another task", 2, "{first} --print-config", "the processes are about to do different things")
    ends_badly("missing data", 3, f"exec {PHALANX} train nothing.csv -t 1", 'process 1: no file or folder "nothing.csv"')
    ends_badly("a usage error", 3, "{first} -b 0", "process 1: the batch size is 0")
    ends_badly("a process that never starts", 2, "sleep 100", "not all of the 2 processes have started")
    stopped = "(sleep 2; kill -STOP $$) & {first}"
    ends_badly("a process that hangs", 2, stopped, "for processes [1], which did not respond")
    print("failures: 8/8 end the job and name the process")


def kills():
    count = 50 if FULL else 5
    options = ["--hidden", "64", "--optimizer", "adam", "-b", "64", "--max-steps", "15000", "--save-every", "200", "--keep", "3"]
    whole = train(1, 2, *options)["params_sha256"]
    draw, slowest, good = random.Random(7), 0.0, 0
    # On a busy machine some jobs are complete before they are killed.
    for kill in range(5 * count):
        if good == count:
            break
        folder, processes = fresh(), draw.choice([2, 3, 4])
        job = start(processes, "train", "-t", "1", "-o", str(folder), "--no-progress", *options)
        while not list(folder.glob("checkpoints/*.safetensors")):
            assert job.poll() is None, job.communicate()[0]
            time.sleep(0.01)
        time.sleep(draw.random() * 0.5)
        pids = living(str(folder))
        if not pids:
            job.communicate()
            continue
        os.kill(draw.choice(pids), signal.SIGKILL)
        slowest = max(slowest, gone(str(folder), 10))
        job.communicate(timeout=60)
        assert job.returncode != 0, f"kill {kill}: exit code 0"
        if (folder / "results.json").exists():
            continue
        after = (draw.choice([1, 2, 3]), draw.choice([1, 2]))
        code, output = run(after[0], "train", "-t", str(after[1]), "--resume", str(folder), "--quiet")
        assert code == 0, f"kill {kill}: {output}"
        results = json.loads((folder / "results.json").read_text())
        assert results["params_sha256"] == whole, f"kill {kill}: different bits"
        good += 1
        shutil.rmtree(folder)
    print(f"C7 {good}/{good}: killed jobs that ended within {slowest:.1f} s and resumed to the same params")
    assert good == count, f"only {good} of {count} jobs were killed before they were complete"


def bench():
    arguments = ["bench", "scaling", "-t", "1,2", "--takes", "1", "--max-steps", "20", "--json", "-", "--quiet"]
    code, output = run(3, *arguments)
    assert code == 0, output
    report = json.loads(output[output.index("{"):])
    counts = sorted((point["processes"], point["threads"]) for point in report["points"])
    assert counts == [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2)], counts
    assert report["same_params"], report
    code, output = run(3, "bench", "all-reduce", "--lengths", "1,1000,100K", "--takes", "5", "--json", "-", "--quiet")
    assert code == 0, output
    report = json.loads(output[output.index("{"):])
    assert [point["len"] for point in report["points"]] == [1, 1000, 102400] and report["processes"] == 3, report
    assert all(point["wrong"] == 0 and point["mpi_median_secs"] > 0 for point in report["points"]), report
    print("bench: scaling over 1, 2 and 3 processes with the same bits, all-reduce correct for 3 lengths")


class Hosts:
    """Two network namespaces connected by a virtual cable, in which processes can be started."""

    NAMES = ("phalanx-a", "phalanx-b")

    def open(self):
        self.close()
        a, b = self.NAMES
        for command in (
            f"ip netns add {a}", f"ip netns add {b}",
            f"ip link add phalanx0 netns {a} type veth peer name phalanx0 netns {b}",
            f"ip -n {a} addr add 10.77.0.1/24 dev phalanx0", f"ip -n {b} addr add 10.77.0.2/24 dev phalanx0",
            f"ip -n {a} link set phalanx0 up", f"ip -n {b} link set phalanx0 up",
            f"ip -n {a} link set lo up", f"ip -n {b} link set lo up",
        ):
            done = subprocess.run(command.split(), capture_output=True, text=True)
            if done.returncode != 0:
                self.close()
                raise OSError(f"{command}: {done.stderr.strip()}")
        agent = work / "agent"
        # Replaces ssh for mpirun: HOST COMMAND...
        agent.write_text(f'#!/bin/sh\nhost=$1\nshift\ncase $host in\n10.77.0.1) n={a} ;;\n*) n={b} ;;\nesac\nexec ip netns exec $n sh -c "$*"\n')
        agent.chmod(0o755)
        (work / "hostfile").write_text("10.77.0.1 slots=4\n10.77.0.2 slots=4\n")
        self.agent = agent
        return self

    def clear(self):
        """Kills all processes on both hosts."""
        for name in self.NAMES:
            found = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout
            subprocess.run(["kill", "-9", *found.split()], capture_output=True)

    def close(self):
        self.clear()
        for name in self.NAMES:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)

    def command(self, processes, *arguments, program=None):
        network = "10.77.0.0/24"
        mca = {
            "plm_rsh_agent": str(self.agent), "btl": "self,tcp", "pml": "ob1",
            "btl_tcp_if_include": network, "oob_tcp_if_include": network,
        }
        settings = [word for name, value in mca.items() for word in ("--mca", name, value)]
        spread = ["--hostfile", str(work / "hostfile"), "--map-by", "node"]
        return ["ip", "netns", "exec", self.NAMES[0], "mpirun", "-np", str(processes), *spread, *settings, program or PHALANX, *arguments]

    def sent_bytes(self):
        text = subprocess.run(["ip", "netns", "exec", self.NAMES[0], "cat", "/proc/net/dev"], capture_output=True, text=True).stdout
        line = next(line for line in text.splitlines() if "phalanx0" in line)
        return int(line.split(":")[1].split()[8])

    def shape(self, *rule):
        """Applies a netem rule to the cable; returns whether the kernel supports it."""
        done = [
            subprocess.run(["tc", "-n", name, "qdisc", "replace", "dev", "phalanx0", "root", "netem", *rule], capture_output=True)
            for name in self.NAMES
        ]
        return all(one.returncode == 0 for one in done)


def hosts():
    if os.geteuid() != 0 or not shutil.which("ip"):
        print("SKIPPED: hosts: network namespaces need root and iproute2")
        return
    try:
        cable = Hosts().open()
    except OSError as error:
        print(f"SKIPPED: hosts: {error}")
        return
    try:
        reached = subprocess.run(cable.command(2, program="hostname"), capture_output=True, text=True, timeout=60)
        if reached.returncode != 0:
            last = (reached.stderr.strip() or reached.stdout.strip()).splitlines()[-1]
            print(f"SKIPPED: hosts: mpirun cannot connect over the cable: {last}")
            return
        over_the_cable(cable)
    finally:
        cable.close()


def over_the_cable(cable):
    options = ["--hidden", "128", "-b", "64", "--max-steps", "100"]
    whole = train(1, 2, *options)
    mb = whole["params"] * 4 * 100 / 1e6

    def same(processes, threads, what, seconds=120):
        folder = fresh()
        before = cable.sent_bytes()
        arguments = ["train", "-o", str(folder), "-t", str(threads), "--quiet", *options]
        done = subprocess.run(cable.command(processes, *arguments), capture_output=True, text=True, timeout=seconds)
        assert done.returncode == 0, done.stdout + done.stderr
        found = json.loads((folder / "results.json").read_text())
        assert found["params_sha256"] == whole["params_sha256"], f"{what}: different bits"
        sent = (cable.sent_bytes() - before) / 1e6
        print(f"   {processes} x {threads} on two hosts, {what}: the same bits; {sent:.1f} MB sent, {sent / mb:.2f} times the params per step")
        return sent / mb

    # With two processes, each sends half of the params twice per step: 2 (n - 1) / n = 1.
    assert same(2, 1, "without delay or loss") < 1.25
    same(4, 1, "without delay or loss")
    if cable.shape("delay", "2ms", "loss", "1%"):
        same(2, 1, "with 2 ms of delay and 1 % of loss", 300)
        cable.shape("delay", "0ms")
    else:
        print("SKIPPED: delay and loss: the kernel has no netem, or tc is missing")

    folder = fresh()
    arguments = ["train", "-o", str(folder), "-t", "1", "--timeout", "3", "--max-steps", "100000000", "--save-every", "200", "--no-progress"]
    job = subprocess.Popen(cable.command(2, *arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    while not list(folder.glob("checkpoints/*.safetensors")):
        assert job.poll() is None, job.communicate()[0]
        time.sleep(0.05)
    subprocess.run(["ip", "-n", cable.NAMES[0], "link", "set", "phalanx0", "down"], check=True)
    took = gone(str(folder), 20)
    # mpirun itself waits for its daemon on the other host, which it cannot reach over the cut cable.
    cable.clear()
    output, _ = job.communicate()
    assert "which did not respond" in output, output
    code, output = run(1, "inspect", str(sorted(folder.glob("checkpoints/*.safetensors"))[-1]))
    assert code == 0, output
    print(f"hosts: the same bits over a cable; cut in the middle of a run, all processes end within {took:.1f} s, and the last checkpoint loads")


SECTIONS = {"bits": bits, "resume": resume, "failures": failures, "kills": kills, "bench": bench, "hosts": hosts}

if __name__ == "__main__":
    chosen = sys.argv[1:] or list(SECTIONS)
    unknown = [name for name in chosen if name not in SECTIONS]
    if unknown:
        sys.exit(f"error: no section {' '.join(unknown)}, expected some of {' '.join(SECTIONS)}")
    install()
    try:
        PHALANX = str(build())
        for name in chosen:
            SECTIONS[name]()
    finally:
        shutil.rmtree(work, ignore_errors=True)
