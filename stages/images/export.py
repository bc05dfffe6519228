"""The ONNX graph of an image classifier: from pixels to log-probabilities. N images, K classes."""

from torch import Tensor, nn

from stages.exporting.onnx_graph import Graph, Pixels, Port, random_images
from stages.images.statistics import ImageStats


class Classifier(nn.Module):
    """(N, H, W, 3) uint8 -> log-probabilities (N, K)."""

    def __init__(self, model: nn.Module, stats: ImageStats) -> None:
        super().__init__()
        self.pixels, self.model = Pixels(stats.mean, stats.std), model

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (self.model(self.pixels(images)).log_softmax(1),)


def graph(model: nn.Module, stats: ImageStats) -> Graph:
    """Return the export of a trained classifier."""
    network, side = Classifier(model, stats).eval(), stats.side
    return Graph(
        network,
        network,
        inputs=[Port("images", "uint8", ("batch", side, side, 3), "RGB pixels, 0 to 255; the graph normalises them itself")],
        outputs=[Port("log_probs", "float32", ("batch", len(stats.classes)), "natural logarithms of the probabilities")],
        example=(random_images(3, side),),
        trials=[(random_images(num, side),) for num in (1, 2, 17)],
        labels=stats.classes,
    )
