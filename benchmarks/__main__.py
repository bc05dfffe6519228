"""Run all benchmarks and write the tables of docs/PERFORMANCE.md and results/speed/<machine>.json.

python -m benchmarks
"""

import json
import re
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import beam_search, busy, epochs, loading, normalize, pipeline
from benchmarks.machine import machine
from stages.tasks import load_params

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs/PERFORMANCE.md"
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"


def tables(record: dict[str, Any]) -> str:
    """Return the record as Markdown."""
    about = record["machine"]
    kind = "with" if about["bf16 instructions"] else "without"
    lines = [
        f"{about['cpu']}, {about['cores']} cores, {kind} bf16 instructions; torch {about['torch']}, "
        f"Python {about['python']}; {about['date']}, load {about['load at the beginning']} at the beginning.",
        "",
        "| an epoch of the full network, shortened | ours, s | usual loop, s | usual / ours |",
        "|---|--:|--:|--:|",
    ]
    lines += [f"| {row['run']} | {row['ours']:.1f} | {row['usual']:.1f} | {row['ratio']:.2f} |" for row in record["epochs"]]
    lines += ["", "| per second of one core | against | ours | theirs | ours / theirs |", "|---|---|--:|--:|--:|"]
    for row in record["rates"]:
        ours, usual = (f"{row[side]:,.0f}" if row[side] >= 100 else f"{row[side]:.3g}" for side in ("ours", "usual"))
        rates = f"{ours} {row['unit']} | {usual}"
        lines.append(f"| {row['claim']} | {row['against']} | {rates} | {row['ratio']:.2f} |")
    lines += ["", "| what a user waits for | s |", "|---|--:|"]
    lines += [f"| {name} | {seconds:.1f} |" for name, seconds in record["pipeline"].items()]
    states = [*busy.STATES, "two at once / idle"]
    lines += ["", f"| ms a step | setting | {' | '.join(states)} |", "|---|---|" + "--:|" * len(states)]
    for row in record["busy"]:
        cells = [f"{row[state]:.0f}" for state in busy.STATES] + [f"{row['two at once'] / row['idle']:.2f}"]
        lines.append(f"| {row['network']} | {row['setting']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    record: dict[str, Any] = {"command": "python -m benchmarks", "machine": machine()}
    began = time.monotonic()
    record["epochs"] = [asdict(row) for row in epochs.measure(list(load_params().runs), rounds=3)]
    record["rates"] = [asdict(row) for row in (*beam_search.measure(), *normalize.measure(), *loading.measure())]
    record["pipeline"] = pipeline.measure()
    record["busy"] = busy.measure(rounds=5, seconds=1)
    record["seconds"] = round(time.monotonic() - began)
    about = record["machine"]
    kind = re.sub(r"[^a-z0-9]+", "-", f"{about['cpu']} {about['cores']} cores".lower()).strip("-")
    out = HERE / f"results/speed/{kind}.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(record, indent=1) + "\n")
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{tables(record)}\n{END}{rest.partition(END)[2]}")
    print(f"{record['seconds']} s; {out} and {PAGE} are written")


if __name__ == "__main__":
    main()
