"""Stage `normalize`: decode and check the raw archives, and pack them with statistics into data/features/<task>/."""

from stages.core import checksums, paths
from stages.core.errors import run_stage
from stages.data import archive, understood
from stages.tasks import load_params, task_module


def main(task: str) -> None:
    params = load_params()
    settings = params.task(task)
    archives = archive.open_all(paths.raw(task), int(settings.max_unpacked_gb * 1e9))
    with paths.output(paths.features(task)) as out:
        out.mkdir()
        stats = task_module(settings.kind, "raw").pack(archives, out, settings, params.data_seed)
        checksums.write(out)
    for line in understood.lines(stats.understood):
        print(line)
    for rejected in stats.rejected:
        print(f"left out: {rejected.item}: {rejected.reason}")


if __name__ == "__main__":
    run_stage(main)
