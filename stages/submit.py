"""Stage `submit`: the competition's CSV into data/submissions/<run>/, checked before anybody uploads it."""

from stages.engine import paths
from stages.engine.errors import run_stage
from stages.tasks import load_params, part


def main(name: str) -> None:
    params = load_params()
    run = params.run(name)
    with paths.replacing(paths.submissions(name)) as out:
        out.mkdir()
        part(run.task, "submission").write(paths.predictions(name), paths.features(run.task), out)
    for file in sorted(paths.submissions(name).iterdir()):
        print(f"{file}: {sum(1 for _ in file.open()) - 1:,} rows")


if __name__ == "__main__":
    run_stage(main)
