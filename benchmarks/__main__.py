"""Every benchmark, one after the other: prints, writes benchmarks/results/speed/<machine>.json and the table in
docs/PERFORMANCE.md.

    python -m benchmarks
"""

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import torch

from stages.core.machine import num_cores

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs/PERFORMANCE.md"
COMPARISONS = ("augment", "custom_resnet", "pblstm", "images", "decoding", "normalize")
TARGETS = "train-clean-360", "140,000 faces"
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    flags = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return {
        "date": date.today().isoformat(),
        "cpu": _cpu(),
        "cores": num_cores(),
        "bf16 instructions": bool(flags),
        "load at the beginning": round(os.getloadavg()[0], 1),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*: (.*)$", info.read_text(), re.M) if info.is_file() else None
    return found[1] if found else platform.processor() or platform.machine()


def table(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    about = record["machine"]
    lines = [
        f"{about['cpu']}, {about['cores']} cores, {'with' if about['bf16 instructions'] else 'without'} bf16 instructions; "
        f"torch {about['torch']}, Python {about['python']}; {about['date']}, load {about['load at the beginning']} at the "
        f"beginning. Medians of {record['comparisons'][0]['rounds']} alternating rounds, per second of one core.",
        "",
        "| what | against | ours | theirs | ratio | least to most | wanted |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for row in record["comparisons"]:
        wanted = "" if row["target"] is None else f"{row['target']:g}"
        rates = f"{_number(row['ours'])} {row['unit']} | {_number(row['usual'])}"
        spread = f"{row['ratio']:.2f} | {row['low']:.2f} to {row['high']:.2f}"
        lines.append(f"| {row['claim']} | {row['against']} | {rates} | {spread} | {wanted} |")
    return "\n".join([*lines, "", *_growth(record["scaling"]), "", *_stages(record["stages"])])


def _growth(rows: list[dict[str, Any]]) -> list[str]:
    lines = ["| stage | once | 4 times | 16 times | linear: 1 |", "|---|--:|--:|--:|--:|"]
    for row in rows:
        points = zip(row["num"], row["seconds"], row["memory"], strict=True)
        cells = " | ".join(f"{num:,}: {seconds:.2f} s, {memory:.0f} MB" for num, seconds, memory in points)
        lines.append(f"| {row['stage']} {row['task']}, {row['unit']} | {cells} | {row['linearity']:.2f} |")
    return lines


def _stages(rows: list[dict[str, Any]]) -> list[str]:
    """Of each stage core-minutes, disk and memory for both large data sets; in italics what was measured at that size."""
    columns = [f"{target}: {column}" for target in TARGETS for column in ("core-minutes", "disk, GB", "memory, GB")]
    lines = [f"| stage | {' | '.join(columns)} |", "|---|" + 6 * "--:|"]
    cells: dict[str, dict[str, str]] = {}
    for row in rows:
        numbers = [row["minutes"], row["disk"], row["memory"]]
        shown = ["" if number is None else f"{number:,.0f}" if number >= 100 else f"{number:.2g}" for number in numbers]
        name = f"{row['stage']}, {row['network']} network" if row["network"] else row["stage"]
        texts = [f"*{text}*" if row["is_measured"] and text else text for text in shown]
        cells.setdefault(name, {})[row["task"]] = " | ".join(texts)
    return [*lines, *(f"| {name} | {row.get('speech', ' | | ')} | {row['faces']} |" for name, row in cells.items())]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    record: dict[str, Any] = {"command": "python -m benchmarks", "machine": machine(), "comparisons": []}
    began = time.monotonic()
    for name in COMPARISONS:
        record["comparisons"] += [asdict(result) for result in import_module(f"benchmarks.{name}").measure()]
    with tempfile.NamedTemporaryFile(suffix=".json") as file:  # in a process that has computed nothing yet: it is forked
        subprocess.run([sys.executable, "-m", "benchmarks.scaling", file.name], check=True)
        record |= json.loads(Path(file.name).read_text())
    record["seconds"] = round(time.monotonic() - began)
    kind = re.sub(r"[^a-z0-9]+", "-", f"{record['machine']['cpu']} {record['machine']['cores']} cores".lower()).strip("-")
    out = HERE / f"results/speed/{kind}.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(record, indent=1) + "\n")
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{table(record)}\n{END}{rest.partition(END)[2]}")
    print(f"{record['seconds']} s; {out} and {PAGE} are written")


if __name__ == "__main__":
    main()
