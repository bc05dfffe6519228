"""What benchmarks.memory counts, against the memory that PyTorch's allocator really gave to a network on the CPU."""

from dataclasses import replace

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks import memory
from benchmarks.fake_gpu import CUDA, fake_gpu, fake_network
from benchmarks.features import PICTURES
from benchmarks.gpu.sizes import full_params
from stages.compute.device import Compute, seed_torch
from stages.images.training.batches import ImageBatch
from stages.tasks import task_module
from tests.conftest import Project

STATS = replace(PICTURES, classes=list("abcdefg"), side=64)


@pytest.mark.parametrize(("name", "width"), [("resnet50", 8), ("convnext", 16)])
def test_activations_are_what_stays_allocated_after_a_forward_pass(project: Project, name: str, width: int) -> None:
    run = full_params().run(name)
    run = replace(run, batch_size=16, model=replace(run.model, width=width))
    task = task_module(run.task, "training")
    with fake_gpu():
        model = fake_network(task, run, STATS).train()
        counted, _ = memory.activations(model, task, memory.fake_batch(run, STATS), Compute(CUDA, "fp32"))

    seed_torch(0)
    place = Compute(torch.device("cpu"), "fp32")
    real = place.to_device(task.build_model(run, STATS)).train()
    inputs = torch.zeros(16, 3, STATS.side, STATS.side).contiguous(memory_format=torch.channels_last)
    batch = ImageBatch(inputs, torch.zeros(16, dtype=torch.int64), torch.arange(16))
    task.forward(real, batch)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        output = task.forward(real, batch)
    allocated = sum(event.self_cpu_memory_usage for event in recorded.key_averages())
    del output
    assert counted - inputs.nbytes == pytest.approx(allocated, rel=0.05)


def test_the_parts_of_a_step_are_counted_by_the_optimizer_and_the_precision(project: Project) -> None:
    params = full_params()
    found = {precision: memory.peak(params.run("resnet50"), precision) for precision in ("fp32", "bf16")}
    assert found["fp32"].gradients == 4 * 37_877_528 == found["fp32"].optimizer == found["fp32"].weights / 3
    assert found["bf16"].gradients == found["fp32"].gradients
    assert 0.45 < found["bf16"].activations / found["fp32"].activations < 0.6
    adam = params.run("convnext")
    whole = memory.peak(adam, "bf16")
    assert whole.optimizer == 2 * whole.gradients
    parts = memory.peak(replace(adam, train=replace(adam.train, accumulate=4)), "bf16")
    assert parts.activations == pytest.approx(whole.activations / 4, rel=0.02) and parts.total < whole.total
