"""The export of CIFAR-10's networks: from pixels to log-probabilities."""

from stages.exporting.card import About
from stages.images.export import graph
from stages.tasks.cifar10 import SIDE

ABOUT = About(
    title="which of ten things is in a picture",
    result="With several `views` the metrics are those of the mean over them; the graph uses the plain view.",
    limits="It knows only these classes and always names one of them, whatever the picture shows. Pictures of other "
    f"sizes must be scaled to {SIDE} x {SIDE} first, and the results will be worse than on those it was trained on.",
    licences={
        "sample": "pictures drawn by this project, under its MIT licence.",
        "public": "CIFAR-10 (Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images); its authors state "
        "no licence and ask to be cited.",
        "kaggle": "CIFAR-10 (Krizhevsky 2009) from Kaggle, under the rules of the competition.",
        "path": "the user's own archives, under their terms; CIFAR-10's authors (Krizhevsky 2009) state no licence "
        "and ask to be cited.",
    },
)
