"""What a trained run says of a file is what `evaluate` said of the same item; and what it says where it can say nothing."""

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import soundfile
import torch

from benchmarks.features import SPEECH
from stages import predict
from stages.compute.device import Compute
from stages.core import paths
from stages.core.errors import InputError
from stages.data import checkpoint
from stages.tasks import load_params, task_module
from stages.tasks.speech import CHARACTERS, NUM_CLASSES, SYMBOLS, prediction, raw
from tests.conftest import ROOT
from tests.tasks.test_contract import KINDS


@pytest.fixture
def ask(trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """ask(*arguments) -> what it prints in the trained project, and on stderr, below the line about made-up data."""
    monkeypatch.chdir(trained)

    def ask(*arguments: object, code: int = 0) -> tuple[str, str]:
        capsys.readouterr()
        assert predict.main([str(argument) for argument in arguments]) == code
        said = capsys.readouterr()
        note = f"{arguments[0]} was trained on made-up data, so its answers about other files mean nothing\n"
        assert (said.out + said.err).count(note) == 1
        return said.out.removeprefix(note), said.err.removeprefix(note)

    return ask


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def evaluated(run: str, split: str) -> dict[str, dict[str, str]]:
    """A line of evaluate's table by the item's name."""
    return {row["name"]: row for row in rows((paths.predictions(run) / f"{split}.csv").read_text())}


def find(pattern: str) -> list[Path]:
    found = sorted(Path("items").rglob(pattern))
    assert found, pattern
    return found


@pytest.mark.parametrize(
    ("run", "split", "member"),
    [("custom_resnet", "dev", "train/{}.png"), ("custom_resnet", "test", "test/{}.png"), ("resnet50", "dev", "dev/{}")],
)
def test_an_image_gets_the_class_and_the_probability_that_evaluate_gave_it(
    ask: Any, run: str, split: str, member: str
) -> None:
    truth = evaluated(run, split)
    files = [path for name in truth for path in find(member.format(name))]
    answers = [json.loads(line) for line in ask(run, "--json", *files)[0].splitlines()]
    for answer, row in zip(answers, truth.values(), strict=True):
        assert answer["predicted"] == row["predicted"]
        assert answer["probability"] == pytest.approx(float(row["probability"]), abs=6e-5)
        assert list(answer["probabilities"].values()) == sorted(answer["probabilities"].values(), reverse=True)
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_a_recording_gets_the_string_that_evaluate_gave_it(ask: Any) -> None:
    truth = evaluated("bilstm", "test")
    table = rows(ask("bilstm", find("test-clean")[0] / "mfcc")[0])
    assert [row["predicted"] for row in table] == [truth[Path(row["file"]).stem]["predicted"] for row in table]
    assert len({row["predicted"] for row in table}) == len(truth) == 4
    for row in table:
        assert row["arpabet"].split() == [SYMBOLS[CHARACTERS.index(character)] for character in row["predicted"]]


def test_two_faces_get_the_score_that_evaluate_gave_them_and_its_threshold(ask: Any) -> None:
    report = json.loads(paths.evaluation("resnet50").read_text())["dev"]["verification"]
    for name, row in [*evaluated("resnet50", "verification_dev").items()][:3]:
        [query], [known] = find(f"unknown_dev/{Path(name).name}*"), find(f"known/{row['best']}/*")
        answer = json.loads(ask("resnet50", "--same", "--json", query, known)[0])
        assert answer["score"] == pytest.approx(float(row["score"]), abs=6e-5)
        assert answer["threshold"] == report["threshold"] and answer["same"] == (row["predicted"] == row["best"])
    assert json.loads(ask("resnet50", "--same", "--json", query, query)[0])["same"] is True
    text = ask("resnet50", "--same", query, known)[0]
    assert text.startswith(
        f"{query}: same person as {known}: {'yes' if answer['same'] else 'no'}, score {answer['score']:.4f}"
    )


def test_an_image_of_another_size_is_its_middle_square(ask: Any, tmp_path: Path) -> None:
    [small] = find("test/1.png")
    image = cv2.resize(np.asarray(cv2.imread(str(small))), (96, 96), interpolation=cv2.INTER_NEAREST)
    cv2.imwrite(str(tmp_path / "wide.png"), cv2.copyMakeBorder(image, 0, 0, 50, 50, cv2.BORDER_CONSTANT))
    wide, same = (line.partition(": ")[2] for line in ask("custom_resnet", tmp_path / "wide.png", small)[0].splitlines())
    assert wide == same and wide.count("%") == 3


def test_audio_of_any_rate_becomes_what_normalize_makes_of_it(ask: Any, tmp_path: Path) -> None:
    wave = np.random.default_rng(0).normal(0, 0.1, (22_050, 2)) * np.sin(np.arange(22_050) / 2000)[:, None]
    soundfile.write(tmp_path / "a.flac", wave, 22_050)
    np.save(tmp_path / "a.npy", raw.audio.read_frames((tmp_path / "a.flac").read_bytes())[0])
    flac, array = (
        json.loads(line) for line in ask("bilstm", "--json", tmp_path / "a.flac", tmp_path / "a.npy")[0].splitlines()
    )
    assert flac["predicted"] and {key: flac[key] for key in flac if key != "file"}.items() <= array.items()
    times = [phoneme["time"] for phoneme in flac["phonemes"]]
    assert times == sorted(set(times)) and times[0] >= 0 and times[-1] < 1.02
    assert "".join(phoneme["character"] for phoneme in flac["phonemes"]) == flac["predicted"]
    text = ask("bilstm", tmp_path / "a.flac")[0]
    assert flac["predicted"] in text and f"{times[0]:.2f} {flac['phonemes'][0]['arpabet']}" in text


class Peaks(torch.nn.Module):
    """Says what its input's first coefficient holds, in every fourth frame, and thinks of class 5 all the time."""

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = torch.nn.functional.one_hot(x[:, 3::4, 0].long(), NUM_CLASSES).float() * 12
        logits[..., 5] += 6
        return logits, lengths // 4


def test_a_phoneme_is_timed_where_it_is_heard_and_not_where_it_was_first_thought_of() -> None:
    frames = np.zeros((203, 3), np.float32)
    frames[[43, 47, 83, 91, 159]] = np.array([5, 5, 7, 7, 5])[:, None]
    run = load_params(ROOT / "params.yaml").run("pblstm")
    [answer] = prediction.predict(
        Peaks(), [frames], run, replace(SPEECH, num_features=3), Compute(torch.device("cpu"), "fp32")
    )
    assert answer.predicted == "".join(CHARACTERS[place] for place in (5, 7, 7, 5))
    assert [phoneme.time for phoneme in answer.phonemes] == [0.4, 0.8, 0.88, 1.56]


@pytest.mark.parametrize("num_frames", [1, 4, 7])
def test_the_first_frames_are_those_of_the_best_of_all_paths(num_frames: int) -> None:
    random = np.random.default_rng(num_frames)
    log_probs = torch.from_numpy(random.normal(0, 2, (num_frames, 3))).float().log_softmax(1)
    classes = [1, 1, 2][: (num_frames + 1) // 2]
    best, expected = -np.inf, list[int]()
    for path in np.ndindex(*[3] * num_frames):  # every path there is
        starts = [t for t in range(num_frames) if path[t] and (t == 0 or path[t] != path[t - 1])]
        value = sum(float(log_probs[t, place]) for t, place in enumerate(path))
        if [path[t] for t in starts] == classes and value > best:
            best, expected = value, starts
    assert prediction.first_frames(log_probs, classes) == expected != []


def test_a_folder_is_a_table_of_all_that_can_be_read_and_the_rest_is_named(ask: Any, tmp_path: Path) -> None:
    images = tmp_path / "images"
    (images / "deep").mkdir(parents=True)
    for name in ("b.png", "deep/A.PNG", ".hidden.png", "notes.txt"):
        (images / name).write_bytes(find("test/2.png")[0].read_bytes())
    (images / "a.png").write_bytes(b"no image")
    table, errors = ask("custom_resnet", images, code=1)
    assert [row["file"] for row in rows(table)] == [str(images / "b.png"), str(images / "deep/A.PNG")]
    assert list(rows(table)[0]) == ["file", "predicted", "probability"]
    assert errors == f"error: {images / 'a.png'}: is not a readable image\n"
    assert ask("custom_resnet", images, "--out", tmp_path / "t.csv", code=1)[0] == ""
    assert (tmp_path / "t.csv").read_text() == table
    ask("custom_resnet", images / "b.png", "--json", "--out", tmp_path / "t.json")
    assert json.loads((tmp_path / "t.json").read_text())["predicted"] == rows(table)[0]["predicted"]


def test_a_table_keeps_names_of_any_characters(ask: Any, tmp_path: Path) -> None:
    names = ["a,b.png", "carriage\rreturn.png", "line\nfeed.png", 'quote".png']
    for name in names:
        (tmp_path / name).write_bytes(find("test/2.png")[0].read_bytes())
    table = ask("custom_resnet", tmp_path)[0]
    assert [row["file"] for row in csv.DictReader(io.StringIO(table, newline=""))] == [
        str(tmp_path / name) for name in names
    ]
    assert "\r\n" not in table


@pytest.mark.parametrize(("options", "is_clean"), [((), False), (("--json",), True), (("--out", "t.csv"), True)])
def test_a_network_of_made_up_data_says_so_first_and_tables_stay_clean(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: tuple[str], is_clean: bool
) -> None:
    monkeypatch.chdir(trained)
    predict.main(["custom_resnet", str(find("test/2.png")[0]), *options])
    said = capsys.readouterr()
    assert (said.err if is_clean else said.out).splitlines()[0].startswith("custom_resnet was trained on made-up data")
    assert "made-up" not in (said.out if is_clean else said.err)


def test_a_table_has_no_cell_that_a_spreadsheet_would_compute(ask: Any, tmp_path: Path) -> None:
    names = ["=cmd|' !A0.png", "+1.png", "-1.png", "@x.png", "plain.png"]
    for name in names:
        Path(name).write_bytes(find("test/2.png")[0].read_bytes())
    ask("custom_resnet", "--out", tmp_path / "t.csv", "--", *names)
    expected = [f"'{name}" for name in names[:-1]] + names[-1:]
    assert [row["file"] for row in rows((tmp_path / "t.csv").read_text())] == expected


BAD = [
    ("custom_resnet", "a.png", b"", "is not a readable image"),
    ("resnet50", "a.jpg", b"\xff\xd8\xff\xe0", "is cut short"),
    ("bilstm", "a.wav", b"", "is damaged, cut short or not audio"),
    ("bilstm", "zero.wav", None, "holds no sound"),
    ("bilstm", "a.npy", b"\x93NUMPY\x01\x00", "is not a readable .npy file"),
    ("bilstm", "narrow.npy", None, "has 13 coefficients, but the run was trained on 27"),
    ("bilstm", "missing.wav", None, "No such file"),
]


@pytest.mark.parametrize(("run", "name", "content", "message"), BAD, ids=[f"{name}: {end}" for _, name, _, end in BAD])
def test_a_file_that_cannot_be_read_is_one_sentence(
    ask: Any, tmp_path: Path, run: str, name: str, content: bytes | None, message: str
) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    elif name == "zero.wav":
        soundfile.write(file, np.zeros(0), 16_000)
    elif name == "narrow.npy":
        np.save(file, np.ones((50, 13), np.float32))
    output, errors = ask(run, file, code=1)
    assert not output and errors.startswith(f"error: {file}: {message}") and errors.count("\n") == 1
    with pytest.raises(InputError, match="not written"):
        ask(run, file, "--out", tmp_path / "table.csv")
    assert not [path for path in tmp_path.iterdir() if path != file]


def test_what_cannot_be_asked_is_one_sentence(ask: Any, tmp_path: Path) -> None:
    [face] = find("test/1.png")
    for arguments, message in [
        (["custom_resnt", face], "did you mean 'custom_resnet'"),
        (["pblstm", face], "models/pblstm/best.safetensors: no such checkpoint; `dvc repro` trains it"),
        (["bilstm", "--same", face, face], "--same: bilstm does not compare"),
        (["resnet50", "--same", face], "--same: takes two files, not 1"),
        (["custom_resnet", tmp_path], "holds no .png, .jpg, .jpeg files"),
    ]:
        with pytest.raises(InputError, match=message):
            ask(*arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, "metrics/resnet50/evaluate.json: is missing"),
        ({"weights_sha256": "0"}, "metrics/resnet50/evaluate.json: .* with other weights"),
        ({"dev": {"accuracy": 1.0}}, "there is no threshold"),
    ],
)
def test_without_a_threshold_of_these_weights_no_faces_are_compared(
    ask: Any, change: dict[str, Any] | None, message: str
) -> None:
    report = paths.evaluation("resnet50")
    text = report.read_text()
    try:
        report.unlink()
        if change is not None:
            report.write_text(json.dumps(json.loads(text) | change))
        with pytest.raises(InputError, match=message):
            ask("resnet50", "--same", *find("known/*/*.jpg")[:2])
    finally:
        report.write_text(text)


def test_faces_are_compared_by_the_whitening_of_the_evaluation_or_not_at_all(ask: Any) -> None:
    file = paths.predictions("resnet50") / "whitening.safetensors"
    assert load_params().run("resnet50").evaluate.whiten == checkpoint.load(file)["whiten"]
    aside = file.rename(file.with_suffix(".aside"))
    try:
        with pytest.raises(InputError, match=r"resnet50/whitening\.safetensors: is missing.*`dvc repro evaluate@resnet50`"):
            ask("resnet50", "--same", *find("known/*/*.jpg")[:2])
    finally:
        aside.rename(file)


def test_a_checkpoint_of_another_network_is_told(ask: Any) -> None:
    file = paths.model("custom_resnet") / "last.safetensors"
    content = file.read_bytes()
    try:
        saved = checkpoint.load(file)
        saved["run"]["model"]["width"] = 3
        checkpoint.save(file, saved)
        with pytest.raises(InputError, match=r"last\.safetensors: does not fit the network's current code"):
            ask("custom_resnet", "x.png")
    finally:
        file.write_bytes(content)


def test_it_starts_without_what_it_does_not_need(ask: Any) -> None:
    """Each of these takes from half a second to two to import; sympy stands for what torch.compile needs."""
    absent = {"matplotlib", "albumentations", "sympy"}
    program = f"import sys; from stages import predict; predict.main(); print({absent} & {{*sys.modules}})"
    command = [sys.executable, "-c", program, "custom_resnet", str(find("test/1.png")[0])]
    result = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.splitlines()[-1] == "set()" and not result.stderr


def test_every_room_reads_the_kinds_of_files_that_it_names() -> None:
    for kind in KINDS:
        assert all(
            suffix.startswith(".") and suffix == suffix.lower() for suffix in task_module(kind, "prediction").SUFFIXES
        )
