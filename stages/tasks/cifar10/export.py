"""CIFAR-10's networks as graphs for users: from pixels to log-probabilities. N images, K classes."""

from stages.exporting.card import About
from stages.images.export import graph
from stages.tasks.cifar10 import SIDE

ABOUT = About(
    title="which of ten things is in a picture",
    result="With several `views` the metrics are those of the mean over them; the graph takes a picture as it is.",
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
