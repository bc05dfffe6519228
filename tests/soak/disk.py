"""A disk as full, or as read-only, as a test wants it: a tmpfs that only chosen processes see, and that goes with them."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT


class NotAllowed(Exception):
    """This machine lets nobody mount anything."""


class Disk:
    """path: where processes started by `run` find it. view: where this one does. Raises NotAllowed."""

    def __init__(self, path: Path, size: str) -> None:
        script = 'mount -t tmpfs -o size="$1" tmpfs "$0" && echo ready && exec sleep 900'
        command = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, str(path), size]
        try:
            self._holder = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        except FileNotFoundError as error:
            raise NotAllowed(str(error)) from None
        assert self._holder.stdout is not None and self._holder.stderr is not None
        self.path, self.view = path, Path(f"/proc/{self._holder.pid}/root{path}")
        if self._holder.stdout.readline() != "ready\n" or not os.access(self.view, os.W_OK):
            self.close()
            raise NotAllowed(self._holder.stderr.read().strip() or "the mounted folder cannot be reached")

    def run(self, *command: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """A command that sees the disk and works in it."""
        enter = ["nsenter", f"--target={self._holder.pid}", "--user", "--mount", "--preserve-credentials"]
        inside = ["sh", "-c", 'cd "$0" && exec "$@"', str(self.path), *command]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}
        environment.pop("DVC_ROOT", None)
        return subprocess.run([*enter, *inside], env=environment, capture_output=True, text=True, timeout=timeout)

    def stage(self, name: str, argument: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", f"stages.{name}", argument)

    def fill(self, leaving: int) -> None:
        """All but `leaving` bytes."""
        space = os.statvfs(self.view)
        (self.view / "ballast").write_bytes(bytes(space.f_bavail * space.f_frsize - leaving))

    def make_room(self) -> None:
        (self.view / "ballast").unlink()

    def protect(self) -> None:
        """Nobody writes to it any more, not even root."""
        done = self.run("mount", "-o", "remount,ro", str(self.path))
        assert done.returncode == 0, done.stderr

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()
