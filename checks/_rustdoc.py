"""The public items of the libraries from rustdoc's JSON, which stable Rust writes with RUSTC_BOOTSTRAP=1."""
import json
import os
import subprocess

from _environment import skip

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
#: The library packages with the names of their libraries, and their features except mpi, which needs a system library.
LIBRARIES = {"phalanx-collective": "phalanx_collective", "phalanx": "phalanx"}
FEATURES = {"phalanx-collective": "half,processes", "phalanx": "half"}
KINDS = ("struct", "enum", "union", "trait", "function", "macro")
# A separate folder, because other commands cannot reuse these build artifacts.
TARGET = os.path.join(ROOT, "target", "checks", "docs")


def documented(package):
    """Returns all items of the library of a package, by id, and the id of its root."""
    command = ["cargo", "rustdoc", "--lib", "--quiet", "-p", package, "--features", FEATURES[package], "--", "-Zunstable-options", "--output-format", "json"]
    settings = {**os.environ, "RUSTC_BOOTSTRAP": "1", "CARGO_TARGET_DIR": TARGET}
    built = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True)
    if built.returncode != 0:
        skip(f"rustdoc writes no JSON: {(built.stderr.strip().splitlines() or ['no error message'])[-1]}")
    with open(os.path.join(TARGET, "doc", f"{LIBRARIES[package]}.json"), encoding="utf-8") as file:
        docs = json.load(file)
    return docs["index"], docs["root"]


def public_items(index, root):
    """Returns the public structs, enums, unions, traits, macros and free functions as pairs of path and item, each once with its shortest path."""
    found = {}

    def visit(module, path):
        for key in module["inner"]["module"]["items"]:
            item = index.get(str(key))
            if item is None or (item["visibility"] != "public" and "use" not in item["inner"]):
                continue
            [kind] = item["inner"]
            name = item["name"]
            if kind == "use":
                use = item["inner"]["use"]
                used = index.get(str(use["id"])) if use["id"] is not None else None
                if used is None or item["visibility"] != "public":
                    continue
                [kind] = used["inner"]
                item, name = used, use["name"]
                if kind == "module" and use["is_glob"]:
                    visit(item, path)
                    continue
            if kind == "module":
                visit(item, [*path, name])
            elif kind in KINDS:
                whole = "::".join([*path, name])
                known = found.get(item["id"])
                if known is None or whole.count("::") < known[0].count("::"):
                    found[item["id"]] = (whole, item)

    visit(index[str(root)], [])
    return list(found.values())
