"""`make demo`: a local web page to try the trained networks. Its answers are those of `stages.predict`.

Nothing leaves the machine: no telemetry, no remote fonts or scripts. Uploads are deleted when the server stops.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import wraps
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

if find_spec("gradio") is None:
    sys.exit("error: Gradio is not installed; `make demo` installs it and starts the page")
# Gradio reads these when imported. It also polls its own server, which a proxy could not reach.
os.environ |= {"GRADIO_ANALYTICS_ENABLED": "0", "HF_HUB_DISABLE_TELEMETRY": "1", "no_proxy": "127.0.0.1"}

import gradio as gr

from stages import predict
from stages.core.errors import InputError, run_command
from stages.demonstration import examples, pictures
from stages.tasks import load_params, task_module
from stages.tasks.speech.raw import audio

THEME = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
CSS = """
.gradio-container { max-width: 60rem !important; margin: 0 auto !important; width: 100% }
.picture img { width: 100%; height: 100%; object-fit: contain }
.along { overflow-x: auto !important }
.along .layout { align-items: flex-start }
.along img { width: 100%; min-width: 40rem }
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the page until Ctrl-C. Raises InputError if nothing is trained or the port is unavailable."""
    parser = argparse.ArgumentParser("python -m stages.demo", description="A web page to try the trained networks on.")
    parser.add_argument("--port", type=int, help="port on 127.0.0.1; default: the first free one from 7860")
    port = parser.parse_args(arguments).port
    if port is not None and not 0 < port < 2**16:
        raise InputError(f"--port {port}: must be from 1 to {2**16 - 1}")
    runs = trained_runs()
    if not runs:
        raise InputError("models: holds no trained run; `dvc repro` trains them, `dvc pull` fetches them")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GRADIO_TEMP_DIR"] = f"{folder}/uploads"
        page = build(runs, Path(folder))
        try:
            _launch(page, port)
        except OSError as error:
            if error.errno is not None:
                raise
            raise InputError(f"--port: {port or '7860 to 7959'} is taken; give another") from None
        print(f"{page.local_url}: {', '.join(chain.from_iterable(runs.values()))}; Ctrl-C stops it", flush=True)
        page.block_thread()


def _launch(page: gr.Blocks, port: int | None) -> None:
    """Serve on this machine only, without Gradio's tunnel, footer links and history of answers."""
    page.launch(
        server_name="127.0.0.1",
        server_port=port,
        share=False,
        theme=THEME,
        css=CSS,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        quiet=True,
        prevent_thread_lock=True,
    )


def trained_runs() -> dict[str, list[str]]:
    """Return the names of the runs that have a checkpoint, by task, in the order of params.yaml."""
    params, found = load_params(), dict[str, list[str]]()
    for name in params.runs:
        run = params.run(name)
        if predict.weights_file(name, run).is_file():
            found.setdefault(run.task, []).append(name)
    return found


def build(runs: dict[str, list[str]], folder: Path) -> gr.Blocks:
    """Build the page: a tab for each task. folder: where the example files go."""
    with gr.Blocks(title="Trained networks", analytics_enabled=False) as page:
        gr.Markdown("# Trained networks\nThe answers are those of `python -m stages.predict`. Nothing leaves this machine.")
        for task, names in runs.items():
            with gr.Tab(task):
                run = gr.Dropdown(names, label="run", interactive=True)
                gr.on([page.load, run.change], _show_errors(_caution), run, gr.Markdown())
                _tab(task)(task, run, folder)
    return page


def _tab(task: str) -> Callable[[str, Any, Path], None]:
    """Return the function that builds the task's tab."""
    room = task_module(task, "prediction")
    if hasattr(room, "compare"):
        return _face_tab
    return _picture_tab if ".png" in room.SUFFIXES else _sound_tab


def _show_errors(answer: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `answer` so that an InputError becomes a message on the page."""

    @wraps(answer)
    def wrapped(*arguments: Any) -> Any:
        try:
            return answer(*arguments)
        except InputError as error:
            raise gr.Error(str(error), duration=None, print_exception=False) from None

    return wrapped


def _unprocessed(component: Any) -> Any:
    """Make the component pass on the uploaded file's path. Gradio would decode the file first, with its own errors."""
    component.preprocess = lambda upload: upload and upload.path
    return component


def _picture(**settings: Any) -> Any:
    return _unprocessed(
        gr.Image(type="filepath", format="png", height=320, buttons=["fullscreen"], elem_classes="picture", **settings)
    )


def _caution(name: str) -> str:
    trained = predict.load(name)
    return predict.caution(trained) if trained.made_up else ""


def _read(trained: predict.Trained, file: str) -> Any:
    return predict.read(trained, Path(file), Path(file).name)


def _examples(files: Sequence[Sequence[Path]], components: Sequence[Any]) -> None:
    if files:
        gr.Examples([[str(file) for file in each] for each in files], components, label="to try", cache_examples=False)


def _picture_tab(task: str, run: Any, folder: Path) -> None:
    gr.Markdown("What does the picture show?")
    with gr.Row():
        with gr.Column():
            with gr.Tab("a picture"):
                picture = _picture(show_label=False)
            with gr.Tab("a drawing"):
                drawing = gr.ImageEditor(
                    type="pil",
                    sources=(),
                    transforms=(),
                    layers=False,
                    brush=gr.Brush(default_size=16),
                    canvas_size=(320, 320),
                    buttons=[],
                    show_label=False,
                )
        answer = gr.Label(label="classes")
    _examples([[file] for file in examples.pictures(task, folder)], [picture])
    gr.on([picture.change, run.change], _show_errors(_classes), [run, picture], answer, trigger_mode="always_last")
    drawing.change(lambda drawn: drawn and drawn["composite"], drawing, picture, trigger_mode="always_last")


def _classes(name: str, file: str | None) -> dict[str, float] | None:
    if file is None:
        return None
    trained = predict.load(name)
    [answer] = predict.answers(trained, [_read(trained, file)])
    return answer.probabilities


def _face_tab(task: str, run: Any, folder: Path) -> None:
    gr.Markdown("Are two faces the same person's?")
    with gr.Row():
        faces = [_picture(label=label) for label in ("a face", "another face")]
    answer, plot = gr.Markdown(), gr.Plot(show_label=False)
    _examples(examples.pairs(task, folder), faces)
    triggers = [run.change, *(face.change for face in faces)]
    gr.on(triggers, _show_errors(_same), [run, *faces], [answer, plot], trigger_mode="always_last")


def _same(name: str, one: str | None, other: str | None) -> tuple[str, Any]:
    if one is None or other is None:
        return "", None
    trained = predict.load(name)
    answer = predict.compare(trained, [_read(trained, one), _read(trained, other)])
    title, verb = ("The same person", "reaches") if answer.same else ("Two different people", "is below")
    text = f"## {title}\nThe score, {answer.score:.4f}, {verb} the threshold, {answer.threshold:.4f}."
    return text, pictures.score(answer)


def _sound_tab(task: str, run: Any, folder: Path) -> None:
    gr.Markdown("Which phonemes are heard, and when?")
    sound = _unprocessed(gr.Audio(type="filepath", sources=["upload", "microphone"], buttons=[], show_label=False))
    _examples([[file] for file in examples.recordings(task, folder)], [sound])
    arpabet = gr.Textbox(label="ARPAbet", buttons=["copy"])
    plot = gr.Plot(show_label=False, elem_classes="along")
    gr.on([sound.change, run.change], _show_errors(_phonemes), [run, sound], [arpabet, plot], trigger_mode="always_last")


def _phonemes(name: str, file: str | None) -> tuple[str, Any]:
    if file is None:
        return "", None
    trained = predict.load(name)
    [answer] = predict.answers(trained, [_read(trained, file)])
    return answer.arpabet, pictures.sound(audio.read_wave(Path(file).read_bytes())[0], answer.phonemes)


if __name__ == "__main__":
    run_command(main)
