"""`compile: true`: code made by PyTorch's compiler takes training's steps. Weights, dev scores, exports stay as they are."""

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
    """What to take steps with, and the seconds that compiling it took; the model itself and None if nothing is compiled.

    The model and its parameters stay as they were. A network of sequences is left alone: PyTorch compiles no LSTMs, and a
    convolution's backward pass for one length only, so that nearly every batch would take its step without.
    Raises InputError where there is no compiler, or for a network that it cannot take.
    """
    if not compute.compile:
        return model, None
    # By the first batch of all, wherever training is resumed: the code may depend on the batch that it is compiled with.
    batch = micro_batches(next(iter(batches.epoch(0))), run.train.accumulate)[0]
    if hasattr(batch, "lengths"):
        print(f"{run.model.name} is not compiled, for its batches are of many lengths", flush=True)
        return model, None
    from torch._inductor import config, cpu_vec_isa  # which take seconds to import

    began, before = time.monotonic(), copy.deepcopy(model.state_dict())
    torch.compiler.reset()
    torch.compiler.set_stance("default")
    try:
        # Else a GPU's kernels are chosen by their times, and add up in other orders. `choose` has no time to import it.
        config.deterministic = torch.are_deterministic_algorithms_enabled()
        if compute.device.type == "cpu":
            # What has been compiled is kept for the next time, by the settings. Were its vectors' width not one of them, a
            # processor with narrower ones would run it all the same and leave half of each vector as it was.
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
    # A batch that the code is not for, such as an epoch's last, smaller one, takes its step without: no second compilation.
    torch.compiler.set_stance("eager_on_recompile")
    model.zero_grad(set_to_none=True)
    model.load_state_dict(before)
    seconds = time.monotonic() - began
    print(f"compiled in {seconds:.1f} s", flush=True)
    return network, seconds
