"""The faces' networks as graphs for users: from pixels to log-probabilities and embedding. N images, K identities."""

import dataclasses
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from stages.config.schema import Run
from stages.exporting.card import About
from stages.exporting.onnx_graph import Graph, Pixels, Port, random_images
from stages.tasks.faces.evaluation import whitening

ABOUT = About(
    title="whose face is it, and is it anybody known",
    result="With several `views` the metrics are those of the mean over them; the graph takes "
    "a face as it is. Where there is a `verification.threshold`, two faces pass for the same person from this cosine "
    "on. With `whiten` it is a cosine of embeddings after within-class covariance normalisation, and the graph's are such.",
    limits="`log_probs` always names one of the identities of the training, whoever the face belongs to; for anybody "
    "else compare embeddings. It was trained on cropped faces and looks for none in a picture. How well it does for "
    "people unlike those it was trained on has not been measured. Do not use it to identify people without their "
    "consent.",
    licences={
        "sample": "faces drawn by this project, under its MIT licence.",
        "kaggle": "photographs of VGGFace2 (Cao et al. 2018, arXiv:1710.08092) by way of the competition HW2P2 of CMU "
        "11-785, for research only, under the competition's rules; the weights may be no freer than the photographs.",
        "path": "archives of the user's own, whose terms hold; the photographs of the competition HW2P2 are from "
        "VGGFace2 (Cao et al. 2018, arXiv:1710.08092), for research only.",
    },
)


class Recogniser(nn.Module):
    """(N, H, W, 3) uint8 -> log-probabilities (N, K), embedding (N, D)."""

    def __init__(self, model: nn.Module, stats: dict[str, Any]) -> None:
        super().__init__()
        self.pixels, self.model = Pixels(stats["mean"], stats["std"]), model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        model: Any = self.model
        embedding = model.embed(self.pixels(images))
        return model.head(embedding).log_softmax(1), embedding


def graph(model: nn.Module, stats: dict[str, Any]) -> Graph:
    """The trained `model` as users want it."""
    network, side, features = Recogniser(model, stats).eval(), stats["side"], model.num_features
    assert isinstance(features, int)
    pixels = "RGB pixels, 0 to 255, of a cropped face: the middle square, scaled; the graph normalises them itself"
    return Graph(
        network,
        network,
        inputs=[Port("images", "uint8", ("batch", side, side, 3), pixels)],
        outputs=[
            Port("log_probs", "float32", ("batch", len(stats["classes"])), "natural logarithms of the probabilities"),
            Port("embedding", "float32", ("batch", features), "two faces are as similar as the cosine between theirs"),
        ],
        example=(random_images(3, side),),
        trials=[(random_images(num, side),) for num in (1, 2, 7)],
        labels=stats["classes"],
    )


class Whitened(nn.Module):
    """As a recogniser, with its embeddings whitened."""

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
    """The graph with the embeddings whose cosines verification's threshold is for: whitened, if those were.

    metrics: the dev split's, None where there was no evaluation; predictions: its folder. Raises InputError where
    embeddings are to be whitened, and the folder does not hold what that needs. Without verification none are.
    """
    if metrics is not None and "verification" not in metrics:
        return graph
    whiten = whitening.load(predictions, eps=run.evaluate.whiten, weights_sha256=weights_sha256)
    if whiten is None:
        return graph
    network, (log_probs, embedding) = Whitened(graph.network, whiten).eval(), graph.outputs
    embedding = dataclasses.replace(embedding, meaning=f"whitened; {embedding.meaning}")
    return dataclasses.replace(graph, network=network, portable=network, outputs=[log_probs, embedding])
