"""params.yaml as a whole: what it says, what a sample block and an override change, and what is named when it is wrong."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from stages.config.schema import SGD, Constant, Cosine, OneCycle, Params
from stages.core.errors import InputError
from stages.images.settings import CustomResnet
from stages.tasks import load_params
from tests.conftest import ROOT, Project

RUN = "runs.custom_resnet"
TEXT = (ROOT / "params.yaml").read_text()


@pytest.fixture(scope="module")
def few() -> dict[str, Any]:
    """params.yaml of three runs, without overrides, with the sample, whatever the repository's own says today."""
    content = YAML(typ="safe", pure=True).load(TEXT) | dict(lr=None, epochs=None, batch_size=None, ensembles={})
    content["runs"] = {name: content["runs"][name] for name in ("custom_resnet", "dilated_net", "pblstm")}
    content["runs"]["custom_resnet"] |= dict(epochs=24, batch_size=512, sample={}, schedule={"name": "cosine"})
    content["tasks"]["cifar10"]["source"] = "sample"
    return content


@pytest.fixture
def plain(project: Project, few: dict[str, Any]) -> dict[str, Any]:
    """The content of the params.yaml of a scratch project, for `change`."""
    content = copy.deepcopy(few)
    change(content, {})
    return content


def change(content: dict[str, Any], values: dict[str, Any]) -> None:
    """By {"tasks.cifar10.source": value}; JSON is YAML."""
    for path, value in values.items():
        block, key = within(content, path)
        block[key] = value
    Path("params.yaml").write_text(json.dumps(content))


def remove(content: dict[str, Any], path: str) -> None:
    block, key = within(content, path)
    del block[key]
    change(content, {})


def within(content: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    *parents, key = path.split(".")
    for parent in parents:
        content = content[parent]
    return content, key


def problem() -> str:
    with pytest.raises(InputError) as caught:
        load_params()
    return str(caught.value)


def test_the_real_file_loads() -> None:
    loaded = load_params(ROOT / "params.yaml")
    assert {"custom_resnet", "dilated_net"} <= loaded.runs.keys()
    assert loaded.runs.keys() == loaded.hidden.keys()
    assert {run.task for run in loaded.runs.values()} <= loaded.tasks.keys()


def test_values_arrive_as_they_stand_in_the_file(plain: dict[str, Any]) -> None:
    change(plain, {f"{RUN}.optimizer": {"name": "sgd", "lr": 0.5}, f"{RUN}.augment.crop": {"padding": 3}, "seed": 7})
    loaded = load_params()
    run = loaded.run("custom_resnet")
    assert (run.optimizer.name, run.optimizer.lr, run.augment.crop.padding, loaded.seed) == ("sgd", 0.5, 3, 7)
    assert loaded.task("cifar10").source == "sample"


def test_a_budget_of_frames_is_for_sequences_only(plain: dict[str, Any]) -> None:
    change(plain, {"runs.pblstm.batch_size": {"frames": 20_000}, f"{RUN}.batch_size": {"frames": 20_000}})
    assert problem().startswith(f"{RUN}.batch_size: must be a whole number")
    change(plain, {f"{RUN}.batch_size": 64})
    load_params()


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ({"frames": 0}, "batch_size.frames: must be greater than 0, but is 0"),
        ({"frame": 100}, "batch_size.frame: unknown key; did you mean 'frames'?"),
        ({}, "batch_size.frames: missing; add it to params.yaml"),
        ("many", "batch_size: must be a whole number, but is 'many'"),
    ],
)
def test_a_wrong_budget_is_told_what_a_budget_is(plain: dict[str, Any], budget: object, expected: str) -> None:
    change(plain, {"runs.pblstm.batch_size": budget})
    assert problem() == f"runs.pblstm.{expected}"


@pytest.mark.parametrize("name", ["resnet.v2", "a@b", "../../x", "x;touch F", "-x", "", "r\u00e9seau", "a\n"])
def test_a_name_that_dvc_or_a_path_cannot_have_is_refused(plain: dict[str, Any], name: str) -> None:
    for kind, like in (("runs", "custom_resnet"), ("tasks", "cifar10")):
        changed = copy.deepcopy(plain)
        change(changed, {kind: {name: plain[kind][like]}})
        assert problem() == f"{kind}.{name.strip()}: a name may have letters, digits, _ and - (not in front)"


def test_a_term_is_switched_by_the_one_override_that_the_document_shows(project: Project) -> None:
    document = (ROOT / "docs/COMPETING.md").read_text()
    [shown] = re.findall(r"-S (tasks\.faces\.competitions\S+)", document)
    apply_overrides(project.folder / "params.yaml", [shown])
    assert load_params().task("faces").competitions == "11785-hw-2-p-2-face-verification-spring-2026"
    project.set(tasks__faces__competitions={})
    assert load_params().task("faces").competitions == {}


def test_a_name_of_letters_digits_and_strokes_is_taken(plain: dict[str, Any]) -> None:
    block = plain["runs"]["custom_resnet"]
    change(plain, {"runs": {"Resnet-2_b": block, "2": block}})
    assert load_params().runs.keys() == {"Resnet-2_b", "2"}


@pytest.mark.parametrize("text", ["1e-3", "1E-3", ".001"])
def test_a_learning_rate_typed_by_hand_is_a_number(project: Project, text: str) -> None:
    file = project.folder / "params.yaml"
    file.write_text(re.sub(r"^lr:.*$", f"lr: {text}", TEXT, flags=re.MULTILINE))
    assert load_params().lr == 0.001


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("sead", "seed"),
        ("tasks.cifar10.sourse", "source"),
        (f"{RUN}.epoch", "epochs"),
        (f"{RUN}.augment.crop.paddings", "padding"),
        (f"{RUN}.model.widht", "width"),
    ],
)
def test_a_misspelt_key_is_named_in_full_with_the_nearest(plain: dict[str, Any], path: str, nearest: str) -> None:
    change(plain, {f"{RUN}.augment.crop": {"padding": 4}})
    change(plain, {path: 1})
    assert problem() == f"{path}: unknown key; did you mean '{nearest}'?"


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("lr", -1, "must be greater than 0, but is -1"),
        ("lr", 10**400, "must be finite"),
        ("epochs", "8", "must be a whole number"),
        ("seed", -1, "must not be negative"),
        ("compile", "auto", "must be true or false"),
        ("precision", "fp8", "'fp8' is not a choice here"),
        ("launcher", None, "must be text"),
        ("tasks", [], "must be a block of keys"),
        ("tasks.cifar10", None, "must be a block of keys"),
        ("tasks.cifar10.on_bad", "ignore", "'ignore' is not a choice here"),
        ("tasks.cifar10.dev_fraction", 1.0, "must lie strictly between 0 and 1"),
        ("tasks.cifar10.sample", {"train": 0, "test": 1}, ".train: must be greater than 0"),
        (f"{RUN}.task", "cifar11", "'cifar11' is not in tasks; did you mean 'cifar10'?"),
        (f"{RUN}.task", ["cifar10"], ": ['cifar10'] is not in tasks"),
        (f"{RUN}.epochs", 10**400, "must be at most a million"),
        (f"{RUN}.range_test", {"steps": 20}, "unknown key"),
        (f"{RUN}.train", {"ema": 1}, ".ema: must lie strictly between 0 and 1"),
        (
            f"{RUN}.train",
            {"mean": 3, "early_stopping": {"patience": 2}},
            ".mean: needs the last epochs, which early_stopping",
        ),
        ("runs.pblstm.loading", "device", "'device' is not a choice here; known: disk"),
        ("range_test", {"steps": 20, "start": 1, "end": 0.1}, ".start: must be below end (0.1), but is 1"),
        (f"{RUN}.optimizer.lr", "fnd", "must be"),
        (f"{RUN}.schedule", {"name": "one_cicle"}, ".name: 'one_cicle' is not a choice here; did you mean 'one_cycle'?"),
        (f"{RUN}.augment.flip", {"p": 2}, ".p: must lie between 0 and 1"),
        (f"{RUN}.loss.label_smoothing", 1, "must be at least 0 and below 1"),
        (f"{RUN}.evaluate.views", ["plain", "flop"], "[1]: 'flop' is not a choice here; did you mean 'flip'?"),
        (f"{RUN}.evaluate.views", ["plain", {"shift": 0}], "[1].shift: must be greater than 0"),
        (f"{RUN}.evaluate.views", ["flip", "plain"], "must begin with plain"),
        (f"{RUN}.evaluate.views", ["plain", "flip", "flip"], "repeats a view"),
        (f"{RUN}.model", {}, ".name: missing; known: convnext, "),
        (f"{RUN}.model.name", "custom_resent", "'custom_resent' is not a choice here; did you mean 'custom_resnet'?"),
        (f"{RUN}.model.name", "../task", "'../task' is not a choice here"),
        (f"{RUN}.model.width", 0, "must be greater than 0"),
        (f"{RUN}.model.dropout", 1.5, "must lie between 0 and 1"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_value_is_named_in_full(plain: dict[str, Any], path: str, value: Any, words: str) -> None:
    change(plain, {path: value})
    separator = "" if words.startswith((".", "[", ":")) else ": "
    assert problem().startswith(f"{path}{separator}{words}")


@pytest.mark.parametrize(
    "path",
    [
        "seed",
        "runs",
        "tasks.cifar10.source",
        "tasks.cifar10.sample.train",
        f"{RUN}.model",
        f"{RUN}.augment.crop.padding",
        f"{RUN}.schedule.peak_epoch",
    ],
)
def test_a_missing_key_is_named_in_full(plain: dict[str, Any], path: str) -> None:
    change(plain, {f"{RUN}.schedule": {"name": "one_cycle", "peak_epoch": 5}})
    remove(plain, path)
    assert problem().startswith(f"{path}: ")


@pytest.mark.parametrize(("run", "weights"), [("custom_resnet", "ema"), ("pblstm", "mean")])
def test_an_average_is_evaluated_only_where_one_is_kept(plain: dict[str, Any], run: str, weights: str) -> None:
    change(plain, {f"runs.{run}.evaluate.weights": weights})
    assert problem() == f"runs.{run}.evaluate.weights: {weights} needs train.{weights}; set it"
    change(plain, {f"runs.{run}.train.{weights}": {"ema": 0.9, "mean": 2}[weights]})
    assert load_params().run(run).evaluate.weights == weights


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("train", {"final": True, "early_stopping": {"patience": 3}}, "train.early_stopping: needs a dev score"),
        ("schedule", {"name": "plateau"}, "schedule: plateau needs a dev score"),
        ("evaluate.weights", "best", "evaluate.weights: best needs a dev score"),
    ],
)
def test_a_final_training_refuses_what_needs_a_dev_score(plain: dict[str, Any], key: str, value: Any, words: str) -> None:
    change(plain, {f"{RUN}.train": {"final": True}, f"{RUN}.evaluate.weights": "last"})
    load_params()
    change(plain, {f"{RUN}.{key}": value})
    assert problem().startswith(f"{RUN}.{words}")


@pytest.mark.parametrize("kind", ["cifar11", ["cifar10"]])
def test_a_kind_of_task_that_does_not_exist_names_the_nearest(plain: dict[str, Any], kind: Any) -> None:
    change(plain, {"tasks.cifar11": {"kind": kind, "source": "sample"}})
    assert problem().startswith(f"tasks.cifar11.kind: {kind!r} is not a kind of task; ")
    assert "cifar10" in problem()


def test_two_tasks_of_one_kind_have_settings_of_their_own(plain: dict[str, Any]) -> None:
    change(plain, {"tasks.other": plain["tasks"]["cifar10"] | {"source": "other.zip"}})
    change(plain, {"runs.other": plain["runs"]["custom_resnet"] | {"task": "other"}})
    loaded = load_params()
    assert type(loaded.task("other")) is type(loaded.task("cifar10"))
    assert loaded.run("other").kind == "cifar10" and loaded.task(loaded.run("other").task).source == "other.zip"


def test_the_inputs_are_those_of_the_kind(plain: dict[str, Any]) -> None:
    change(plain, {"tasks.cifar10.inputs": "sequences"})
    assert problem().startswith("tasks.cifar10.inputs: 'sequences' is not a choice here")


@pytest.mark.parametrize("key", ["kind", "inputs"])
def test_a_run_has_the_kind_and_the_inputs_of_its_task(plain: dict[str, Any], key: str) -> None:
    expected = {"kind": "cifar10", "inputs": "images"}[key]
    change(plain, {f"{RUN}.{key}": "speech"})
    assert problem() == f"{RUN}.{key}: must be {expected}, as in tasks.cifar10"


def test_asking_for_an_unknown_run_or_task_names_the_nearest(plain: dict[str, Any]) -> None:
    loaded = load_params()
    with pytest.raises(InputError, match=r"^runs\.custom_resent: not in params\.yaml; did you mean 'custom_resnet'\?$"):
        loaded.run("custom_resent")
    with pytest.raises(InputError, match=r"^tasks\.cifar11: not in params\.yaml; did you mean 'cifar10'\?$"):
        loaded.task("cifar11")


def test_a_run_whose_name_yaml_reads_as_a_number_is_an_input_error(project: Project) -> None:
    (project.folder / "params.yaml").write_text(TEXT.replace("  dilated_net:", "  2024:"))
    with pytest.raises(InputError, match="2024"):
        load_params().run("2025")


def test_the_sample_block_is_laid_over_the_run_while_the_source_is_the_sample(plain: dict[str, Any]) -> None:
    change(plain, {f"{RUN}.model": {"name": "custom_resnet", "width": 64, "dropout": 0.02}})
    change(plain, {f"{RUN}.optimizer": {"name": "sgd", "lr": "find", "momentum": 0.8}})
    over = {
        "model": {"width": 8},
        "epochs": 2,
        "optimizer": {"lr": 0.1},
        "schedule": {"name": "constant"},
        "batch_size": 512,
    }
    change(plain, {f"{RUN}.sample": over})
    loaded = load_params()
    run = loaded.run("custom_resnet")
    assert run.model == CustomResnet("custom_resnet", width=8, dropout=0.02)
    assert (run.epochs, run.batch_size, run.optimizer) == (2, 512, SGD("sgd", 0.8, lr=0.1))
    assert run.schedule == Constant("constant")
    hidden = loaded.hidden["custom_resnet"]
    assert [item.key for item in hidden] == ["model.width", "epochs", "optimizer.lr", "schedule"]  # batch_size is the same
    assert str(hidden[1]) == "epochs: 24 -> 2 (its sample block)"


@pytest.mark.parametrize("source", [["sample.zip"], "./sample"])
def test_the_sample_block_is_not_applied_to_another_source(plain: dict[str, Any], source: Any) -> None:
    change(plain, {f"{RUN}.sample": {"epochs": 2, "model": {"width": 8}}, f"{RUN}.model.width": 64})
    change(plain, {"tasks.cifar10.source": source})
    loaded = load_params()
    assert (loaded.run("custom_resnet").epochs, loaded.run("custom_resnet").model.width) == (24, 64)
    assert loaded.hidden["custom_resnet"] == []


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({"epoch": 2}, "epoch: unknown key; did you mean 'epochs'?"),
        ({"epochs": 0}, "epochs: must be greater than 0, but is 0"),
        ({"model": {"widht": 8}}, "model.widht: unknown key; did you mean 'width'?"),
        ({"schedule": {"name": "cosine_restarts"}}, "schedule.t_0: missing"),
        ({"task": "cifar10"}, "task: cannot be changed by a sample block"),
    ],
)
def test_a_slip_in_a_sample_block_is_found_there_whatever_the_source(
    plain: dict[str, Any], over: dict[str, Any], words: str
) -> None:
    for source in ("sample", "elsewhere.zip"):
        change(plain, {f"{RUN}.sample": over, "tasks.cifar10.source": source})
        assert problem().startswith(f"{RUN}.sample.{words}")


def test_the_top_level_overrides_every_run_after_its_sample_block(
    plain: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    change(plain, {f"{RUN}.sample": {"epochs": 2}, "epochs": 3, "batch_size": 16})
    loaded = load_params()
    assert {(run.epochs, run.batch_size) for run in loaded.runs.values()} == {(3, 16)}
    loaded.tell_hidden("custom_resnet")
    assert capsys.readouterr().out.splitlines() == [
        f"{RUN}, changed by its sample block and the top-level epochs and the top-level batch_size:",
        "  epochs      24   ->  2",
        "  epochs      2    ->  3",
        "  batch_size  512  ->  16",
    ]


def test_fewer_epochs_bring_the_peak_of_a_one_cycle_schedule_forward(plain: dict[str, Any]) -> None:
    schedule = {"name": "one_cycle", "peak_epoch": 6}
    change(plain, {f"{RUN}.schedule": schedule, f"{RUN}.sample": {"epochs": 12}})
    assert load_params().run("custom_resnet").schedule == OneCycle("one_cycle", 3.0)
    change(plain, {"epochs": 2})
    assert load_params().run("custom_resnet").schedule == OneCycle("one_cycle", 0.5)
    change(plain, {f"{RUN}.sample": {"epochs": 12, "schedule": {"peak_epoch": 6}}})
    assert load_params().run("custom_resnet").schedule == OneCycle("one_cycle", 1.0)


def test_a_peak_after_the_last_epoch_is_refused(plain: dict[str, Any]) -> None:
    change(plain, {f"{RUN}.schedule": {"name": "one_cycle", "peak_epoch": 24}, "tasks.cifar10.source": "elsewhere.zip"})
    assert problem() == f"{RUN}.schedule.peak_epoch: must be below the run's 24 epochs, but is 24"
    change(plain, {f"{RUN}.schedule.peak_epoch": 5, f"{RUN}.sample": {"epochs": 4, "schedule": {"peak_epoch": 4}}})
    assert problem() == f"{RUN}.sample.schedule.peak_epoch: must be below the run's 4 epochs, but is 4"


def test_a_warm_up_becomes_shorter_with_the_epochs_and_must_end_before_them(plain: dict[str, Any]) -> None:
    change(plain, {f"{RUN}.schedule": {"name": "cosine", "warmup_epochs": 6}, f"{RUN}.sample": {"epochs": 12}})
    assert load_params().run("custom_resnet").schedule == Cosine("cosine", 3.0)
    change(plain, {"epochs": 2})
    assert load_params().run("custom_resnet").schedule == Cosine("cosine", 0.5)
    change(plain, {f"{RUN}.schedule.warmup_epochs": 24})
    assert problem() == f"{RUN}.schedule.warmup_epochs: must be below the run's 24 epochs, but is 24"


def test_an_override_that_changes_nothing_has_no_line(plain: dict[str, Any]) -> None:
    change(plain, {"epochs": 24})
    assert load_params().hidden["custom_resnet"] == []


def test_the_top_level_learning_rate_is_left_to_the_stage_that_decides_it(plain: dict[str, Any]) -> None:
    change(plain, {"lr": 0.3, f"{RUN}.optimizer.lr": "find"})
    loaded = load_params()
    assert (loaded.lr, loaded.run("custom_resnet").optimizer.lr) == (0.3, "find")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"just text",
        b"tasks: [",
        b"lr: 1\nlr: 2",
        b"lr: !unknown 1",
        b"\xff\xfe",
        # ruamel.yaml leaves what Python raises for these as it is.
        b"lr: !!int x",
        b"lr: 2024-13-45",
        b"lr: " + 5000 * b"9",
        b"lr: " + 1000 * b"[",
    ],
    ids=lambda content: repr(content[:20]),
)
def test_what_is_not_yaml_is_an_input_error_that_names_the_file(project: Project, content: bytes) -> None:
    (project.folder / "params.yaml").write_bytes(content)
    assert "params.yaml: " in problem()


def test_a_missing_file_is_an_input_error(project: Project) -> None:
    (project.folder / "params.yaml").unlink()
    assert problem() == "params.yaml: no such file; run from the project's root"


SNIPPETS = ["\n", "\n  ", ": ", "- ", "? ", "{", "}", "[", "]", "#", "'", '"', "|", "&a ", "*a", "!!int ", "<<: "]
SNIPPETS += ["null", "-1", "1e999", ".nan", ".inf", "true", "0x_", "2024-13-45", "sample", "find", "lr", "9" * 400]


def test_aliases_and_merges_stand_for_what_they_name(project: Project) -> None:
    before = load_params()
    text = Path("params.yaml").read_text().replace("\nlr:", "\nepochs: &few 7\nlr:", 1)
    Path("params.yaml").write_text(re.sub(r"\nepochs:  .*", "", text).replace("\nbatch_size:", "\nbatch_size: *few", 1))
    changed = load_params()
    assert changed.epochs == changed.batch_size == 7 != before.epochs


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    begin=st.integers(0, len(TEXT)),
    length=st.sampled_from([0, 0, 1, 2, 5, 20, 200]),
    new=st.text(max_size=4) | st.lists(st.sampled_from(SNIPPETS), max_size=3).map("".join),
)
def test_any_text_put_anywhere_loads_or_is_an_input_error(tmp_path: Path, begin: int, length: int, new: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(TEXT[:begin] + new + TEXT[begin + length :])
    try:
        assert isinstance(load_params(path), Params)
    except InputError as error:
        assert str(error)
