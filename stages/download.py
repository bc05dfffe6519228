"""Stage `download`: the raw archives of a task into data/raw/<task>/."""

from stages.engine import paths
from stages.engine.errors import InputError, run_stage
from stages.sources import path
from stages.tasks import load_params, part


def main(task: str) -> None:
    params = load_params()
    settings = params.task(task)
    with paths.replacing(paths.raw(task)) as out:
        out.mkdir()
        if settings.source == "sample":
            part(task, "sample").make(out, settings, params.seed)
        else:
            sources = [settings.source] if isinstance(settings.source, str) else settings.source
            if not sources:
                raise InputError(f"tasks.{task}.source: the list is empty; give a path or 'sample'")
            path.fetch(sources, out, f"tasks.{task}.source")
    for file in sorted(paths.raw(task).iterdir()):
        print(f"{file}: {file.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    run_stage(main)
