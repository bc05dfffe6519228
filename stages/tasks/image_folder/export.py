"""The export of networks for a folder of images: from pixels to log-probabilities."""

from stages.exporting.card import About
from stages.images.export import graph

ABOUT = About(
    title="which of its classes is in a picture",
    result="With several `views` the metrics are those of the mean over them; the graph uses the plain view.",
    limits="It knows only these classes and always names one of them, whatever the picture shows. Crop a picture to its "
    "middle square and scale it to the input's size first. It does worse on pictures unlike those it was trained on.",
    licences={
        "kaggle": "pictures of a Kaggle competition, under its rules.",
        "path": "the user's own pictures, under their terms.",
    },
)
