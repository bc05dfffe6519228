"""Networks for a folder of images as graphs for users: from pixels to log-probabilities. N images, K classes."""

from stages.exporting.card import About
from stages.images.export import graph

ABOUT = About(
    title="which of its classes is in a picture",
    result="With several `views` the metrics are those of the mean over them; the graph takes a picture as it is.",
    limits="It knows these classes only and always names one of them, whatever the picture shows. A picture has to be made "
    "a square of the input's size first: its middle, scaled. On pictures unlike those it was trained on it will do worse.",
    licences={
        "kaggle": "pictures of a Kaggle competition, under its rules.",
        "path": "pictures of the user's own, whose terms hold.",
    },
)
