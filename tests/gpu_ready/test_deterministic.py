"""`deterministic: true` on a GPU: cuBLAS is told in time, and no operation is used that has no fixed order there."""

import os
from typing import Any

import pytest
import torch

from stages.compute.device import choose


def test_cublas_is_told_before_cuda_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first tensor on a device starts it."""
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    before, zeros, seen = torch.get_deterministic_debug_mode(), torch.zeros, list[str | None]()

    def first_tensor(*arguments: Any, **settings: Any) -> torch.Tensor:
        seen.append(os.environ.get("CUBLAS_WORKSPACE_CONFIG"))
        return zeros(*arguments, **settings)

    monkeypatch.setattr(torch, "zeros", first_tensor)
    try:
        choose("cpu", "fp32", True)
        assert seen == [":4096:8"] and torch.are_deterministic_algorithms_enabled()
    finally:
        torch.set_deterministic_debug_mode(before)
