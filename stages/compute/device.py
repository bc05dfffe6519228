"""The choice of device, precision, memory format, determinism and compilation.

Autocast covers only the model's forward pass. Weights, optimizer state, logits, losses and metrics stay float32.
"""

import os
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from stages.core.errors import InputError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Compute:
    device: torch.device
    precision: str  # a key of DTYPES
    compile: bool = False

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, DTYPES[self.precision], enabled=self.precision != "fp32")

    def grad_scaler(self, model: nn.Module) -> torch.amp.GradScaler:
        """Return a gradient scaler, enabled only if there are float16 gradients, which underflow without a scale.

        Even under autocast to bf16, PyTorch passes an LSTM's tensors to cuDNN as float16.
        """
        has_lstm = any(isinstance(layer, nn.RNNBase) for layer in model.modules())
        is_half = self.precision == "fp16" or (self.precision == "bf16" and self.device.type == "cuda" and has_lstm)
        return torch.amp.GradScaler(self.device.type, enabled=is_half)

    def to_device(self, model: nn.Module) -> nn.Module:
        """Move the model to the device, in channels-last format, which is faster (docs/PERFORMANCE.md)."""
        return model.to(self.device).to(memory_format=torch.channels_last)

    def synchronize(self) -> None:
        """Wait for the device to finish, for timing."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    @property
    def name(self) -> str:
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        threads = "1 thread" if torch.get_num_threads() == 1 else f"{torch.get_num_threads()} threads"
        instructions = f" with {torch.backends.cpu.get_cpu_capability()}" if self.device.type == "cpu" else ""
        return f"{self.device.type}{instructions}, {threads}"


def choose(
    device: str, precision: str, deterministic: bool, compile: bool = False, *, num_threads: int | None = None
) -> Compute:
    """Resolve `auto` and set PyTorch's global switches. Raises InputError for an unavailable device.

    num_threads: on the CPU, or None for PyTorch's default.
    """
    if num_threads is not None:
        torch.set_num_threads(num_threads)
    if deterministic:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # cuBLAS reads it at its start
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"  # torchrun's number of this process on its machine
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen)
        if chosen.type == "cuda":
            torch.cuda.set_device(chosen)  # for code that uses the current device, such as pinned memory
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device: {device!r} cannot be used here ({str(error).splitlines()[0]})") from None
    if precision == "auto":
        precision = _fastest(chosen)
    torch.backends.cudnn.allow_tf32 = precision != "fp32"  # PyTorch's default is TF32, with 10 bits
    if deterministic:
        torch.set_deterministic_debug_mode("error")  # use_deterministic_algorithms would import inductor, 1 s
        # No code here reads uninitialised memory; filling it takes 10 % of pblstm's step on a CPU.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return Compute(chosen, precision, compile)


def _fastest(device: torch.device) -> str:
    """Return bf16 if the hardware has instructions for it, fp16 on older GPUs, else fp32."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()):
        return "bf16"
    return "fp32"


def seed_torch(seed: int, step: int = 0, rank: int = 0) -> None:
    """Make PyTorch's next random draws, mainly dropout's, a function of (seed, step) and the process."""
    torch.manual_seed(int(np.random.SeedSequence((seed, step, rank)).generate_state(1)[0]))
