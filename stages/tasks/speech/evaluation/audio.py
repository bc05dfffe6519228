"""The worst utterances to listen to, where `normalize` kept the dev split's audio."""

import io
import re
from collections.abc import Sequence
from pathlib import Path

import soundfile

from stages.data.packed import RaggedArray

LONGEST_NAME = 100  # a file's name has at most 255 bytes, and a member of an archive may have as many


def write(folder: Path, audio: Path, names: Sequence[str], chosen: Sequence[str]) -> None:
    """Each chosen utterance as `folder`/<rank>-<name>.flac or .wav, ranks from 01; nothing where there is no `audio`.

    audio: stem of the ragged bytes of a split. names: of its utterances, in its order. Of an utterance's name, all but
    ASCII letters, digits, point and hyphen becomes an underscore.
    """
    if not audio.with_suffix(".npy").is_file():
        return
    folder.mkdir()
    recordings, places = RaggedArray(audio), {name: place for place, name in enumerate(names)}
    for rank, name in enumerate(chosen, start=1):
        suffix, content = _playable(bytes(recordings[places[name]]))
        safe = re.sub(r"[^A-Za-z0-9.-]", "_", name)[:LONGEST_NAME]
        (folder / f"{rank:02}-{safe}{suffix}").write_bytes(content)


def _playable(content: bytes) -> tuple[str, bytes]:
    """Suffix and content: as it came if a browser plays it, else as wav. TIMIT's .wav files are NIST's SPHERE in truth."""
    info = soundfile.info(io.BytesIO(content))
    if info.format == "FLAC":
        return ".flac", content
    if info.format in ("WAV", "WAVEX") and info.subtype.startswith("PCM"):
        return ".wav", content
    wave, rate = soundfile.read(io.BytesIO(content), dtype="float32")
    converted = io.BytesIO()
    soundfile.write(converted, wave, rate, format="WAV", subtype="PCM_16")
    return ".wav", converted.getvalue()
