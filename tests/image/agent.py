"""Runs inside a development image, brought in by credentials of the virtual firmware; the image has no trace of it.

One JSON object a line from the host: ``{"python": source}`` is run with ``run`` at hand, ``{"run": [program, …]}`` is
started. One line back: ``{"code", "out", "err"}``, or ``{"value"}``, what the source left in ``value``.
"""

import base64
import json
import subprocess
import time
import traceback
from pathlib import Path

PORT = "/dev/virtio-ports/vidik.test"


def run(*command, timeout=120):
    """Code, output and error output of ``command``."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, errors="replace", stdin=subprocess.DEVNULL,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def answer(asked):
    """What is asked, done."""
    if "put" in asked:
        with Path(asked["put"]).open(asked["mode"]) as file:
            file.write(base64.b64decode(asked["data"]))
        return {}
    if "run" in asked:
        code, out, err = run(*asked["run"], timeout=asked.get("timeout", 120))
        return {"code": code, "out": out, "err": err}
    names = {"run": run}
    exec(asked["python"], names)
    return {"value": names.get("value")}


def main():
    """Answers forever."""
    with Path(PORT).open("r+b", buffering=0) as port:
        port.write(b'{"hello": 1}\n')
        buffer = b""
        while True:
            got = port.read(65536)
            if not got:
                time.sleep(0.2)
                continue
            buffer += got
            while b"\n" in buffer:
                line, buffer = buffer.split(b"\n", 1)
                try:
                    said = answer(json.loads(line))
                except BaseException:
                    said = {"failed": traceback.format_exc()}
                out = json.dumps(said).encode() + b"\n"
                while out:
                    out = out[port.write(out):]


main()
