"""Each phoneme stands at its second, a score beside its threshold."""

import numpy as np
import pytest

from stages.demonstration import pictures
from stages.tasks.faces.prediction import SamePerson
from stages.tasks.speech.prediction import Phoneme


@pytest.mark.parametrize(("seconds", "rows"), [(0.3, 1), (5.0, 3), (70.0, 30)])
def test_each_phoneme_of_the_first_minute_is_in_the_row_of_its_second(seconds: float, rows: int) -> None:
    times = np.arange(0, seconds, 0.29).round(2).tolist()
    phonemes = [Phoneme(time, "[SIL]" if number % 5 == 0 else "AH", "-") for number, time in enumerate(times)]
    axes = pictures.sound(np.zeros(int(16_000 * seconds), np.float32), phonemes).axes
    shown = [(text.get_position()[0], text.get_text()) for row in axes for text in row.texts]
    assert shown == [(each.time, f"{each.arpabet.strip('[]')}\n{each.time:.2f}") for each in phonemes if each.time < 60]
    assert len(axes) == rows
    assert np.ptp([row.get_xlim() for row in axes], axis=1) == pytest.approx(min(seconds, 60) / rows)
    assert all(row.get_xlim()[0] <= text.get_position()[0] < row.get_xlim()[1] for row in axes for text in row.texts)
    assert axes[-1].get_xlabel() == ("seconds" if seconds <= 60 else "seconds, the first 60 of 70")


def test_a_score_is_a_bar_as_long_and_the_threshold_a_line() -> None:
    [axes] = pictures.score(SamePerson(same=False, score=-0.2, threshold=0.3)).axes
    [bar], [line] = axes.patches, axes.lines
    assert bar.get_window_extent().transformed(axes.transData.inverted()).intervalx == pytest.approx([-0.2, 0], abs=1e-9)
    assert np.asarray(line.get_xdata()).tolist() == [0.3, 0.3]
