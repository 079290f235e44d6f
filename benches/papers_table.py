"""Prints the table of docs/src/papers.md from the results of `phalanx reproduce all data/mnist`.

Usage: python3 benches/papers_table.py reproductions
"""
import json
import math
import pathlib
import sys


def spread(values, published):
    mean, deviation, seeds = values["mean"], values["deviation"], values["seeds"]
    if mean is None:
        return f"no result in {values['without']} of {seeds}"
    if deviation:
        decimals = min(max(1 - math.floor(math.log10(deviation)), 0), 6)
        return f"{mean:.{decimals}f} ± {deviation:.{decimals}f}"
    if published:
        return f"{mean:.{len(published.partition('.')[2])}f}"
    return f"{mean:.4g}"


results = [json.loads(path.read_text()) for path in sorted(pathlib.Path(sys.argv[1]).glob("*/results.json"))]
print("| claim | convention | the wrong reading | source |")
print("|---|---|---|---|")
for found in results:
    print("| " + " | ".join([f"`{found['claim']}`", found["convention"], found["mistake"], found["source"]]) + " |")
print()
print("| claim: quantity | setting | published | right reading | wrong reading | reproduced | wrong fails |")
print("|---|---|---|---|---|---|---|")
for found in results:
    for index, row in enumerate(found["settings"]):
        # The other rows of a claim leave its name out.
        claim = f"`{found['claim']}`: {found['measure']}" if index == 0 else ""
        published = row["published"]
        cells = [claim, row["setting"], published or "", spread(row["right"], published), spread(row["wrong"], published)]
        cells += ["yes" if row["right_passes"] else "**no**", "**no**" if row["wrong_passes"] else "yes"]
        print("| " + " | ".join(cells) + " |")
