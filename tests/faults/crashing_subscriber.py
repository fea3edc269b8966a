"""A subscriber that kills itself between the sink's commit and the checkpoint's: ``FOLDER PORT SINK CRASH_AFTER``.

``CRASH_AFTER``: after so many batches; 0 for never.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from edge.listen import Address, Listener, Opened, open_sink, read_ca, read_keys


def main(folder: Path, port: int, where: str, crash_after: int) -> None:
    """Writes all it receives to the sink ``where``."""
    address = Address(
        "localhost", port, folder / "ca.pem", folder / "subscriber.pem", folder / "subscriber.key"
    )  # fmt: skip
    sink = open_sink(where)
    keys = read_keys([folder / "recipient.key"])
    count = 0
    with Listener(address, read_ca(folder / "ca.pem"), keys, name="archive", state=folder / "state") as listener:
        for batch in listener.batches(most=20, wait=0.05):
            sink.write(batch)
            count += any(isinstance(finding, Opened) for finding in batch)
            if crash_after and count >= crash_after:
                os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
