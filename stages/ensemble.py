"""Stage `ensemble`: the mean prediction of two members, with the same outputs as `evaluate`.

metrics/<ensemble>.json, metrics/<ensemble>/evaluate.json and plots/, data/predictions/<ensemble>/.
"""

import json

from stages.core import checksums, paths
from stages.core.errors import InputError, run_stage
from stages.results import headlines
from stages.results.members import Member
from stages.tasks import load_params, task_module


def main(name: str) -> None:
    params = load_params()
    ensemble = params.ensemble(name)
    evaluations = {member: json.loads(paths.evaluation(member).read_text()) for member in ensemble.members}
    num_parameters = sum(evaluation["num_parameters"] for evaluation in evaluations.values())
    params.check_size(ensemble.task, f"ensembles.{name}", num_parameters)
    checksums.check(paths.features(ensemble.task), below=False)
    runs = {member: params.runs_of(member) for member in ensemble.members}
    if final := [run for each in runs.values() for run in each if params.run(run).train.final]:
        why = f"{final[0]} trains on dev, too (train.final), and has no dev predictions to average"
        raise InputError(f"ensembles.{name}.members: {why}; set final to false")
    total = sum(map(len, runs.values()))
    members = [Member(member, paths.predictions(member), len(runs[member]) / total) for member in ensemble.members]
    for member in members:
        checksums.check(member.folder)
    with paths.output(paths.plots(name)) as plots_to, paths.output(paths.predictions(name)) as predictions_to:
        plots_to.mkdir()
        predictions_to.mkdir()
        metrics = task_module(ensemble.kind, "ensemble").combine(
            name,
            members,
            paths.features(ensemble.task),
            ensemble,
            plots_to=plots_to,
            predictions_to=predictions_to,
        )
        checksums.write(predictions_to)
    report = {"dev": metrics, "members": list(ensemble.members), "num_parameters": num_parameters}
    with paths.output(paths.evaluation(name)) as partial:
        partial.write_text(json.dumps(report, indent=2) + "\n")
    with paths.output(paths.headlines(name)) as partial:
        chosen = headlines.choose(metrics, task_module(ensemble.kind, "evaluation").HEADLINES)
        partial.write_text(json.dumps({"dev": chosen}, indent=2) + "\n")
    score = task_module(ensemble.kind, "training").SCORE.name
    alone = ", ".join(f"{member} {found['dev'][score]:.4f}" for member, found in evaluations.items())
    how = f"by the mean of the {metrics['mean']}, better on dev"
    if ensemble.weights == "fit":
        weights = ", ".join(f"{member} {weight:.3f}" for member, weight in metrics["weights"].items())
        fitted = f"{metrics['fitted'][score]:.4f} by those of all dev, {weights}"
        how = f"by weights fitted on the half of dev without the item ({fitted})"
    print(f"{name}: dev {score} {metrics[score]:.4f} {how}; alone: {alone}")


if __name__ == "__main__":
    run_stage(main)
