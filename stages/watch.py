"""`make watch`: serve the report at http://127.0.0.1:8000/, with live training curves, until Ctrl-C."""

import argparse
import errno
from collections.abc import Sequence

from stages.core.errors import InputError, run_command
from stages.reporting import live


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m stages.watch", description="Serve the report with live training curves.")
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="default: 8000; 0: any free port")
    port = parser.parse_args(arguments).port
    try:
        server = live.server(port)
    except (OverflowError, PermissionError):
        raise InputError(f"port {port}: must be 0 or from 1024 to 65535") from None
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise InputError(f"port {port} is taken; choose another, as in `make watch PORT={port + 1}`") from None
    with server:
        try:
            print(f"http://{live.ADDRESS}:{server.server_port}/ follows metrics/; Ctrl-C stops it", flush=True)
            server.serve_forever()
        except KeyboardInterrupt:
            print("\nstopped")


if __name__ == "__main__":
    run_command(main)
