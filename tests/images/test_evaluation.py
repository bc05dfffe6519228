"""Evaluation where the classes are not those of a competition: some without dev images, or very many."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from stages.compute.device import Compute
from stages.images.evaluation import classification
from stages.images.training import classifier
from stages.results import plots
from stages.tasks import load_params
from tests.conftest import ROOT
from tests.tasks.image_folder.test_raw import pack, pictures, write


def test_a_class_without_dev_images_has_no_recall(tmp_path: Path) -> None:
    names = [*(f"train/{label}/{n}.png" for label in "abc" for n in range(4)), "dev/a/9.png", "dev/c/9.png", "dev/c/8.png"]
    stats = pack(tmp_path, write(tmp_path / "pets", pictures(*names)))
    run, compute = load_params(ROOT / "params.yaml").run("dilated_net"), Compute(torch.device("cpu"), "fp32")
    model, features = classifier.build_model(run, stats), tmp_path / "features"
    (tmp_path / "plots").mkdir()
    folders = {"plots_to": tmp_path / "plots", "predictions_to": tmp_path}
    metrics = classification.evaluate(model, "pets", run, features, compute, 0, **folders)
    assert metrics["per_class"].keys() == {"a", "c"}
    assert metrics["accuracy"] == pytest.approx((metrics["per_class"]["a"] + 2 * metrics["per_class"]["c"]) / 3)


@pytest.mark.parametrize("num", [2, 150])
def test_a_confusion_matrix_of_any_number_of_classes_fits_on_a_screen(tmp_path: Path, num: int) -> None:
    plots.confusion(tmp_path / "confusion.png", "pets", np.eye(num, dtype=int), [f"class {n}" for n in range(num)])
    image = cv2.imread(str(tmp_path / "confusion.png"))
    assert image is not None
    height, width, _ = image.shape
    assert 800 < height < width < 2500
