"""Faults that are planted into a copy of the sources, to see that what should find them does.

A fault is a table of TOML: what it is, and edits, each of a file, what stands there once, and what stands there instead.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = shutil.ignore_patterns("target", ".git", "runs", "__pycache__")


class Copy:
    """A copy of the project in a folder that goes away with it; compiled in a folder that stays, so that faults build fast."""

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
                raise SystemExit(f"{name} has {text.count(old)} times, not once: {old}")
            path.write_text(text.replace(old, new))

    def mend(self, edits) -> None:
        for name, _, _ in edits:
            shutil.copy(ROOT / name, self.root / name)
            (self.root / name).touch()

    def run(self, command: str, seconds: float):
        """Exit code (None if it took too long, which a fault may bring about) and output of a command of the shell."""
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
