"""`make folds`: what is put in the queue, what the networks of all folds say together, and what has no folds."""

import csv
import json
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from dvc.utils.hydra import apply_overrides

from stages import ablate, download, evaluate, folds, normalize, seeds, train
from stages.ablating import grids, queue
from stages.core import paths
from stages.core.errors import InputError
from stages.data.packed import Ragged, read_texts, text_row
from stages.data.tables import read_table
from stages.results.members import Member
from stages.tasks import load_params, task_module
from stages.tasks.cifar10 import CLASSES
from stages.tasks.speech.training import decode
from tests.conftest import SMALL, Project
from tests.test_ablate import git


class InProcess:
    """The queue's place: each value's stages run here, one after the other, and their results are put aside."""

    def __init__(self, project: Project) -> None:
        self.names: list[str] = []
        self._project, self._kept = project, project.folder / "kept"

    def prepare(self, target: str) -> None:
        stage, task = target.split("@")
        assert stage == "normalize"
        normalize.main(task)

    def run(self, values: list[grids.Value], jobs: int) -> dict[str, str]:
        found, before = {}, paths.PARAMS.read_text()
        shutil.move(paths.features("cifar10"), self._kept / "features")
        for value in values:
            self.names.append(value.name)
            apply_overrides(paths.PARAMS, list(value.overrides))
            normalize.main("cifar10")
            train.main(value.run)
            evaluate.main(value.run)
            shutil.move(paths.predictions(value.run), self._kept / value.name)
            git("add", "-f", "metrics")
            git("commit", "-qm", "x")
            git("update-ref", f"refs/exps/00/00/{value.name}", "HEAD")
            found[value.name] = f"refs/exps/00/00/{value.name}"
            paths.PARAMS.write_text(before)
        shutil.rmtree(paths.features("cifar10"))
        shutil.move(self._kept / "features", paths.features("cifar10"))
        return found

    def fetch(self, ref: str, folder: Path, to: Path) -> None:
        shutil.copytree(self._kept / Path(ref).name, to)


@pytest.fixture
def in_process(project: Project, monkeypatch: pytest.MonkeyPatch) -> InProcess:
    """A small project for CIFAR-10 in Kaggle's layout, which has no dev split of its own."""
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "x")  # DVCLive needs one
    project.set(**{key: value for key, value in SMALL.items() if "cifar10" in key or "custom" in key or "__" not in key})
    download.main("cifar10")
    paths.lr("custom_resnet").parent.mkdir(parents=True)
    paths.lr("custom_resnet").write_text(json.dumps({"lr": 0.01, "source": "x"}))
    found = InProcess(project)
    for name in ("prepare", "run", "fetch"):
        monkeypatch.setattr(queue, name, getattr(found, name))
    return found


def test_the_networks_of_all_folds_together(in_process: InProcess, capsys: pytest.CaptureFixture[str]) -> None:
    folds.main(["custom_resnet", "--of", "2"])
    assert in_process.names == [f"custom_resnet-fold-{number}-of-2" for number in range(2)]
    together, features = paths.folds_together("custom_resnet"), paths.features("cifar10")
    # Each item once, by the network that did not see it, with its own label.
    with (together / "out_of_fold.csv").open(newline="") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    labels = {
        name: CLASSES[label]
        for split in ("train", "dev")
        for name, label in zip(read_texts(features / split / "names"), np.load(features / split / "labels.npy"), strict=True)
    }
    assert len(rows) == 60 and {name: row["label"] for name, row in rows.items()} == labels
    for number in range(2):
        table = read_table(in_process._kept / in_process.names[number] / "dev.csv")
        own = dict(zip(table.column("name"), table.column("predicted"), strict=True))
        assert {name: row["predicted"] for name, row in rows.items() if row["fold"] == str(number)} == own
        assert len(own) == 30
    # The scores.
    found = json.loads(paths.folds("custom_resnet").read_text())
    right = [row["predicted"] == row["label"] for row in rows.values()]
    assert found["out_of_fold"] == {"accuracy": np.mean(right), "num": 60, "only_train": 0}
    assert found["dev"]["accuracy"]["mean"] == pytest.approx(np.mean(right)), "the folds are of one size"
    assert found["dev"]["accuracy"]["n"] == 2 and found["of"] == 2 and found["source"] == "sample"
    # The submission.
    probabilities = [np.exp(np.load(in_process._kept / name / "test.npy").astype(np.float64)) for name in in_process.names]
    answers = [CLASSES[index] for index in sum(probabilities).argmax(1)]
    submission = read_table(together / "submission.csv")
    names = read_texts(features / "test" / "names")
    assert dict(zip(submission.column("id"), submission.column("label"), strict=True)) == dict(
        zip(names, answers, strict=True)
    )
    said = capsys.readouterr().out
    assert f"out of fold, all 60 items: accuracy {np.mean(right):.4f}\n" in said
    assert "data/folds/custom_resnet/submission.csv: 5 rows, the mean of 2 networks" in said


def test_what_is_put_in_the_queue_replaces_a_fold_that_is_set(project: Project) -> None:
    [first, _] = grids.folds("custom_resnet", "cifar10", 2)
    assert first.arguments == ["-S", "++tasks.cifar10.fold={of:2,number:0}", "evaluate@custom_resnet"]
    project.set(tasks__cifar10__fold={"of": 5, "number": 4})
    [_, second] = grids.folds("custom_resnet", "cifar10", 2)
    assert second.overrides == ("~tasks.cifar10.fold", "+tasks.cifar10.fold={of:2,number:1}")


def test_a_fold_that_failed_leaves_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "prepare", lambda target: None)
    monkeypatch.setattr(queue, "run", lambda values, jobs: {value.name: None for value in values})
    said = "> python -m stages.normalize cifar10\nerror: raw: has a dev split of its own\nERROR: failed to reproduce\n"
    monkeypatch.setattr(queue, "dvc", lambda *arguments: said if arguments[:2] == ("queue", "logs") else "")
    with pytest.raises(InputError, match=r"-fold-0-of-2, .* failed, so there is no table: raw: has a dev split of"):
        folds.main(["custom_resnet", "--of", "2"])
    assert not paths.folds("custom_resnet").exists() and not paths.folds_together("custom_resnet").exists()


@pytest.mark.parametrize("command", [folds, seeds, ablate])
def test_a_final_training_leaves_nothing_to_compare(project: Project, command: ModuleType) -> None:
    project.set(runs__custom_resnet__train={"final": True})
    with pytest.raises(InputError, match=r"runs\.custom_resnet\.train\.final: trains on dev, too"):
        command.main(["custom_resnet"])


def test_utterances_are_decoded_from_the_mean_of_all_networks(project: Project, tmp_path: Path) -> None:
    members, lengths, random = [Member(name, tmp_path / name, 1 / 3) for name in "abc"], (5, 9), np.random.default_rng(0)
    (tmp_path / "test").mkdir()
    with Ragged(tmp_path / "test/mfcc", (2,), np.float32) as frames, Ragged(tmp_path / "test/names", (), np.uint8) as names:
        for number, length in enumerate(lengths):
            frames.append(np.zeros((length, 2), np.float32))
            names.append(text_row(str(number)))
    means = [np.zeros((length, 41)) for length in lengths]
    for member in members:
        member.folder.mkdir()
        with Ragged(member.folder / "test", (41,), np.float16) as emissions:
            for mean in means:
                probabilities = random.dirichlet([0.1] * 41, len(mean)) + 1e-4
                mean += probabilities / 3
                emissions.append(np.log(probabilities).astype(np.float16))
    project.set(runs__bilstm__evaluate={"weights": "best", "beam": 5, "cut": 0.02})
    task_module("speech", "folds").predict_test(members, tmp_path, load_params().run("bilstm"), tmp_path)
    found = read_table(tmp_path / "test.csv")
    assert found.column("name") == ["0", "1"]
    assert found.column("predicted") == decode.beam_search(
        [np.log(mean).astype(np.float32) for mean in means], 5, 0.02, None
    )


def test_utterances_are_scored_by_distance_and_per_phoneme(tmp_path: Path) -> None:
    file = tmp_path / "dev.csv"
    file.write_text("name,predicted,label,distance\na,kitten,sitting,3\nb,,ab,2\nc,x,x,0\n")
    assert task_module("speech", "folds").score(read_table(file)) == {"distance": 5 / 3, "per": 5 / 10}
