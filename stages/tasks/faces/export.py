"""The export of the faces' networks: from pixels to log-probabilities and embedding. N images, K identities."""

import dataclasses
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from stages.config.schema import Run
from stages.exporting.card import About
from stages.exporting.onnx_graph import Graph, Pixels, Port, random_images
from stages.images.statistics import ImageStats
from stages.tasks.faces.evaluation import whitening

ABOUT = About(
    title="whose face is it, and is it a known person",
    result="With several `views` the metrics are those of the mean over them; the graph uses the plain view. Two faces "
    "count as the same person if the cosine of their embeddings is at least `verification.threshold`. With `whiten` the "
    "graph's embeddings include the within-class covariance normalisation that the threshold belongs to.",
    limits="`log_probs` always names one of the training identities, whoever the face belongs to; for other people "
    "compare embeddings. It was trained on cropped faces and does not detect faces in a picture. Its accuracy for "
    "people unlike those it was trained on has not been measured. Do not use it to identify people without their "
    "consent.",
    licences={
        "sample": "faces drawn by this project, under its MIT licence.",
        "kaggle": "photographs of VGGFace2 (Cao et al. 2018, arXiv:1710.08092) from the competition HW2P2 of CMU "
        "11-785, for research only, under the competition's rules; the same limits may apply to the weights.",
        "path": "the user's own archives, under their terms; the photographs of the competition HW2P2 are from "
        "VGGFace2 (Cao et al. 2018, arXiv:1710.08092), for research only.",
    },
)


class Recogniser(nn.Module):
    """(N, H, W, 3) uint8 -> log-probabilities (N, K), embedding (N, D)."""

    def __init__(self, model: nn.Module, stats: ImageStats) -> None:
        super().__init__()
        self.pixels, self.model = Pixels(stats.mean, stats.std), model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        model: Any = self.model
        embedding = model.embed(self.pixels(images))
        return model.head(embedding).log_softmax(1), embedding


def graph(model: nn.Module, stats: ImageStats) -> Graph:
    """Return the export of a trained network."""
    network, side, features = Recogniser(model, stats).eval(), stats.side, model.num_features
    assert isinstance(features, int)
    pixels = "RGB pixels, 0 to 255, of a cropped face: the middle square, scaled; the graph normalises them itself"
    return Graph(
        network,
        network,
        inputs=[Port("images", "uint8", ("batch", side, side, 3), pixels)],
        outputs=[
            Port("log_probs", "float32", ("batch", len(stats.classes)), "natural logarithms of the probabilities"),
            Port("embedding", "float32", ("batch", features), "the cosine of two embeddings is the faces' similarity"),
        ],
        example=(random_images(3, side),),
        trials=[(random_images(num, side),) for num in (1, 2, 7)],
        labels=stats.classes,
    )


class Whitened(nn.Module):
    """A recogniser with whitened embeddings."""

    mean: Tensor
    matrix: Tensor

    def __init__(self, recogniser: nn.Module, whiten: whitening.Whitening) -> None:
        super().__init__()
        self.recogniser = recogniser
        self.register_buffer("mean", whiten.mean)
        self.register_buffer("matrix", whiten.matrix)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        log_probs, embedding = self.recogniser(images)
        return log_probs, F.linear(embedding - self.mean, self.matrix)


def as_evaluated(graph: Graph, run: Run, metrics: dict[str, Any] | None, weights_sha256: str, predictions: Path) -> Graph:
    """Return the graph with the embeddings of evaluation's verification: whitened with `evaluate.whiten`.

    metrics: the dev metrics, None without an evaluation. predictions: evaluation's folder. Raises InputError if its
    whitening is missing or does not fit.
    """
    if metrics is not None and "verification" not in metrics:
        return graph
    whiten = whitening.load(predictions, eps=run.evaluate.whiten, weights_sha256=weights_sha256)
    if whiten is None:
        return graph
    network, (log_probs, embedding) = Whitened(graph.network, whiten).eval(), graph.outputs
    embedding = dataclasses.replace(embedding, meaning=f"whitened; {embedding.meaning}")
    return dataclasses.replace(graph, network=network, portable=network, outputs=[log_probs, embedding])
