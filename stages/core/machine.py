"""The machine's cores and memory."""

import os
import platform
import re
from pathlib import Path


def cpu_name() -> str:
    """Return the processor's name, or its architecture if the system does not say."""
    info = Path("/proc/cpuinfo")
    name = re.search(r"^model name\s*: (.*)$", info.read_text(), re.M) if info.is_file() else None
    return name[1] if name else platform.processor() or platform.machine()


def num_cores() -> int:
    """Return the number of cores that this process may use, or of all cores where the system cannot say (macOS)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> int:
    """Return the bytes of main memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
