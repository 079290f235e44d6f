"""Plants faults into a copy of the sources, to check that the tests detect them.

A fault is a TOML table: a description, and edits, each with a file, a text that occurs in it exactly once, and its replacement.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = shutil.ignore_patterns("target", ".git", "runs", "__pycache__")


class Copy:
    """A copy of the project in a temporary folder; compiled in a permanent target folder, so that faults build fast."""

    def __init__(self, target: Path):
        self.folder = tempfile.TemporaryDirectory(prefix="planted-")
        self.root = Path(self.folder.name) / "phalanx"
        self.target = target
        shutil.copytree(ROOT, self.root, ignore=LEFT_OUT)

    def plant(self, edits) -> None:
        for name, old, new in edits:
            path = self.root / name
            text = path.read_text()
            if text.count(old) != 1:
                raise SystemExit(f"{name}: expected exactly one occurrence, found {text.count(old)}: {old}")
            path.write_text(text.replace(old, new))

    def mend(self, edits) -> None:
        for name, _, _ in edits:
            shutil.copy(ROOT / name, self.root / name)
            (self.root / name).touch()

    def run(self, command: str, seconds: float):
        """Returns the exit code (None after a timeout, which a fault may cause) and the output of a shell command."""
        import os

        environment = os.environ | {"CARGO_TARGET_DIR": str(self.target)}
        process = subprocess.Popen(
            command, shell=True, cwd=self.root, env=environment, text=True, errors="replace",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=seconds)
            return process.returncode, output
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            return None, process.communicate()[0]
