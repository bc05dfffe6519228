"""Ensembles: what may be one, the mean of what members say, and the stage."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from ruamel.yaml import YAML

from stages import download, ensemble, evaluate, normalize, submit, train
from stages.config.schema import Ensemble
from stages.core import checksums, paths
from stages.core.errors import InputError
from stages.data.packed import Ragged, RaggedArray, text_row
from stages.data.tables import read_table, write_table
from stages.reporting.collect import collect
from stages.results import members
from stages.results.members import MEANS, Member
from stages.tasks import load_params
from stages.tasks.faces import ensemble as faces
from stages.tasks.faces.evaluation import verification
from stages.tasks.speech import CHARACTERS
from stages.tasks.speech import ensemble as speech
from stages.tasks.speech.training import decode
from tests.conftest import SMALL, Project

BOTH: dict[str, Any] = {"task": "cifar10", "kind": "cifar10", "inputs": "images", "weights": "equal"}
PAIR = BOTH | {"members": ["custom_resnet", "dilated_net"]}


def random_log_probs(seed: int, num: int, classes: int) -> np.ndarray:
    return torch.randn(num, classes, generator=torch.Generator().manual_seed(seed)).log_softmax(1).half().numpy()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"members": ["custom_resnet", "custom_resnet"]}, "members: must be two, but is custom_resnet twice"),
        ({"members": ["custom_resnet"]}, "members: must be a list of 2"),
        (
            {"members": ["custom_resnet", "dilated"]},
            "members: there is no run or ensemble 'dilated'; did you mean 'dilated_net'",
        ),
        ({"members": ["custom_resnet", "pblstm"]}, "members: pblstm belongs to the task speech, the ensemble to cifar10"),
        ({"members": ["custom_resnet", "x"]}, "members: x would be a member of itself"),
        ({"members": ["custom_resnet", "y"]}, "members: x would be a member of itself"),
        ({"kind": "faces"}, "kind: must be cifar10, as in tasks.cifar10"),
        ({"weights": "fits"}, "weights: 'fits' is not a choice here; did you mean 'fit'?"),
    ],
)
def test_what_is_no_ensemble_is_an_error_that_names_it(project: Project, changed: dict[str, Any], said: str) -> None:
    project.set(ensembles={"x": PAIR | changed, "y": PAIR | {"members": ["x", "dilated_net"]}})
    with pytest.raises(InputError) as refused:
        load_params()
    assert str(refused.value).startswith(f"ensembles.x.{said}")


def test_a_run_of_the_same_name_is_an_error(project: Project) -> None:
    project.set(ensembles={"pblstm": PAIR})
    with pytest.raises(InputError, match=r"ensembles\.pblstm: there is a run of this name"):
        load_params()


def test_an_ensemble_of_ensembles_counts_every_run_equally(project: Project) -> None:
    project.set(ensembles={"x": PAIR, "y": PAIR | {"members": ["x", "dilated_net"]}})
    assert load_params().runs_of("y") == ["custom_resnet", "dilated_net", "dilated_net"]


@pytest.mark.parametrize("of", MEANS)
def test_the_mean_is_that_of_the_probabilities_or_of_their_logarithms(of: str) -> None:
    """Against plain arithmetic; three at once, and two with the third after."""
    three = [random_log_probs(seed, 7, 5) for seed in range(3)]
    probabilities = np.exp(np.stack(three).astype(np.float64))
    wanted = probabilities.mean(0) if of == MEANS[0] else probabilities.prod(0) ** (1 / 3)
    wanted /= wanted.sum(1, keepdims=True)
    found = np.exp(members.mean(three, [1 / 3] * 3, of))
    two = members.mean(three[:2], [1 / 2] * 2, of)
    np.testing.assert_allclose(found, wanted, atol=2e-3)
    np.testing.assert_allclose(np.exp(members.mean([two, three[2]], [2 / 3, 1 / 3], of)), found, atol=1e-6)


def test_the_similarity_of_faces_is_the_mean_of_the_members(tmp_path: Path) -> None:
    each, parts = [], [torch.randn(4, 6), torch.randn(4, 9)]
    for name, embeddings in zip("ab", parts, strict=True):
        (tmp_path / name / "embeddings").mkdir(parents=True)
        np.save(tmp_path / name / "embeddings/known.npy", embeddings.numpy())
        each.append(Member(name, tmp_path / name, 0.5))
    found = faces.join_embeddings(each, "known")
    wanted = sum(F.cosine_similarity(part[:2], part[2:]) for part in parts) / 2
    torch.testing.assert_close(verification.cosines(found[:2], found[2:]), wanted, atol=1e-6, rtol=0)


def test_emissions_of_other_frames_are_refused_with_both_names(tmp_path: Path) -> None:
    each = []
    for name, lengths in {"fast": [3, 5], "slow": [3, 9]}.items():
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "dev_offsets.npy", np.cumsum([0, *lengths]))
        np.save(tmp_path / name / "dev.npy", random_log_probs(0, sum(lengths), 4))
        each.append(Member(name, tmp_path / name, 0.5))
    with pytest.raises(
        InputError, match=r"dev: utterance 2 has 5 frames in fast and 9 frames in slow; the members must shorten"
    ):
        speech.answer(each, tmp_path, "dev", MEANS[0], 2)


def test_probabilities_that_were_too_many_to_keep_are_told_of(tmp_path: Path) -> None:
    assert members.fits(35_000, 7_000) and not members.fits(100_000, 7_000)
    with pytest.raises(
        InputError, match=r"dev\.npy: is missing; the probabilities of a are not kept above 500,000,000 bytes"
    ):
        members.read([Member("a", tmp_path, 1.0)], "dev.npy")


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with both networks for CIFAR-10, hardly trained, evaluated: only to be copied."""
    folder, deterministic = tmp_path_factory.mktemp("pair"), torch.are_deterministic_algorithms_enabled()
    project = Project(folder)
    small = {key: value for key, value in SMALL.items() if "cifar10" in key or "custom" in key or "__" not in key}
    project.set(**small, runs__dilated_net__sample={"model": {"width": 2}, "epochs": 1, "batch_size": 30})
    project.set(ensembles={"both": PAIR})
    with contextlib.chdir(folder):
        download.main("cifar10")
        normalize.main("cifar10")
        for run in PAIR["members"]:
            paths.lr(run).parent.mkdir(parents=True)
            paths.lr(run).write_text(json.dumps({"lr": 0.01, "source": "x"}))
            train.main(run)
            evaluate.main(run)
    yield folder
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture
def trained_pair(project: Project, trained_once: Path) -> Project:
    shutil.copytree(trained_once, project.folder, dirs_exist_ok=True)
    return project


def test_an_ensemble_leaves_what_a_run_leaves(trained_pair: Project, capsys: pytest.CaptureFixture[str]) -> None:
    ensemble.main("both")
    submit.main("both")
    report = json.loads(paths.evaluation("both").read_text())
    runs = [json.loads(paths.evaluation(run).read_text()) for run in PAIR["members"]]
    assert report["num_parameters"] == sum(run["num_parameters"] for run in runs)
    probabilities = [np.exp(np.load(paths.predictions(run) / "dev.npy").astype(np.float64)) for run in PAIR["members"]]
    labels = np.load(paths.features("cifar10") / "dev/labels.npy")
    naive = {
        "probabilities": sum(probabilities).argmax(1) == labels,
        "log-probabilities": np.prod(probabilities, axis=0).argmax(1) == labels,
    }
    assert report["dev"]["accuracy"] == max(right.mean() for right in naive.values())
    assert report["dev"]["accuracy"] == naive[report["dev"]["mean"]].mean()
    headline = json.loads(paths.headlines("both").read_text())["dev"]
    assert headline == {key: report["dev"][key] for key in ("accuracy", "loss")}
    assert (paths.plots("both") / "disagreements.png").is_file()
    assert len(read_table(paths.submissions("both") / "submission.csv").rows) == 5
    checksums.check(paths.predictions("both"))
    [results] = [results for results in collect(load_params()) if results.name == "both"]
    assert results.score == ("accuracy", report["dev"]["accuracy"])
    assert "both: dev accuracy" in capsys.readouterr().out


def test_fitted_weights_are_scored_on_the_half_that_they_were_not_fitted_on(
    trained_pair: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """Against plain arithmetic, and a grid of weights."""
    trained_pair.set(ensembles={"both": PAIR | {"weights": "fit"}})
    ensemble.main("both")
    found = json.loads(paths.evaluation("both").read_text())["dev"]
    dev, test = (
        [np.exp(np.load(paths.predictions(run) / f"{split}.npy").astype(np.float64)) for run in PAIR["members"]]
        for split in ("dev", "test")
    )
    labels = np.load(paths.features("cifar10") / "dev/labels.npy")
    rows, grid = np.arange(len(labels)), np.linspace(0.0001, 0.9999, 9999)

    def best(items: np.ndarray) -> float:
        true = [one[items, labels[items]] for one in dev]
        return float(grid[np.argmin([-np.log(weight * true[0] + (1 - weight) * true[1]).mean() for weight in grid])])

    def mixed(probabilities: list[np.ndarray], first: Any) -> np.ndarray:
        return np.asarray(first * probabilities[0] + (1 - first) * probabilities[1])

    one, other = np.array_split(np.random.default_rng(0).permutation(len(labels)), 2)
    first = np.empty((len(labels), 1))
    first[one], first[other] = best(other), best(one)
    crossed, fitted = mixed(dev, first), mixed(dev, best(rows))
    assert found["accuracy"] == (crossed.argmax(1) == labels).mean()
    assert found["loss"] == pytest.approx(-np.log(crossed[rows, labels]).mean(), abs=1e-4)
    assert found["fitted"]["accuracy"] == (fitted.argmax(1) == labels).mean()
    assert found["fitted"]["loss"] == pytest.approx(-np.log(fitted[rows, labels]).mean(), abs=1e-4)
    assert found["weights"] == pytest.approx({"custom_resnet": best(rows), "dilated_net": 1 - best(rows)}, abs=2e-3)
    kept = [np.exp(np.load(paths.predictions("both") / f"{split}.npy").astype(np.float64)) for split in ("dev", "test")]
    np.testing.assert_allclose(kept[0], crossed, atol=2e-3)
    np.testing.assert_allclose(kept[1], mixed(test, best(rows)), atol=2e-3)
    said = capsys.readouterr().out
    assert f"both: dev accuracy {found['accuracy']:.4f} by weights fitted on the half of dev without the item (" in said
    assert json.loads(paths.headlines("both").read_text())["dev"]["accuracy"] == found["accuracy"]


def test_emissions_that_are_noise_get_no_weight(tmp_path: Path) -> None:
    """One member spells each transcript, every symbol and a blank, most of the time; the other knows nothing.

    The last utterance is too short for an output frame.
    """
    random, each = np.random.default_rng(0), [Member(name, tmp_path / name, 0.5) for name in "ab"]
    transcripts = [random.integers(1, 41, length).astype(np.uint8) for length in (3, 5, 2, 4, 6, 3, 2)]
    spoken = ["".join(CHARACTERS[symbol] for symbol in transcript) for transcript in transcripts]
    shapes = {"dev/transcript": ((), np.uint8), "dev/mfcc": ((2,), np.float32), "dev/names": ((), np.uint8)}
    shapes |= {f"{name}/dev": ((41,), np.float16) for name in "ab"}
    for name in ("dev", "a", "b", "plots", "out"):
        (tmp_path / name).mkdir()
    with contextlib.ExitStack() as stack:
        ragged = {stem: stack.enter_context(Ragged(tmp_path / stem, *shape)) for stem, shape in shapes.items()}
        for number, transcript in enumerate(transcripts):
            logits = random.normal(size=(2, 2 * len(transcript), 41))
            logits[0, np.arange(len(logits[0])), np.stack([transcript, 0 * transcript], 1).ravel()] += 4
            log_probs = F.log_softmax(torch.from_numpy(logits), 2).half().numpy()[:, : 0 if number == 6 else None]
            frames = np.zeros((3, 2), np.float32)
            for stem, item in zip(shapes, (transcript, frames, text_row(str(number)), *log_probs), strict=True):
                ragged[stem].append(item)
    write_table(tmp_path / "a/dev.csv", ["name", "label"], [[str(number), text] for number, text in enumerate(spoken)])

    both = Ensemble("speech", "speech", "sequences", ("a", "b"), "fit")
    found = speech.combine("both", each, tmp_path, both, plots_to=tmp_path / "plots", predictions_to=tmp_path / "out")

    emissions = [[RaggedArray(member.folder / "dev")[index].astype(float) for member in each] for index in range(7)]

    def mixed(index: int, weight: float) -> np.ndarray:
        return np.asarray(np.log(weight * np.exp(emissions[index][0]) + (1 - weight) * np.exp(emissions[index][1])))

    def loss(items: np.ndarray, weight: float) -> float:
        losses = []
        for index in items:
            log_probs, target = torch.from_numpy(mixed(index, weight)), torch.from_numpy(transcripts[index].astype(int))
            lengths = torch.tensor([len(log_probs)]), torch.tensor([len(target)])
            losses.append(F.ctc_loss(log_probs[:, None], target[None], *lengths).item() if len(log_probs) else 0.0)
        return float(np.mean(losses))

    def best(items: np.ndarray) -> float:
        return float(min(np.linspace(0.005, 0.995, 100), key=lambda weight: loss(items, weight)))

    assert found["weights"]["a"] > 0.9
    assert found["weights"]["a"] == pytest.approx(best(np.arange(7)), abs=0.01)
    one, other = np.array_split(np.random.default_rng(0).permutation(7), 2)
    for half, rest in ((one, other), (other, one)):
        for index in half:
            kept = RaggedArray(tmp_path / "out/dev")[index]
            np.testing.assert_allclose(np.exp(kept.astype(float)), np.exp(mixed(index, best(rest))), atol=0.02)
    predicted = read_table(tmp_path / "out/dev.csv").column("predicted")
    assert found["distance"] == np.mean(decode.distances(predicted, spoken))
    assert found["mean"] == "probabilities" and found["fitted"].keys() == {"distance"}


def test_a_run_or_an_ensemble_above_the_tasks_limit_is_refused(trained_pair: Project) -> None:
    sizes = [json.loads(paths.evaluation(run).read_text())["num_parameters"] for run in PAIR["members"]]
    trained_pair.set(tasks__cifar10__max_parameters=max(sizes))
    with pytest.raises(
        InputError, match=rf"ensembles\.both: has {sum(sizes):,} parameters, above tasks\.cifar10\.max_param"
    ):
        ensemble.main("both")
    trained_pair.set(tasks__cifar10__max_parameters=sizes[0] - 1)
    with pytest.raises(InputError, match=rf"runs\.custom_resnet: has {sizes[0]:,} parameters, above"):
        train.main("custom_resnet")


def test_a_member_without_dev_predictions_is_named(trained_pair: Project) -> None:
    trained_pair.set(runs__dilated_net__train={"final": True})
    with pytest.raises(InputError, match=r"ensembles\.both\.members: dilated_net trains on dev, too"):
        ensemble.main("both")


def test_the_committed_ensembles_can_be_emptied(project: Project) -> None:
    project.set(ensembles={})
    assert load_params().ensembles == {}
    assert "ensembles" in YAML(typ="safe").load(Path("params.yaml"))
