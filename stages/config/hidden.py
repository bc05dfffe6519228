"""Refuse changes without an effect: `-S runs.bilstm.model.dropout=0.2` while the run's sample block says 0.1."""

import subprocess
from typing import Any

from ruamel.yaml import YAML

from stages.config.schema import SAMPLE_BLOCK, Params
from stages.core import paths
from stages.core.errors import InputError


def refuse_hidden_change(params: Params, name: str) -> None:
    """Raise InputError if the run's sample block hides a value that differs from git's last commit.

    Outside a git repository there is nothing to compare with, so all values are allowed.
    """
    git_show = subprocess.run(["git", "show", f"HEAD:./{paths.PARAMS}"], capture_output=True)
    if git_show.returncode:
        return
    committed = YAML(typ="safe", pure=True).load(git_show.stdout)
    for item in params.hidden[name]:
        before = _value(committed, ["runs", name, *item.key.split(".")])
        key_of_sample = _value(params.run(name).sample, item.key.split("."))  # a peak that moves with the epochs is none
        if item.by == SAMPLE_BLOCK and key_of_sample is not ... and before not in (item.own, ...):
            raise InputError(
                f"runs.{name}.{item.key}: the new value has no effect, because the run's sample block hides it; "
                f"set runs.{name}.sample.{item.key}, or commit params.yaml if the value is meant for real data"
            )


def _value(content: Any, keys: list[str]) -> Any:
    """Return the value of nested keys, or ... if there is none."""
    for key in keys:
        if not isinstance(content, dict) or key not in content:
            return ...
        content = content[key]
    return content
