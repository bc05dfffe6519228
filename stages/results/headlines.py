"""The few metrics of metrics/<run>.json."""

from typing import Any


def choose(metrics: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return the metrics of these names that exist; verification.eer is eer in the block verification."""
    found: dict[str, Any] = {}
    for name in names:
        block, _, key = name.rpartition(".")
        values, chosen = (metrics.get(block, {}), found.setdefault(block, {})) if block else (metrics, found)
        if key in values:
            chosen[key] = values[key]
    return {name: value for name, value in found.items() if value != {}}
