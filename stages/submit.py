"""Stage `submit`: write the competition's CSV to data/submissions/<run>/, check it, and with `submit.enabled` upload it.

metrics/<run>/submission.json describes each file and has its scores; leaderboard.json has only the scores.
"""

import json
from pathlib import Path

from stages.core import checksums, paths
from stages.core.errors import InputError, run_stage
from stages.core.hashes import file_hash
from stages.tasks import load_params, task_module

SCORES = ("public_score", "private_score")


def main(name: str) -> None:
    params = load_params()
    task = params.system(name).task
    if params.submit.enabled and params.task(task).source == "sample":
        raise InputError(f"submit.enabled: the source of {task} is sample; do not send made-up data to Kaggle")
    submission = task_module(params.task(task).kind, "submission")
    predictions, features = paths.predictions(name), paths.features(task)
    checksums.check(features, below=False)
    checksums.check(predictions)
    with paths.output(paths.submissions(name)) as out:
        out.mkdir()
        written = sorted(submission.write(predictions, features, out))
        competitions = _by_file(params.task(task).competitions, [file.stem for file in written])
        report = {
            file.stem: _describe(file, submission.check(file, features, predictions), competitions) for file in written
        }
    files = sorted(paths.submissions(name).iterdir())
    if params.submit.enabled:
        from stages.sources.kaggle import submit as kaggle  # imports requests, which is slow

        key = f"tasks.{task}.competitions"
        if report.keys().isdisjoint(competitions):
            each = f"give a name for each of {', '.join(report)}"
            raise InputError(f"{key}: names no competition for any of the run's files; {each}")
        for file in files:
            if file.stem in competitions:
                report[file.stem] |= kaggle.submit(
                    file,
                    competitions[file.stem],
                    receipts=paths.receipts(),
                    wait_minutes=params.submit.wait_minutes,
                    where=f"{key}.{file.stem}",
                )
    with paths.output(paths.submission(name)) as partial:
        partial.write_text(json.dumps(report, indent=2) + "\n")
    scores = {file.stem: {key: report[file.stem][key] for key in SCORES if key in report[file.stem]} for file in files}
    with paths.output(paths.leaderboard(name)) as partial:
        partial.write_text(json.dumps({stem: found for stem, found in scores.items() if found}, indent=2) + "\n")
    if not files:
        print(f"{paths.submissions(name)}: empty, as there are no test items")
    for file in files:
        found = [f", {key} {score}" for key, score in scores[file.stem].items()]
        print(f"{file}: {report[file.stem]['rows']:,} rows{''.join(found)}")


def _by_file(competitions: str | dict[str, str], stems: list[str]) -> dict[str, str]:
    """Return the competition of each submission file. A single name belongs to the only file; with several, to none."""
    if isinstance(competitions, dict):
        return competitions
    return {stems[0]: competitions} if len(stems) == 1 else {}


def _describe(file: Path, rows: int, competitions: dict[str, str]) -> dict[str, str | int | float]:
    named = {"competition": competitions[file.stem]} if file.stem in competitions else {}
    return {**named, "rows": rows, "sha256": file_hash(file)}


if __name__ == "__main__":
    run_stage(main)
