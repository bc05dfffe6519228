"""What the numbers were measured on."""

import os
import platform
import re
from datetime import date
from pathlib import Path
from typing import Any

import torch

from stages.core.machine import num_cores


def machine() -> dict[str, Any]:
    info = Path("/proc/cpuinfo")
    name = re.search(r"^model name\s*: (.*)$", info.read_text(), re.M) if info.is_file() else None
    return {
        "date": date.today().isoformat(),
        "cpu": name[1] if name else platform.processor() or platform.machine(),
        "cores": num_cores(),
        "bf16 instructions": torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported(),
        "load at the beginning": round(os.getloadavg()[0], 1),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
