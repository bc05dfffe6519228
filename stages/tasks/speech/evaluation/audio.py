"""Audio of the worst utterances, if `normalize` kept the dev split's audio."""

import io
import re
from collections.abc import Sequence
from pathlib import Path

import soundfile

from stages.data.packed import RaggedArray

LONGEST_NAME = 100  # a file name has at most 255 bytes, which a member's name may use up


def write(folder: Path, audio: Path, names: Sequence[str], chosen: Sequence[str]) -> None:
    """Write each chosen utterance as `folder`/<rank>-<name>.flac or .wav, ranks from 01, if there is `audio`.

    audio: the stem of a split's ragged bytes. names: of its utterances, in order. In file names, all characters but ASCII
    letters, digits, point and hyphen become underscores.
    """
    if not audio.with_suffix(".npy").is_file():
        return
    folder.mkdir()
    recordings, indices = RaggedArray(audio), {name: index for index, name in enumerate(names)}
    for rank, name in enumerate(chosen, start=1):
        suffix, content = _playable(bytes(recordings[indices[name]]))
        safe = re.sub(r"[^A-Za-z0-9.-]", "_", name)[:LONGEST_NAME]
        (folder / f"{rank:02}-{safe}{suffix}").write_bytes(content)


def _playable(content: bytes) -> tuple[str, bytes]:
    """Return suffix and content: unchanged if a browser plays it, else as wav. TIMIT's .wav files are NIST SPHERE."""
    info = soundfile.info(io.BytesIO(content))
    if info.format == "FLAC":
        return ".flac", content
    if info.format in ("WAV", "WAVEX") and info.subtype.startswith("PCM"):
        return ".wav", content
    wave, rate = soundfile.read(io.BytesIO(content), dtype="float32")
    converted = io.BytesIO()
    soundfile.write(converted, wave, rate, format="WAV", subtype="PCM_16")
    return ".wav", converted.getvalue()
