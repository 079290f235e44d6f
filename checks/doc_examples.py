"""Checks that every public struct, enum, union, trait, macro and free function of the libraries is used in a compiled example: in its own
docs, or by name in those of another item.
"""
import re
import sys

from _rustdoc import LIBRARIES, documented, public_items

#: The words after the opening ``` of a compiled block; other words mark other languages or ignored blocks.
COMPILED = {"", "rust", "should_panic", "no_run"}


def examples(text):
    """Returns the compiled blocks of code in docs."""
    blocks = re.split(r"^\s*```(.*)$", text or "", flags=re.MULTILINE)
    # The parts alternate: text, the word after the opening marks, the block, the empty word after the closing marks.
    return [block for word, block in zip(blocks[1::4], blocks[2::4]) if word.strip() in COMPILED]


missing = False
for package in LIBRARIES:
    index, root = documented(package)
    found = public_items(index, root)
    named = {word for item in index.values() for block in examples(item["docs"]) for word in re.findall(r"\w+", block)}
    own = [path for path, item in found if examples(item["docs"])]
    without = [(path, item) for path, item in found if not examples(item["docs"]) and item["name"] not in named]
    for path, item in sorted(without, key=lambda found: found[0]):
        print(f"not used in any example: {path} ({item['span']['filename']})")
    missing |= bool(without)
    print(f"doc_examples: of {len(found)} public items of {package} {len(own)} have an example, "
          f"{len(found) - len(own) - len(without)} are in one of another item")
sys.exit(missing)
