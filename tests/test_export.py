"""Every network as an ONNX file that computes the same, a card that tells the truth, and artifacts that exist."""

import copy
import hashlib
import importlib.util
import json
import re
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dvc.repo import Repo
from gto.constants import assert_name_is_valid
from torch import Tensor, nn

from benchmarks.features import FACES, PICTURES, SPEECH
from stages import evaluate, export, predict
from stages.compute.device import seed_torch
from stages.core import checksums, paths
from stages.core.errors import InputError
from stages.data import checkpoint
from stages.exporting import card, onnx_graph
from stages.exporting.onnx_graph import Graph, Port
from stages.tasks import load_params, task_module
from stages.tasks.faces.evaluation import whitening
from stages.tasks.faces.training.cosine_head import CosineHead
from stages.tasks.speech.export import portable
from tests.conftest import ROOT, Project
from tests.tasks.test_contract import KINDS

RUNS = load_params(ROOT / "params.yaml").runs
TINY: dict[str, dict[str, Any]] = {
    "custom_resnet": {"width": 4},
    "dilated_net": {},
    "resnet50": {"width": 4},
    "convnext": {"width": 4},
    "pblstm": {"hidden": 6, "decoder": 16},
    "bilstm": {"hidden": 6, "num_layers": 2, "features": 13},
    "conv_bilstm": {"hidden": 6, "num_layers": 2},
    "convnext1d": {"width": 4},
}
DEPTHS = {"resnet50": (2, 1, 1, 1), "convnext": (1, 3, 3, 3)}  # layers left of each stage; ConvNeXt's begin with two others
PEOPLE = [f"n{n}" for n in range(70)]
STATS: dict[str, Any] = {
    "cifar10": replace(PICTURES, classes=["cat", "dog", "a|b"], mean=[120.0, 110.0, 100.0], std=[60.0, 61.0, 62.0]),
    "faces": replace(FACES, classes=PEOPLE, mean=[9.0, 99.0, 199.0], std=[60.0, 30.0, 90.0], side=32),
    "speech": replace(SPEECH, num_features=14),
}


def tiny(name: str) -> Any:
    """The network of a run's model file, narrow, without repetitions, its batch norms' statistics not the first ones."""
    task = RUNS[name].task
    stats = STATS[task]
    speech = task == "speech"
    classes = len(stats.symbols if speech else stats.classes)
    module = import_module(f"stages.{RUNS[name].inputs}.models.{RUNS[name].model.name}")
    seed_torch(0)
    model = module.Model(*((14, classes) if speech else (classes,)), **TINY[name])
    for number, depth in enumerate(DEPTHS.get(name, ()), 1):
        setattr(model, f"stage{number}", getattr(model, f"stage{number}")[:depth])
    if name == "convnext1d":
        model.blocks = nn.ModuleList(block for n, block in enumerate(model.blocks) if n < 2 or not block.residual)
    if name == "convnext":
        model.head = CosineHead(model.num_features, classes, scale=64.0)
        for layer in model.modules():
            if hasattr(layer, "scale") and isinstance(layer.scale, nn.Parameter):
                nn.init.ones_(layer.scale)  # which 1e-6 at first would hide the blocks
    if name == "resnet50":
        for layer in model.modules():
            if hasattr(layer, "norm3"):
                nn.init.ones_(layer.norm3.weight)
    example = (torch.randn(4, 40, 14) + 1, torch.tensor([40, 33, 25, 17])) if speech else (torch.randn(4, 3, 32, 32) + 1,)
    with torch.no_grad():
        model.train()(*example)
    return model.eval()


def run_onnx(file: Path, **inputs: np.ndarray) -> list[np.ndarray]:
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    return onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, inputs)


def log_softmax(logits: Tensor) -> np.ndarray:
    values = logits.double().numpy()
    return (
        values
        - np.log(np.exp(values - values.max(-1, keepdims=True)).sum(-1, keepdims=True))
        - values.max(-1, keepdims=True)
    )


def close(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_every_network_computes_the_same_as_onnx(name: str, tmp_path: Path) -> None:
    """For batches and lengths that the exporter did not see, from the network itself and NumPy's arithmetic around it."""
    run, model = RUNS[name], tiny(name)
    stats, file, random = STATS[run.task], tmp_path / "model.onnx", np.random.default_rng(0)
    before = copy.deepcopy(model.state_dict())
    graph = task_module(run.kind, "export").graph(model, stats)
    onnx_graph.write(graph, file, {})
    assert len(onnx_graph.check(graph, file)) >= 3
    sizes = ((1, 1), (1, 2), (4, 31), (2, 200)) if run.task == "speech" else ((1, 0), (6, 0))
    for num, frames in sizes:
        with torch.no_grad():
            if run.task == "speech":
                features = random.standard_normal((num, frames, 14), np.float32)
                lengths = random.integers(1, frames + 1, num)
                logits, out_lengths = model(torch.from_numpy(features), torch.from_numpy(lengths))
                features[np.arange(frames) >= lengths[:, None]] = np.nan  # what pads an utterance must not matter
                log_probs, found_lengths = run_onnx(file, features=features, lengths=lengths)
                assert found_lengths.tolist() == out_lengths.tolist()
            else:
                images = random.integers(0, 256, (num, 32, 32, 3), np.uint8)
                x = (images.astype(np.float64) - stats.mean) / stats.std
                x = torch.from_numpy(x.transpose(0, 3, 1, 2).astype(np.float32))
                logits = model(x)
                log_probs, *embedding = run_onnx(file, images=images)
                if run.task == "faces":
                    close(embedding[0], model.embed(x).numpy())
        close(log_probs, log_softmax(logits))
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items()), "exporting changed the network"


class Double(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (2 * x,)


class Triple(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (3 * x,)


class Summed(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (x.sum(1),)


def doubling(**changes: Any) -> Graph:
    """The smallest graph: twice its input."""
    ports = {"inputs": [Port("x", "float32", ("batch", 2), "")], "outputs": [Port("y", "float32", ("batch", 2), "")]}
    graph = Graph(Double(), Double(), **ports, example=(torch.ones(3, 2),), trials=[(torch.ones(4, 2),)], labels=["é", ""])
    return replace(graph, **changes)


def test_a_file_knows_its_labels_and_nothing_of_this_machine(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    for name in ("a", "b"):
        onnx_graph.write(doubling(), tmp_path / name, {"run": "it"})
    model = onnx.load(tmp_path / "a")
    notes = {entry.key: entry.value for entry in model.metadata_props}
    assert notes["run"] == "it" and json.loads(notes["labels"]) == ["é", ""]
    assert [axis.dim_param for axis in model.graph.output[0].type.tensor_type.shape.dim] == ["batch", ""]
    content = (tmp_path / "a").read_bytes()
    assert str(ROOT).encode() not in content and b"/python" not in content
    assert content == (tmp_path / "b").read_bytes()


def test_a_file_that_differs_is_refused(tmp_path: Path) -> None:
    onnx_graph.write(doubling(), tmp_path / "model.onnx", {})
    for changes, difference in (
        ({"network": Triple()}, r"0\.3\d* for inputs of shape \(4, 2\)"),
        ({"trials": [(torch.tensor([[1.0, torch.nan]]),)]}, r"nan for inputs of shape \(1, 2\)"),
        ({"network": Summed()}, "inf"),
    ):
        with pytest.raises(InputError, match=rf"model\.onnx: differs from the network by {difference}"):
            onnx_graph.check(doubling(**changes), tmp_path / "model.onnx")


def test_a_portable_copy_leaves_the_network_alone() -> None:
    model = tiny("pblstm")
    modules = [type(module) for module in model.modules()]
    assert [type(module) for module in portable(model).modules()] != modules
    assert [type(module) for module in model.modules()] == modules


# The command, mostly with custom_resnet.


def trained(project: Project, name: str = "custom_resnet", **changes: Any) -> str:
    """Files as after `dvc repro evaluate@NAME`, of a network that was never trained; the weights' hash."""
    params = load_params()
    run = params.run(name)
    stats = replace(STATS[run.task], num={"train": 1234, "dev": 5, "test": 0})
    seed_torch(1)
    model = task_module(run.kind, "training").build_model(run, stats)
    settings = {key: value for key, value in asdict(run).items() if key != "evaluate"}
    origin = {"run": settings, "lr": 0.0125, "seed": 11, "stats": asdict(stats), "data": "aa", "made_up": True}
    result = {"history": [{}, {}, {}], "epoch": 2, "weights": model.state_dict()}
    file = paths.weights(name, run.evaluate.weights)
    checkpoint.save(file, origin | result | changes)
    digest = checkpoint.weights_hash(model.state_dict())
    write_json(paths.evaluation(name), {"dev": {"accuracy": 0.56789, "num": 5}, "weights_sha256": digest})
    write_json(paths.timing(digest), {"epochs": 3, "torch": "9.9", "device": "abacus"})
    return digest


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def test_the_command_writes_a_checked_file_and_its_card(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    digest = trained(project)
    (project.folder / "exports/custom_resnet").mkdir(parents=True)
    (project.folder / "exports/custom_resnet/old").touch()
    export.main("custom_resnet")
    folder = project.folder / "exports/custom_resnet"
    assert {file.name for file in folder.iterdir()} == {"model.onnx", "README.md"}
    [log_probs] = run_onnx(folder / "model.onnx", images=np.zeros((2, 32, 32, 3), np.uint8))
    assert log_probs.shape == (2, 3) and np.allclose(np.exp(log_probs).sum(1), 1)
    assert "exports/custom_resnet: " in capsys.readouterr().out

    card = (folder / "README.md").read_text()
    parameters = sum(
        weight.numel()
        for weight in task_module("cifar10", "training").build_model(RUNS["custom_resnet"], STATS["cifar10"]).parameters()
    )
    for said in (
        digest, hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest(), f"{parameters:,}", "nine-layer residual",
        "| accuracy | 0.5679 |", "| train | 1,234 |", "checksums: `aa`",
        "epoch 2 of 3", "| device | abacus |", "`0.0125`", '`"adam"`',
        "(batch, 32, 32, 3)", "2 `a|b`", "`weights: \"last\"`", "MIT", "`sample`", "made-up",
    ):  # fmt: skip
        assert said in card, said
    assert "| test |" not in card and "null" not in card
    for block in re.findall(r"(?:^\|.*\n)+", card, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1, block


@pytest.mark.slow
def test_exported_faces_have_the_whitened_embeddings_that_were_evaluated(project: Project) -> None:
    project.set(runs__resnet50__sample={"model": {"width": 2}}, runs__resnet50__evaluate__whiten=0.5)
    digest, random = trained(project, "resnet50"), np.random.default_rng(0)
    write_json(paths.evaluation("resnet50"), {"dev": {"verification": {"threshold": 0.5}}, "weights_sha256": digest})
    with pytest.raises(InputError, match=r"data/predictions/resnet50/whitening\.safetensors: is missing"):
        export.main("resnet50")
    assert not (project.folder / "exports").exists()

    model = task_module("faces", "training").build_model(load_params().run("resnet50"), STATS["faces"]).eval()
    model.load_state_dict(checkpoint.load(paths.model("resnet50") / "best.safetensors")["weights"])
    images = random.integers(0, 256, (12, 32, 32, 3), np.uint8)
    x = (images - np.array(STATS["faces"].mean)) / STATS["faces"].std
    with torch.no_grad():
        embeddings = model.embed(torch.from_numpy(x.transpose(0, 3, 1, 2).astype(np.float32)))
    batches = [(embeddings, torch.arange(12) % 3)]
    whiten = whitening.fit(batches, num_classes=3, num_features=model.num_features, eps=0.5)
    whitening.save(paths.predictions("resnet50"), whiten, eps=0.5, weights_sha256=digest)
    export.main("resnet50")
    folder = project.folder / "exports/resnet50"
    _, found = run_onnx(folder / "model.onnx", images=images)
    cosines = nn.functional.cosine_similarity(*torch.from_numpy(found).split(6))
    expected = nn.functional.cosine_similarity(*whiten.apply(embeddings).split(6))
    np.testing.assert_allclose(cosines, expected, atol=1e-4)
    assert not np.allclose(cosines, nn.functional.cosine_similarity(*embeddings.split(6)), atol=0.1)
    card = (folder / "README.md").read_text()
    assert "whitened; the cosine of two embeddings" in card and "`whiten: 0.5`" in card


def test_a_run_without_metrics_is_exported_and_says_so(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = trained(project)
    paths.evaluation("custom_resnet").unlink()
    paths.timing(digest).unlink()
    monkeypatch.setattr(onnx_graph, "write", lambda graph, path, notes: path.write_bytes(b""))
    monkeypatch.setattr(onnx_graph, "check", lambda graph, path: [onnx_graph.Trial([(1,)], 0.0)])
    export.main("custom_resnet")
    assert "Not evaluated." in (project.folder / "exports/custom_resnet/README.md").read_text()


@pytest.mark.parametrize(
    ("name", "problem", "sentence"),
    [
        ("dilated_net", lambda project: None, r"models/dilated_net/last\.safetensors: no such checkpoint"),
        (
            "custom_resnet",
            lambda project: project.set(runs__custom_resnet__train__ema=0.9, runs__custom_resnet__loading="workers"),
            r"models/custom_resnet: .* before runs\.custom_resnet\.loading, runs\.custom_resnet\.train changed; `dvc repro",
        ),
        (
            "custom_resnet",
            lambda project: write_json(paths.evaluation("custom_resnet"), {"dev": {}, "weights_sha256": "?"}),
            r"metrics/custom_resnet/evaluate\.json: is of other weights .* `dvc repro evaluate@custom_resnet`",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_exported_is_a_sentence_and_leaves_nothing(
    name: str, problem: Any, sentence: str, project: Project
) -> None:
    trained(project)
    problem(project)
    with pytest.raises(InputError, match=sentence):
        export.main(name)
    assert not (project.folder / "exports").exists()


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (lambda saved: {"a": 1, "weights": {}}, "is not a checkpoint of this project: 'run' is missing or wrong"),
        (lambda saved: {"weights": saved["weights"]}, "is not a checkpoint of this project"),
        (lambda saved: saved | {"epoch": "2"}, "'epoch' is missing or wrong"),
        (lambda saved: saved | {"weights": {}}, "does not fit the network's current code; `dvc repro train@"),
        (lambda saved: saved | {"stats": {}}, "does not fit the network's current code"),
        (
            lambda saved: saved | {"weights": {name: tensor * torch.nan for name, tensor in saved["weights"].items()}},
            " is not finite; `dvc repro -f train@custom_resnet`",
        ),
    ],
)  # fmt: skip
def test_a_checkpoint_of_something_else_is_a_sentence_and_no_result(harm: Any, sentence: str, project: Project) -> None:
    trained(project)
    file = paths.model("custom_resnet") / "last.safetensors"
    content = harm(checkpoint.load(file))
    checkpoint.save(file, content)
    paths.evaluation("custom_resnet").unlink()
    paths.features("cifar10").mkdir(parents=True)
    checksums.write(paths.features("cifar10"))
    for command in (export.main, evaluate.main, predict.load):
        with pytest.raises(InputError, match=re.escape(sentence)) as caught:
            command("custom_resnet")
        assert str(caught.value).startswith(f"{file}: ") and "\n" not in str(caught.value)
    assert not (project.folder / "exports").exists() and not paths.evaluation("custom_resnet").exists()


def test_missing_packages_are_named(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(project)
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxscript" else found(name))
    with pytest.raises(InputError, match=r"^onnxscript: not installed, .*`pip install onnxscript`"):
        export.main("custom_resnet")


def test_a_failed_check_keeps_the_last_good_export(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(project)
    good = project.folder / "exports/custom_resnet/model.onnx"
    good.parent.mkdir(parents=True)
    good.write_text("good")
    monkeypatch.setattr(onnx_graph, "write", lambda graph, path, notes: path.write_bytes(b"bad"))

    def fail(graph: Graph, path: Path) -> None:
        raise InputError("differs")

    monkeypatch.setattr(onnx_graph, "check", fail)
    with pytest.raises(InputError, match="differs"):
        export.main("custom_resnet")
    assert good.read_text() == "good"
    assert [file.name for file in (project.folder / "exports").iterdir()] == ["custom_resnet"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_states_the_licence_of_every_source(kind: str) -> None:
    about = task_module(kind, "export").ABOUT
    named = {"kaggle", "path"} | ({"public"} if task_module(kind, "public").PUBLIC else set())
    named |= {"sample"} if kind != "image_folder" else set()  # of which there is none
    assert about.licences.keys() == named
    assert isinstance(about, card.About) and about.result and about.limits


def test_artifacts_are_the_evaluated_files_of_runs() -> None:
    repo, params = Repo(str(ROOT)), load_params(ROOT / "params.yaml")
    outs = {stage.name: {out.def_path for out in stage.outs} for stage in repo.index.stages}
    for name, artifact in repo.artifacts.read()["dvc.yaml"].items():
        assert_name_is_valid(name)
        assert Path(artifact.path) == paths.weights(name, params.run(name).evaluate.weights)
        assert str(paths.model(name)) in outs[f"train@{name}"]
        assert artifact.type == "model"
