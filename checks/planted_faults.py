"""Checks that every fault of the reliability rows can still be planted: each text to replace occurs exactly once in its file."""
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
count, lost = 0, 0
for name, table in [("rows.toml", "row"), ("concurrency_faults.toml", "fault")]:
    for entry in tomllib.loads((ROOT / "reliability" / name).read_text())[table]:
        fault = entry.get("fault", {}) if table == "row" else entry
        for file, old, _ in fault.get("edits", []):
            path = ROOT / file
            found = path.read_text().count(old) if path.exists() else 0
            count += 1
            if found != 1:
                lost += 1
                print(f"{entry.get('id', fault['what'])}: {file}: expected exactly one occurrence, found {found}: {old}")
print(f"planted_faults: {count - lost} of {count} places found")
sys.exit(lost > 0)
