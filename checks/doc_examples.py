"""Every public struct, enum, union, trait, macro and free function of the library is used in an example that is compiled: in its own
docs, or by name in those of another item.

What is public is what rustdoc shows: its JSON is asked for, which stable Rust gives if RUSTC_BOOTSTRAP says so.
"""
import json
import os
import re
import subprocess
import sys

from _environment import skip

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
KINDS = ("struct", "enum", "union", "trait", "function", "macro")
#: What may follow the ``` of a block that is compiled; others say what else they are.
COMPILED = {"", "rust", "should_panic", "no_run"}

command = ["cargo", "rustdoc", "--lib", "--quiet", "--features", "half", "--", "-Zunstable-options", "--output-format", "json"]
# A folder of its own: what is built in this way is of no use to other commands.
target = os.path.join(ROOT, "target", "checks", "docs")
settings = {**os.environ, "RUSTC_BOOTSTRAP": "1", "CARGO_TARGET_DIR": target}
built = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True)
if built.returncode != 0:
    skip(f"rustdoc gives no JSON: {(built.stderr.strip().splitlines() or ['it says nothing'])[-1]}")
docs = json.load(open(os.path.join(target, "doc", "phalanx.json"), encoding="utf-8"))
index = docs["index"]

found = {}


def visit(module, path):
    """Notes all that is public in a module, by the path that a user writes; what is re-exported is found where it comes from."""
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
            found.setdefault(item["id"], ("::".join([*path, name]), item))


visit(index[str(docs["root"])], [])
def examples(text):
    """The blocks of code in docs that are compiled."""
    blocks = re.split(r"^\s*```(.*)$", text or "", flags=re.MULTILINE)
    # Text, then always the word after the opening marks, the block, the empty word after the closing marks, and text again.
    return [block for word, block in zip(blocks[1::4], blocks[2::4]) if word.strip() in COMPILED]


named = {word for item in index.values() for block in examples(item["docs"]) for word in re.findall(r"\w+", block)}
own = [path for path, item in found.values() if examples(item["docs"])]
without = [(path, item) for path, item in found.values() if not examples(item["docs"]) and item["name"] not in named]
for path, item in sorted(without, key=lambda found: found[0]):
    print(f"in no example: {path} ({item['span']['filename']})")
print(f"doc_examples: of {len(found)} public items {len(own)} have an example, {len(found) - len(own) - len(without)} are in one of another item")
sys.exit(bool(without))
