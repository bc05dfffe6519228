"""CIFAR-10's networks as graphs for users: from pixels to log-probabilities. N images, K classes."""

from typing import Any

from torch import Tensor, nn

from stages.exporting.card import About
from stages.exporting.onnx_graph import Graph, Pixels, Port, random_images
from stages.tasks.cifar10 import SIDE

ABOUT = About(
    title="which of ten things is in a picture",
    result="With `flip_average` the metrics are those of the mean over each picture and its mirror image; the graph "
    "takes a picture as it is.",
    limits="It knows these classes only and always names one of them, whatever the picture shows. Pictures of other "
    f"sizes have to be scaled to {SIDE} x {SIDE} first, and will do worse than those it was trained on.",
    licences={
        "sample": "pictures drawn by this project, under its MIT licence.",
        "public": "CIFAR-10 (Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images); its authors state "
        "no licence and ask to be cited.",
        "kaggle": "CIFAR-10 (Krizhevsky 2009) as Kaggle gives it, under the rules of the competition.",
        "path": "archives of the user's own, whose terms hold; CIFAR-10's authors (Krizhevsky 2009) state no licence "
        "and ask to be cited.",
    },
)


class Classifier(nn.Module):
    """(N, H, W, 3) uint8 -> log-probabilities (N, K)."""

    def __init__(self, model: nn.Module, stats: dict[str, Any]) -> None:
        super().__init__()
        self.pixels, self.model = Pixels(stats["mean"], stats["std"]), model

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (self.model(self.pixels(images)).log_softmax(1),)


def graph(model: nn.Module, stats: dict[str, Any]) -> Graph:
    """The trained `model` as users want it."""
    network = Classifier(model, stats).eval()
    return Graph(
        network,
        network,
        inputs=[Port("images", "uint8", ("batch", SIDE, SIDE, 3), "RGB pixels, 0 to 255; the graph normalises them itself")],
        outputs=[Port("log_probs", "float32", ("batch", len(stats["classes"])), "natural logarithms of the probabilities")],
        example=(random_images(3, SIDE),),
        trials=[(random_images(num, SIDE),) for num in (1, 2, 17)],
        labels=stats["classes"],
    )
