"""The charts' content, read back from matplotlib's figures, in full and in the cases with little or nothing to show."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from stages.results import plots
from stages.tasks.faces.evaluation import charts


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that charts saves, which are written as well."""
    figures: list[Figure] = []

    def keep(figure: Figure, path: Path) -> None:
        figures.append(figure)
        plots.save(figure, path)

    monkeypatch.setattr(charts, "save", keep)
    return figures


def texts(figure: Figure) -> str:
    """All that is written in a figure."""
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def test_a_roc_curve_is_drawn_with_its_equal_error_rate_on_it(drawn: list[Figure], tmp_path: Path) -> None:
    far, tar = np.array([0, 0, 0.01, 0.01, 0.1, 1]), np.array([0, 0.5, 0.5, 0.75, 0.9, 1])
    charts.roc(tmp_path / "roc.png", "run", far, tar, 0.1, 0.95)
    curve, _, marked = drawn[0].axes[0].lines
    points = np.asarray(curve.get_xydata())
    assert points[0].tolist() == [0.005, 0.5], "what costs no false accept, at the left edge"
    for point in ((0.01, 0.5), (0.01, 0.75), (0.1, 0.9), (1, 1)):
        assert np.abs(points - point).sum(1).min() < 1e-9
    assert np.asarray(marked.get_xydata()).tolist() == [[0.1, 0.9]]
    assert "run" in texts(drawn[0]) and "area 0.9500" in texts(drawn[0]) and "equal error rate 10.00%" in texts(drawn[0])


@pytest.mark.parametrize("num", [0, 3])
def test_faces_stand_in_pairs_under_their_captions(drawn: list[Figure], tmp_path: Path, num: int) -> None:
    faces = [(np.full((20 + index, 30, 3), index, np.uint8), np.full((64, 48, 3), 99, np.uint8)) for index in range(num)]
    charts.pairs(tmp_path / "pairs.png", "these pairs", faces, [f"caption {index}\nscore" for index in range(num)])
    figure = drawn[0]
    boxes = [axes.get_position() for axes in figure.axes]
    assert len(boxes) == 2 * num and all(0 <= box.x0 < box.x1 <= 1 and 0 <= box.y0 < box.y1 <= 1 for box in boxes)
    assert not any(a.overlaps(b) for index, a in enumerate(boxes) for b in boxes[:index])
    captions = [text for text in figure.texts if text.get_text().startswith("caption")]
    for index, caption in enumerate(captions):
        left, right = figure.axes[2 * index : 2 * index + 2]
        assert np.asarray(left.images[0].get_array()).shape == (20 + index, 30, 3) and np.all(
            right.images[0].get_array() == 99
        )
        assert left.get_position().x0 < caption.get_position()[0] < right.get_position().x1
        assert left.get_position().y1 < caption.get_position()[1]
    assert len(captions) == num and "these pairs" in texts(figure) and ("there are none" in texts(figure)) == (num == 0)


def test_the_most_frequent_mistakes_stand_on_top(drawn: list[Figure], tmp_path: Path) -> None:
    counts = [(f"n{index:06}", "n000099", 1 + index // 2) for index in range(30)]
    charts.confused(tmp_path / "confused.png", "run", counts)
    axes = drawn[0].axes[0]
    widths = [bar.get_width() for bar in axes.patches if isinstance(bar, Rectangle)]
    assert widths == sorted([count for *_, count in counts], reverse=True)[:20]
    assert [label.get_text() for label in axes.get_yticklabels()][:3] == [f"n0000{n} → n000099" for n in (28, 29, 26)]
    assert axes.yaxis_inverted() and "shown: 210 of 240" in texts(drawn[0])


def test_no_mistakes_are_said_to_be_none_and_one_has_a_bar(drawn: list[Figure], tmp_path: Path) -> None:
    charts.confused(tmp_path / "none.png", "run", [])
    charts.confused(tmp_path / "one.png", "run", [("n000001", "n000002", 1)])
    assert "no mistakes" in texts(drawn[0]) and not drawn[0].axes[0].patches
    assert "no mistakes" not in texts(drawn[1]) and len(drawn[1].axes[0].patches) == 1


def test_a_picture_of_the_same_content_has_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        charts.pairs(tmp_path / name, "pair", [(np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8))], ["one"])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    pixels = matplotlib.image.imread(tmp_path / "a.png")
    assert pixels.min() == 0 and pixels.max() == 1
