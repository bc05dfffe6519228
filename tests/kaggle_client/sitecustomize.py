"""Python runs this at its start when the folder is on PYTHONPATH: it leads Kaggle's client to the server of the tests.

The client's address cannot be set by a variable. What is changed is changed as the module in question is imported,
so that processes which never import it (dvc, git's hooks) pay nothing.
"""

import importlib.abc
import importlib.machinery
import json
import os
import sys
from collections.abc import Sequence
from types import ModuleType


def lead_astray(module: ModuleType) -> None:
    module._env_to_endpoint[module.KaggleEnv.PROD] = os.environ["FAKE_KAGGLE"]


def hurry(module: ModuleType) -> None:
    for name, value in json.loads(os.environ.get("FAKE_KAGGLE_CONSTANTS", "{}")).items():
        assert hasattr(module.Retries, name), name
        setattr(module.Retries, name, tuple(value) if isinstance(value, list) else value)


CHANGES = {"kagglesdk.kaggle_env": lead_astray, "stages.sources.kaggle.client": hurry}


class Changing(importlib.abc.MetaPathFinder):
    """Finds the modules of CHANGES where they are, and changes them once they have run."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        spec = importlib.machinery.PathFinder.find_spec(name, path) if name in CHANGES else None
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def run_and_change(module: ModuleType) -> None:
                run(module)
                CHANGES[name](module)

            spec.loader.exec_module = run_and_change  # type: ignore[method-assign]
        return spec


if "FAKE_KAGGLE" in os.environ:
    sys.meta_path.insert(0, Changing())
