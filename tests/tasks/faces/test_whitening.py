"""WCCN against NumPy in plain loops; what is measured, saved, asked and exported by one whitening agrees."""

import csv
import dataclasses
import functools
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from stages.compute.device import Compute, seed_torch
from stages.config.schema import Run
from stages.core.errors import InputError
from stages.data import checkpoint
from stages.data.archive import Archive
from stages.images.settings import ResNet50
from stages.tasks import load_params
from stages.tasks.faces import evaluation, export, prediction, raw, sample
from stages.tasks.faces import training as task
from stages.tasks.faces.evaluation import whitening
from stages.tasks.faces.settings import Sample
from stages.tasks.faces.statistics import Stats
from tests.conftest import ROOT, task_settings

COUNTS = [5, 1, 9, 2, 0, 7]  # images of each class
LONE = 1  # the class of one image


def training(num_features: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Embeddings (N, D) float32 whose directions vary differently and together, far from zero, and classes (N,), mixed."""
    random = np.random.default_rng(seed)
    classes = random.permutation(np.repeat(np.arange(len(COUNTS)), COUNTS))
    centres = random.normal(3, 2, (len(COUNTS), num_features))
    noise = random.standard_normal((len(classes), num_features)) @ random.standard_normal((num_features, num_features))
    return torch.from_numpy((centres[classes] + noise).astype(np.float32)), torch.from_numpy(classes)


def fit(embeddings: Tensor, classes: Tensor, eps: float, *, size: int = 4) -> whitening.Whitening:
    batches = zip(embeddings.split(size), classes.split(size), strict=True)
    return whitening.fit(batches, num_classes=len(COUNTS), num_features=embeddings.shape[1], eps=eps)


def covariance_within(embeddings: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """(D, D): the mean outer product of differences from the own class's mean, in classes of two or more."""
    total, num = np.zeros((embeddings.shape[1],) * 2), 0
    for name in set(classes.tolist()):
        own = embeddings[classes == name]
        if len(own) > 1:
            for one in own - own.mean(0):
                total, num = total + np.outer(one, one), num + 1
    return total / num


def naive(embeddings: Tensor, classes: Tensor, eps: float, others: Tensor) -> np.ndarray:
    """`others` (N, D), whitened by the definition."""
    values = embeddings.double().numpy()
    within = covariance_within(values, classes.numpy())
    factor = np.linalg.cholesky(within + eps * np.mean(np.diag(within)) * np.eye(len(within)))
    return np.stack([np.linalg.inv(factor) @ (one - values.mean(0)) for one in others.double().numpy()])


@pytest.mark.parametrize(("num_features", "eps"), [(1, 1.0), (3, 0.01), (40, 0.01), (40, 100.0)])
def test_embeddings_are_whitened_as_by_the_definition(num_features: int, eps: float) -> None:
    """With 40 dimensions and 24 images the covariance alone has no inverse."""
    embeddings, classes = training(num_features)
    others = training(num_features, seed=1)[0]
    found = fit(embeddings, classes, eps).apply(others)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), naive(embeddings, classes, eps, others), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [1, 2, 24])
def test_the_size_of_a_batch_does_not_matter_and_the_same_batches_give_the_same_bits(size: int) -> None:
    embeddings, classes = training(6)
    whole, parts = fit(embeddings, classes, 0.1, size=7), fit(embeddings, classes, 0.1, size=size)
    for a, b, again in zip(whole, parts, fit(embeddings, classes, 0.1, size=size), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
        assert torch.equal(b, again)


def test_the_number_of_threads_changes_no_bit() -> None:
    random, before = torch.Generator().manual_seed(0), torch.get_num_threads()
    factors = []
    for num_threads in (1, 2):
        values = torch.randn(700, 600, generator=random.manual_seed(0), dtype=torch.float64)
        torch.set_num_threads(num_threads)
        try:
            factors.append(whitening._cholesky(values.T @ values + 0.01 * torch.eye(600)))
            assert torch.get_num_threads() == num_threads
        finally:
            torch.set_num_threads(before)
    assert torch.equal(factors[0][0], factors[1][0]) and not factors[0][1]


@pytest.mark.parametrize(
    ("embeddings", "classes", "message"),
    [
        (torch.randn(4, 3), [0, 1, 2, 5], "needs people with two or more training images"),
        (torch.tensor([[1.0, torch.nan], [0.0, 1.0]]), [0, 0], "not finite"),
        (torch.ones(4, 2), [0, 0, 1, 1], r"0\.1 is too small"),
    ],
)
def test_what_cannot_be_whitened_is_a_sentence(embeddings: Tensor, classes: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit(embeddings, torch.tensor(classes), 0.1)


def test_what_was_saved_is_loaded_for_the_same_weights_and_eps_alone(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    found = fit(*training(3), 0.1)
    whitening.save(folder, found, eps=0.1, weights_sha256="ab")
    loaded = whitening.load(folder, eps=0.1, weights_sha256="ab")
    assert loaded is not None and all(map(torch.equal, loaded, found))
    again = ".*`dvc repro evaluate@net` makes it again$"
    for eps, weights, message in [
        (0.1, "cd", r"net/whitening\.safetensors: is of other weights"),
        (0.2, "ab", r"net/whitening\.safetensors: was made with `evaluate\.whiten` 0\.1, which is 0\.2 now"),
        (None, "ab", "net: was made with `evaluate.whiten`, which is null now"),
    ]:
        with pytest.raises(InputError, match=message + again):
            whitening.load(folder, eps=eps, weights_sha256=weights)
    file = folder / whitening.FILE
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"whitening\.safetensors: damaged"):
        whitening.load(folder, eps=0.1, weights_sha256="ab")
    file.unlink()
    with pytest.raises(InputError, match=r"net/whitening\.safetensors: is missing" + again):
        whitening.load(folder, eps=0.1, weights_sha256="ab")
    assert whitening.load(folder, eps=None, weights_sha256="ab") is None


# The same in evaluation, for two files of a user's, and in the exported graph: on drawn faces, by a network as it was drawn.

PLACE = Compute(torch.device("cpu"), "fp32")
SIZES = Sample(identities=4, train=4, dev=2, test=2, known=4, unknown=8)
EPS = 0.1


class Faces(NamedTuple):
    features: Path
    stats: Stats
    run: Run
    model: Any


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Faces:
    folder = tmp_path_factory.mktemp("faces")
    settings = task_settings("faces", source="sample", side=32, sample=SIZES)
    for name in ("raw", "features"):
        (folder / name).mkdir()
    sample.make(folder / "raw", settings, 0)
    archives = [Archive(file) for file in sorted((folder / "raw").iterdir())]
    stats = raw.pack(archives, folder / "features", settings, 0)
    run = load_params(ROOT / "params.yaml").run("resnet50")
    run = dataclasses.replace(run, model=ResNet50("resnet50", width=4), batch_size=5, loading="device")
    seed_torch(0)
    return Faces(folder / "features", stats, run, PLACE.to_device(task.build_model(run, stats)))


class Evaluated(NamedTuple):
    run: Run
    metrics: dict[str, Any]
    out: Path  # predictions


def evaluate(faces: Faces, whiten: float | None, flip: bool, out: Path) -> Evaluated:
    (out / "plots").mkdir()
    block = dataclasses.replace(faces.run.evaluate, whiten=whiten, views=["plain", "flip"] if flip else ["plain"])
    run = dataclasses.replace(faces.run, evaluate=block)
    metrics = evaluation.evaluate(
        faces.model, "resnet50", run, faces.features, PLACE, 0, plots_to=out / "plots", predictions_to=out
    )
    return Evaluated(run, metrics, out)


@pytest.fixture(scope="module")
def evaluated(faces: Faces, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Evaluated]:
    """evaluated(whiten, flip=False), once for all tests."""

    @functools.cache
    def evaluated(whiten: float | None, flip: bool = False) -> Evaluated:
        return evaluate(faces, whiten, flip, tmp_path_factory.mktemp("evaluated"))

    return evaluated


def images(faces: Faces, split: str) -> np.ndarray:
    read = task.read_images(faces.features, split)
    return read[: len(read)]


def embeddings(faces: Faces, split: str) -> Tensor:
    """One by one, without the machinery of batches."""
    mean, std = (np.array(values, np.float32) for values in (faces.stats.mean, faces.stats.std))
    pixels = torch.from_numpy((images(faces, split) - mean) / std).permute(0, 3, 1, 2)
    with torch.no_grad():
        found: Tensor = torch.cat([faces.model.eval().embed(image[None]) for image in pixels])
    return found


def best_scores(queries: np.ndarray, known: np.ndarray) -> list[float]:
    return [max(float(q @ k / np.linalg.norm(q) / np.linalg.norm(k)) for k in known) for q in queries]


def table(folder: Path, split: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / f"verification_{split}.csv").read_text())))


@pytest.mark.parametrize("whiten", [None, EPS])
def test_verification_compares_whitened_embeddings_if_it_is_to(faces: Faces, evaluated: Any, whiten: float | None) -> None:
    out = evaluated(whiten).out
    known, train = embeddings(faces, "known"), embeddings(faces, "train")
    labels = torch.from_numpy(np.load(faces.features / "train/labels.npy"))
    for split in ("dev", "test"):
        queries = embeddings(faces, f"unknown_{split}")
        values = [part.numpy() if whiten is None else naive(train, labels, whiten, part) for part in (queries, known)]
        found = [float(row["score"]) for row in table(out, split)]
        assert found == pytest.approx(best_scores(*values), abs=1e-4)
    assert (out / whitening.FILE).is_file() == (whiten is not None)


def test_whitening_changes_verification_and_nothing_else(evaluated: Any) -> None:
    plain, whitened = evaluated(None), evaluated(EPS)
    differ = {key for key, value in plain.metrics.items() if whitened.metrics[key] != value}
    assert differ == {"verification"} and plain.metrics.keys() == whitened.metrics.keys()
    assert plain.metrics["verification"].keys() == whitened.metrics["verification"].keys()
    for name in ("dev.csv", "test.csv"):
        assert (plain.out / name).read_bytes() == (whitened.out / name).read_bytes()


@pytest.mark.parametrize("flip", [False, True])
def test_two_images_get_the_score_of_evaluation(faces: Faces, evaluated: Any, flip: bool) -> None:
    run, metrics, out = evaluated(EPS, flip)
    report = {"dev": metrics, "weights_sha256": checkpoint.weights_hash(faces.model.state_dict())}
    queries, known, identities = images(faces, "unknown_dev"), images(faces, "known"), faces.stats.known
    labels = np.load(faces.features / "known/labels.npy").tolist()
    for query, row in list(zip(queries, table(out, "dev"), strict=True))[:3]:
        items = [query, known[labels.index(identities.index(row["best"]))]]
        answer = prediction.compare(faces.model, items, run, faces.stats, PLACE, report, out)
        assert answer.score == pytest.approx(float(row["score"]), abs=6e-5)
        assert answer.same == (row["predicted"] == row["best"])
    with pytest.raises(InputError, match="other weights"):
        prediction.compare(faces.model, items, run, faces.stats, PLACE, report | {"weights_sha256": "ab"}, out)


def test_the_cosine_of_exported_embeddings_is_the_score_of_evaluation(faces: Faces, evaluated: Any) -> None:
    run, metrics, out = evaluated(EPS)
    digest, plain = checkpoint.weights_hash(faces.model.state_dict()), export.graph(faces.model, faces.stats)
    graph = export.as_evaluated(plain, run, metrics, digest, out)
    with torch.no_grad():
        queries, known = (graph.network(torch.from_numpy(images(faces, name)))[1] for name in ("unknown_dev", "known"))
        log_probs, before = (net(torch.from_numpy(images(faces, "known")))[0] for net in (graph.portable, plain.network))
    found = [float(row["score"]) for row in table(out, "dev")]
    assert found == pytest.approx(best_scores(queries.numpy(), known.numpy()), abs=1e-4)
    assert torch.equal(log_probs, before)
    assert "whitened" in graph.outputs[1].meaning
    with pytest.raises(InputError, match="other weights"):
        export.as_evaluated(plain, run, metrics, "ab", out)
    with pytest.raises(InputError, match="is missing"):  # not evaluated
        export.as_evaluated(plain, run, None, digest, out / "none")
