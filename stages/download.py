"""Stage `download`: put a task's raw archives into data/archives/<task>/."""

from pathlib import Path
from typing import Any

from stages.config.check import nearest
from stages.core import paths
from stages.core.errors import InputError, run_stage
from stages.sources import http, path, sevenzip
from stages.sources.kaggle import download as kaggle
from stages.tasks import load_params, task_module


def main(task: str) -> None:
    params = load_params()
    with paths.output(paths.raw(task)) as out:
        out.mkdir()
        settings = params.task(task)
        fetch(task, settings, params.data_seed, out)
        for file in sorted(out.iterdir()):
            sevenzip.repack(file, out, max_bytes=int(settings.max_unpacked_gb * 1e9))
    for file in sorted(paths.raw(task).iterdir()):
        print(f"{file}: {file.stat().st_size / 1e6:.1f} MB")


def fetch(task: str, settings: Any, seed: int, out: Path) -> None:
    """Put the archives that `settings.source` names into `out`."""
    where, cache, max_bytes = f"tasks.{task}.source", paths.downloads(task), int(settings.max_unpacked_gb * 1e9)
    if settings.source == "sample":
        task_module(settings.kind, "sample").make(out, settings, seed)
    elif settings.source == "kaggle":
        if not settings.competitions:
            raise InputError(f"tasks.{task}.competitions: names no competition to download; docs/COMPETING.md lists them")
        competitions = settings.competitions if isinstance(settings.competitions, dict) else {"": settings.competitions}
        for stem, competition in competitions.items():
            key = f"tasks.{task}.competitions.{stem}".rstrip(".")
            kaggle.fetch(competition, out, cache, key, max_bytes=max_bytes)
    elif settings.source == "public":
        known = task_module(settings.kind, "public").PUBLIC
        if not settings.public:
            raise InputError(f"tasks.{task}.public: names no archives; use the source 'kaggle' or a path to your archives")
        for name in settings.public:
            if name not in known:
                raise InputError(f"tasks.{task}.public: {name!r} is not a public archive; {nearest(name, known)}")
            url, checksum = known[name]
            http.fetch(url, out, cache, checksum=checksum)
    else:
        sources = [settings.source] if isinstance(settings.source, str) else settings.source
        if not sources:
            raise InputError(f"{where}: the list is empty; give a path or 'sample'")
        path.fetch(sources, out, where, max_bytes)


if __name__ == "__main__":
    run_stage(main)
