"""Pairs from the archive to the submission: scores against cosines one by one, errors against plain Python."""

import csv
import dataclasses
import io
import zipfile
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from stages.compute.device import seed_torch
from stages.config.schema import Run
from stages.data import checkpoint
from stages.data.archive import Archive, write_member
from stages.images.settings import ResNet50
from stages.tasks import load_params
from stages.tasks.faces import evaluation, prediction, raw, submission
from stages.tasks.faces import training as task
from stages.tasks.faces.evaluation import whitening
from stages.tasks.faces.statistics import Stats
from tests.conftest import ROOT, task_settings
from tests.tasks.faces.test_raw import face
from tests.tasks.faces.test_whitening import EPS, PLACE, naive

PEOPLE, SHOTS = 4, 4
TEST = [(0, 5), (9, 3), (2, 2), (7, 12)]


class Evaluated(NamedTuple):
    features: Path
    stats: Stats
    run: Run
    model: Any
    metrics: dict[str, Any]
    plots: Path
    predictions: Path


def dev_pairs() -> Iterator[tuple[int, int, int]]:
    """Every image with every later one; whose they are."""
    for one, other in product(range(PEOPLE * SHOTS), repeat=2):
        if one < other:
            yield one, other, int(one // SHOTS == other // SHOTS)


@pytest.fixture(scope="module", params=[None, EPS])
def evaluated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    folder = tmp_path_factory.mktemp("pairs")
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        for split, who, shot in product(("train", "dev"), range(PEOPLE), range(3)):
            seed = 100 * who + shot + (50 if split == "dev" else 0)
            write_member(archive, f"cls_data/{split}/n{who}/{shot}.jpg", face(seed, 32, 32))
        for index in range(PEOPLE * SHOTS):  # the order of the names is not that of the numbers
            write_member(archive, f"ver_data/{(7 * index) % 16:02d}_{index}.jpg", face(index // SHOTS * 100, 32 + index, 32))
        names = [f"{(7 * index) % 16:02d}_{index}.jpg" for index in range(PEOPLE * SHOTS)]
        dev = "".join(f"{names[one]} {names[other]} {same}\n" for one, other, same in dev_pairs())
        write_member(archive, "val_pairs.txt", dev.encode())
        write_member(archive, "test_pairs.txt", "".join(f"{names[one]} {names[other]}\n" for one, other in TEST).encode())
    for name in ("features", "plots", "predictions"):
        (folder / name).mkdir()
    settings = task_settings("faces", source="anywhere", side=32)
    stats = raw.pack([Archive(folder / "a.zip")], folder / "features", settings, 0)
    run = load_params(ROOT / "params.yaml").run("resnet50")
    block = dataclasses.replace(run.evaluate, whiten=request.param, views=["plain"])
    run = dataclasses.replace(run, model=ResNet50("resnet50", width=2), batch_size=5, loading="device", evaluate=block)
    seed_torch(0)
    model = PLACE.to_device(task.build_model(run, stats))
    folders = {"plots_to": folder / "plots", "predictions_to": folder / "predictions"}
    metrics = evaluation.evaluate(model, "resnet50", run, folder / "features", PLACE, 0, **folders)
    return Evaluated(folder / "features", stats, run, model, metrics, folder / "plots", folder / "predictions")


def embeddings(found: Evaluated, split: str) -> Tensor:
    """One by one, without the machinery of batches."""
    images = task.read_images(found.features, split)
    mean, std = (np.array(values, np.float32) for values in (found.stats.mean, found.stats.std))
    pixels = torch.from_numpy((images[: len(images)] - mean) / std).permute(0, 3, 1, 2)
    with torch.no_grad():
        parts: Tensor = torch.cat([found.model.eval().embed(image[None]) for image in pixels])
    return parts


def rows(found: Evaluated, split: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((found.predictions / f"verification_{split}.csv").read_text())))


def number(name: str) -> int:
    """Of the image, as they were drawn."""
    return int(name.partition("_")[2].removesuffix(".jpg"))


def test_the_scores_are_the_cosines_of_the_pairs_in_the_order_of_their_table(evaluated: Evaluated) -> None:
    values = embeddings(evaluated, "verification").numpy().astype(np.float64)
    if evaluated.run.evaluate.whiten is not None:
        labels = torch.from_numpy(np.load(evaluated.features / "train/labels.npy"))
        values = naive(embeddings(evaluated, "train"), labels, EPS, torch.from_numpy(values))
    order = sorted(range(PEOPLE * SHOTS), key=lambda index: f"{(7 * index) % 16:02d}_{index}.jpg")
    for split, expected in (("dev", list(dev_pairs())), ("test", [(one, other, None) for one, other in TEST])):
        found = rows(evaluated, split)
        assert [(number(row["name"]), number(row["other"])) for row in found] == [pair[:2] for pair in expected]
        assert [row.get("label") for row in found] == [None if same is None else str(same) for _, _, same in expected]
        for row, (one, other, _) in zip(found, expected, strict=True):
            a, b = values[order.index(one)], values[order.index(other)]
            lengths = np.linalg.norm(a) * np.linalg.norm(b) or 1  # nothing is similar to what has no length
            assert float(row["score"]) == pytest.approx(a @ b / lengths, abs=1e-3)


def test_the_metrics_are_those_of_brute_force(evaluated: Evaluated) -> None:
    found = evaluated.metrics["verification"]
    pairs = [(Fraction(row["score"]), row["label"] == "1") for row in rows(evaluated, "dev")]
    num = sum(same for _, same in pairs)
    assert (found["num"], found["num_genuine"], found["num_impostor"]) == (len(pairs), num, len(pairs) - num)
    borders = [Fraction(2), *sorted({score for score, _ in pairs}, reverse=True)]
    curve = []
    for border in borders:
        accepted = [same for score, same in pairs if score >= border]
        curve.append((Fraction(accepted.count(False), len(pairs) - num), Fraction(accepted.count(True), num)))
    for limit in ("1e-4", "5e-4", "1e-3", "5e-3", "5e-2"):
        assert found[f"tpr_at_fpr_{limit}"] == pytest.approx(
            float(max(t for f, t in curve if f <= Fraction(limit))), abs=0.02
        )
    wins = sum((a > b) + Fraction(a == b, 2) for a, s in pairs for b, t in pairs if s and not t)
    assert found["auc"] == pytest.approx(float(wins / num / (len(pairs) - num)), abs=1e-3)
    errors = []
    for (far, tar), (next_far, next_tar) in pairwise(curve):
        weight = (1 - tar - far) / (next_far - far + next_tar - tar)
        if 0 <= weight <= 1:
            errors.append(float(far + weight * (next_far - far)))
    assert found["eer"] == pytest.approx(errors[0], abs=0.02)
    right = [sum((score >= border) == same for score, same in pairs) for border in borders]
    assert found["accuracy"] == pytest.approx(max(right) / len(pairs), abs=0.01)
    judged = sum((float(row["score"]) >= found["threshold"]) == (row["label"] == "1") for row in rows(evaluated, "dev"))
    assert judged / len(pairs) == pytest.approx(found["accuracy"], abs=0.01)


def test_there_is_a_picture_of_each_kind(evaluated: Evaluated) -> None:
    names = {path.name for path in evaluated.plots.iterdir()}
    assert names >= {"roc.png", "scores.png", "pairs.png", "confused.png", "misclassified.png", "augmented.png"}
    assert (evaluated.predictions / whitening.FILE).is_file() == (evaluated.run.evaluate.whiten is not None)


def test_the_submission_has_the_scores_of_the_test_pairs(evaluated: Evaluated, tmp_path: Path) -> None:
    [file] = submission.write(evaluated.predictions, evaluated.features, tmp_path)
    scores = [row["score"] for row in rows(evaluated, "test")]
    assert file.name == "verification.csv"
    assert file.read_text().splitlines() == ["ID,Label", *(f"{place},{score}" for place, score in enumerate(scores))]
    assert submission.check(file, evaluated.features, evaluated.predictions) == len(TEST)


def test_two_images_get_the_score_of_evaluation(evaluated: Evaluated) -> None:
    report = {"dev": evaluated.metrics, "weights_sha256": checkpoint.weights_hash(evaluated.model.state_dict())}
    images = task.read_images(evaluated.features, "verification")
    pairs = np.load(evaluated.features / "pairs_dev.npy")
    for (one, other, _), row in list(zip(pairs.tolist(), rows(evaluated, "dev"), strict=True))[::13]:
        items = [images[one : one + 1][0], images[other : other + 1][0]]
        arguments = (evaluated.run, evaluated.stats, PLACE, report, evaluated.predictions)
        answer = prediction.compare(evaluated.model, items, *arguments)
        assert answer.score == pytest.approx(float(row["score"]), abs=1e-4)
        assert answer.threshold == evaluated.metrics["verification"]["threshold"]
