"""A user's file has the features that the run was trained on, or is refused in one sentence."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.features import SPEECH
from stages.core.errors import InputError
from stages.tasks.speech import prediction
from tests.tasks.speech.raw.packing import naive_normalize, npy, tone

FRAMES = np.random.default_rng(0).normal(size=(20, 40))


@pytest.mark.parametrize(("width", "wanted"), [(27, 27), (27, 13), (28, 27), (40, 40)])
def test_the_first_features_are_taken(width: int, wanted: int) -> None:
    found = prediction.read(npy(FRAMES[:, :width]), replace(SPEECH, num_features=wanted))
    np.testing.assert_allclose(found, naive_normalize(FRAMES[:, :wanted]), atol=1e-5)


def test_a_recording_is_27_coefficients() -> None:
    assert prediction.read(tone(), SPEECH).shape == (51, 27)


@pytest.mark.parametrize(
    ("content", "wanted", "words"),
    [
        (npy(FRAMES[:, :13]), 27, "has 13 coefficients, but the run was trained on 27"),
        (npy(FRAMES), 27, "has 40 coefficients, but the run was trained on 27"),
        (tone(), 28, "is a recording with 27 MFCCs a frame, but the run was trained on 28 features a frame"),
        (tone(), 40, "is a recording with 27 MFCCs a frame, but the run was trained on 40 features a frame"),
        (b"\x89PNG\r\n", 27, "is damaged, cut short or not audio (Format not recognised)"),
    ],
)
def test_other_features_are_refused(content: bytes, wanted: int, words: str) -> None:
    with pytest.raises(InputError) as caught:
        prediction.read(content, replace(SPEECH, num_features=wanted))
    assert str(caught.value).startswith(words) and "object at" not in str(caught.value)
