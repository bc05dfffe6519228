"""`compile: true`: torch.compile for the training steps. Evaluation and export run the original network."""

import copy
import time
from types import ModuleType

import torch
from torch import nn

from stages.compute import distributed
from stages.compute.device import Compute
from stages.config.schema import Run
from stages.core.errors import InputError
from stages.training.protocol import Batches
from stages.training.step import micro_batches


def compiled(
    model: nn.Module, task: ModuleType, run: Run, batches: Batches, compute: Compute
) -> tuple[nn.Module, float | None]:
    """Return the compiled network, which shares the model's weights, and the seconds it took; or the model and None.

    Networks on sequences are not compiled: PyTorch compiles no LSTMs, and a convolution's backward pass only for one length,
    so most batches would run uncompiled. Raises InputError if there is no compiler or it cannot compile the network.
    """
    if not compute.compile:
        return model, None
    # Compiled with the first batch also after a restart, because the code may depend on the batch.
    batch = micro_batches(next(iter(batches.epoch(0))), run.train.accumulate)[0]
    if hasattr(batch, "lengths"):
        print(f"{run.model.name} is not compiled, because the lengths of its batches vary", flush=True)
        return model, None
    from torch._inductor import config, cpu_vec_isa  # takes seconds

    began, before = time.monotonic(), copy.deepcopy(model.state_dict())
    torch.compiler.reset()
    torch.compiler.set_stance("default")
    try:
        # Otherwise the compiler picks a GPU's kernels by their speed, and the order of their sums varies.
        config.deterministic = torch.are_deterministic_algorithms_enabled()
        if compute.device.type == "cpu":
            # The compiler's cache is keyed by the settings. With the vector width among them, a processor with narrower
            # vectors does not reuse code for wider ones, whose results would be wrong there.
            config.cpp.simdlen = cpu_vec_isa.pick_vec_isa().bit_width()
        network: nn.Module = torch.compile(model.train(), fullgraph=True)  # type: ignore[assignment]
        with compute.autocast():
            output = task.forward(network, batch)
        distributed.mean_loss(task.loss(output, batch, run.loss)).backward()
    except RuntimeError as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        lines = [line for line in str(error).splitlines() if line and not line.startswith("backend=")]
        why = lines[0] if lines else type(error).__name__
        raise InputError(f"compile: {run.model.name} cannot be compiled here ({why}); set it to false") from error
    compute.synchronize()
    # Batches of another size, such as an epoch's last one, run uncompiled instead of compiling again.
    torch.compiler.set_stance("eager_on_recompile")
    model.zero_grad(set_to_none=True)
    model.load_state_dict(before)
    seconds = time.monotonic() - began
    print(f"compiled in {seconds:.1f} s", flush=True)
    return network, seconds
