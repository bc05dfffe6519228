"""`make watch`: the report at http://127.0.0.1:8000/, with the curves of a training as it goes on; Ctrl-C ends it."""

import argparse
import errno
from collections.abc import Sequence

from stages.core.errors import InputError, run_command
from stages.reporting import live


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m stages.watch", description="The report, following what is trained.")
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="8000 unless said otherwise; 0: any free one")
    port = parser.parse_args(arguments).port
    try:
        server = live.server(port)
    except (OverflowError, PermissionError):
        raise InputError(f"port {port}: must be 0 or from 1024 to 65535") from None
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise InputError(f"port {port} is taken; choose another one, as in `make watch PORT={port + 1}`") from None
    with server:
        try:
            print(f"http://{live.ADDRESS}:{server.server_port}/ follows metrics/; Ctrl-C ends it", flush=True)
            server.serve_forever()
        except KeyboardInterrupt:
            print("\nended")


if __name__ == "__main__":
    run_command(main)
