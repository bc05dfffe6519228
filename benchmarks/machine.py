"""The machine of a measurement."""

import os
import platform
from datetime import date
from typing import Any

import torch

from stages.core.machine import cpu_name, num_cores


def machine() -> dict[str, Any]:
    return {
        "date": date.today().isoformat(),
        "cpu": cpu_name(),
        "cores": num_cores(),
        "bf16 instructions": torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported(),
        "load at the beginning": round(os.getloadavg()[0], 1),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
