"""There is no sample: settings.py refuses the source `sample`."""

from pathlib import Path

from stages.tasks.image_folder.settings import Settings


def make(out: Path, settings: Settings, seed: int) -> None:
    """Never called."""
    raise NotImplementedError
