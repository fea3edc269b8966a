"""A virtual machine that starts an image without KVM: power on, talk to it, let it go off, pull its plug."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

AGENT = Path(__file__).with_name("agent.py")

_UNIT = """[Unit]
Description=Test agent, from the virtual firmware
DefaultDependencies=no
After=systemd-udevd.service local-fs.target
[Service]
ImportCredential=vidik.test.*
ExecStart=/usr/bin/python3 -B %d/vidik.test.agent
Restart=always
RestartSec=1
"""


class MachineError(AssertionError):
    """The machine did something else than what was waited for; the end of its console is in the text."""


def say(text: str) -> None:
    """A line of progress, past pytest's capture."""
    print(f"    {time.strftime('%H:%M:%S')} {text}", file=sys.__stderr__, flush=True)


class Machine:
    """One virtual camera unit with the medium ``disk``; states: off, and running."""

    def __init__(
        self, arch: str, disk: Path, folder: Path, *, agent: bool = True, uefi: bool = False,
        drives: tuple[Path, ...] = (), memory: int = 1536, units: Mapping[str, str] | None = None,
        dropins: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.arch, self.disk, self.folder, self.agent, self.uefi = arch, disk, folder, agent, uefi or arch == "arm64"
        self.drives, self.memory, self.units, self.dropins = drives, memory, dict(units or {}), dict(dropins or {})
        self.console = folder / "console.log"
        self._socket = folder / "agent.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self._talk: socket.socket | None = None
        self._buffer = b""
        self.on_since = 0.0
        folder.mkdir(parents=True, exist_ok=True)
        self.console.touch()

    # -- states -----------------------------------------------------------

    def start(self) -> None:
        """Powers on."""
        assert self._process is None, "it is running"
        self._socket.unlink(missing_ok=True)
        self._mark = self.console.stat().st_size
        self.on_since = time.monotonic()
        with (self.folder / "qemu.log").open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        say(f"{self.arch}: power on")

    def pull_the_plug(self) -> None:
        """Everything stops at once; what the guest was not told to be on the medium may be missing from it."""
        self._hang_up()
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
        say(f"{self.arch}: plug pulled")

    def off(self, timeout: float = 240) -> None:
        """Shuts down in order."""
        self.run("systemctl", "poweroff", "--no-block")
        self._hang_up()
        assert self._process is not None
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise MachineError(f"it did not go off\n{self.tail()}") from None
        self._process = None
        say(f"{self.arch}: off")

    def reboot(self, timeout: float = 600) -> None:
        """Restarts in order, and waits until it is up again."""
        before = self._boot()
        self._mark = self.console.stat().st_size
        self.on_since = time.monotonic()
        self.run("systemctl", "reboot", "--no-block")
        self._wait_other(before, timeout)

    def expect_restart(self, timeout: float = 900) -> None:
        """Waits until it restarted by itself and is up again."""
        self._wait_other(self._boot(), timeout)

    def _boot(self) -> str:
        """The id of the start that runs: the agent of one that is going down answers for a while."""
        return str(self.python("value = open('/proc/sys/kernel/random/boot_id').read()"))

    def _wait_other(self, before: str, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self._check_runs()
            if self._try_hello():
                with suppress(MachineError, OSError):
                    if self._boot() != before:
                        say(f"{self.arch}: restarted, up after {time.monotonic() - self.on_since:.0f} s")
                        return
            time.sleep(2)
        raise MachineError(f"it did not restart in {timeout:.0f} s\n{self.tail()}")

    def wait_up(self, timeout: float = 600) -> None:
        """Waits until the agent inside answers."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self._check_runs()
            if self._try_hello():
                say(f"{self.arch}: up after {time.monotonic() - self.on_since:.0f} s")
                return
            time.sleep(1)
        raise MachineError(f"no agent after {timeout:.0f} s\n{self.tail()}")

    def close(self) -> None:
        """For the end of a test: whatever runs is stopped."""
        if self._process is not None:
            self.pull_the_plug()

    # -- talking ----------------------------------------------------------

    def run(self, *command: str, timeout: float = 120, check: bool = True) -> str:
        """Standard output of ``command`` inside; MachineError if it fails."""
        said = self._ask({"run": list(command), "timeout": timeout}, timeout + 60)
        if check and said["code"] != 0:
            raise MachineError(f"{' '.join(command)} failed with {said['code']}:\n{said['out']}{said['err']}")
        return str(said["out"])

    def status(self, *command: str, timeout: float = 120) -> tuple[int, str]:
        """Exit code and all output of ``command`` inside."""
        said = self._ask({"run": list(command), "timeout": timeout}, timeout + 60)
        return int(said["code"]), said["out"] + said["err"]

    def python(self, source: str, timeout: float = 120) -> Any:
        """What ``source``, run inside, leaves in ``value``."""
        return self._ask({"python": source}, timeout)["value"]

    def read(self, path: str) -> str:
        """The text file ``path`` inside."""
        return str(self.python(f"value = open({path!r}, errors='replace').read()"))

    def put(self, path: str, content: bytes, timeout: float = 600) -> None:
        """Writes the file ``path`` inside."""
        mode = "wb"
        for at in range(0, max(1, len(content)), 192 << 10):
            data = base64.b64encode(content[at : at + (192 << 10)]).decode()
            self._ask({"put": path, "mode": mode, "data": data}, timeout)
            mode = "ab"

    def wait_for(self, what: str, source: str, timeout: float = 300, every: float = 3) -> Any:
        """Waits until ``source``, run inside, leaves something true in ``value``, and returns that."""
        deadline = time.monotonic() + timeout
        while True:
            value = self.python(source)
            if value:
                return value
            if time.monotonic() > deadline:
                raise MachineError(f"{what}: not after {timeout:.0f} s\n{self.tail()}")
            time.sleep(every)

    def wait_console(self, text: str, timeout: float = 300) -> None:
        """Waits until the console shows ``text``, since the last start."""
        deadline = time.monotonic() + timeout
        while text not in self.console.read_text(errors="replace")[self._mark :]:
            self._check_runs()
            if time.monotonic() > deadline:
                raise MachineError(f"the console never showed {text!r}\n{self.tail()}")
            time.sleep(0.5)

    def wait_console_times(self, text: str, times: int, timeout: float) -> None:
        """Waits until the console showed ``text`` so often, since the last start."""
        deadline = time.monotonic() + timeout
        while self.console.read_text(errors="replace")[self._mark :].count(text) < times:
            self._check_runs()
            if time.monotonic() > deadline:
                raise MachineError(f"the console did not show {text!r} {times} times\n{self.tail()}")
            time.sleep(0.5)

    def answers(self) -> bool:
        """Whether the agent is there."""
        return self._try_hello()

    def tail(self, lines: int = 60) -> str:
        """The end of the console."""
        return "\n".join(self.console.read_text(errors="replace").replace("\r", "").splitlines()[-lines:])

    # -- inside -----------------------------------------------------------

    def _ask(self, asked: dict[str, Any], timeout: float) -> dict[str, Any]:
        if self._talk is None and not self._try_hello():
            self.wait_up(120)
        assert self._talk is not None
        self._talk.settimeout(max(30.0, timeout))
        self._talk.sendall(json.dumps(asked).encode() + b"\n")
        try:
            said = self._line()
            while "hello" in said:
                said = self._line()
        except TimeoutError:
            self._hang_up()
            raise MachineError(f"no answer to {str(asked)[:200]} in {timeout:.0f} s\n{self.tail()}") from None
        if "failed" in said:
            raise MachineError(said["failed"])
        return said

    def _line(self) -> dict[str, Any]:
        assert self._talk is not None
        while b"\n" not in self._buffer:
            got = self._talk.recv(1 << 16)
            if not got:
                self._hang_up()
                raise MachineError(f"the machine hung up\n{self.tail()}")
            self._buffer += got
        line, self._buffer = self._buffer.split(b"\n", 1)
        said: dict[str, Any] = json.loads(line)
        return said

    def _try_hello(self) -> bool:
        """Connects if the agent is there: it answers a question at once."""
        try:
            if self._talk is None:
                self._talk = socket.socket(socket.AF_UNIX)
                self._talk.settimeout(5)
                self._talk.connect(str(self._socket))
                self._buffer = b""
            self._talk.settimeout(5)
            self._talk.sendall(b'{"python": "value = 4711"}\n')
            while self._line().get("value") != 4711:
                pass
        except (OSError, MachineError, ValueError):
            self._hang_up()
            return False
        return True

    def _hang_up(self) -> None:
        if self._talk is not None:
            self._talk.close()
            self._talk = None
        self._buffer = b""

    def _check_runs(self) -> None:
        if self._process is None or self._process.poll() is not None:
            self._process = None
            said = (self.folder / "qemu.log").read_text()[-2000:]
            raise MachineError(f"the virtual machine ended\n{self.tail()}\n{said}")

    def _command(self) -> list[str]:
        common = [
            "-accel", "tcg,thread=multi", "-m", str(self.memory), "-display", "none", "-nodefaults",
            "-chardev", f"file,id=console,path={self.console},append=on", "-serial", "chardev:console",
            # every write that the guest wants on the medium is on it when the guest is told so
            "-drive", f"file={self.disk},format=raw,if=none,id=disk,cache=writethrough,discard=unmap",
            "-device", "virtio-blk-pci,drive=disk,bootindex=1",
            "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile=",
            "-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=agent,path={self._socket},server=on,wait=off",
            "-device", "virtserialport,chardev=agent,name=vidik.test",
        ]  # fmt: skip
        for number, drive in enumerate(self.drives):
            common += ["-drive", f"file={drive},format=raw,if=none,id=extra{number},readonly=on",
                       "-device", f"virtio-blk-pci,drive=extra{number}"]  # fmt: skip
        if self.arch == "amd64":
            # one processor: of two, QEMU now and then leaves the second without its timer (seen once in some 90
            # starts; the kernel says "rcu_preempt kthread timer wakeup didn't happen"), and the start never ends
            machine = ["qemu-system-x86_64", "-M", "q35", "-cpu", "max", "-smp", "1", "-device", "i6300esb"]
        else:
            machine = ["qemu-system-aarch64", "-M", "virt,acpi=off", "-cpu", "cortex-a76", "-smp", "2"]
        if self.uefi:
            machine += self._firmware()
        return [*machine, *common, *(self._credentials() if self.agent else [])]

    def _firmware(self) -> list[str]:
        code, variables = {
            "amd64": ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
            "arm64": ("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
        }[self.arch]
        kept = self.folder / "firmware.vars"
        if not kept.exists():
            shutil.copyfile(variables, kept)
        flash = "if=pflash,format=raw"
        return ["-drive", f"{flash},readonly=on,file={code}", "-drive", f"{flash},file={kept}"]

    def _credentials(self) -> list[str]:
        wanted = " ".join(["probe.service", *self.units])
        texts = {
            "systemd.extra-unit.probe.service": _UNIT.encode(),
            "systemd.unit-dropin.sysinit.target": f"[Unit]\nWants={wanted}\n".encode(),
            "vidik.test.agent": AGENT.read_bytes(),
            **{f"systemd.extra-unit.{name}": text.encode() for name, text in self.units.items()},
            **{f"systemd.unit-dropin.{name}": text.encode() for name, text in self.dropins.items()},
        }
        options = []
        for name, content in texts.items():
            place = self.folder / f"credential-{name}"
            place.write_text(f"io.systemd.credential.binary:{name}={base64.b64encode(content).decode()}")
            options += ["-smbios", f"type=11,path={place}"]
        return options


def space(image: Path, place: Path, size: int) -> Path:
    """A medium of ``size`` bytes with ``image`` on it, sparse."""
    subprocess.run(["cp", "--sparse=always", image, place], check=True)
    os.truncate(place, size)
    return place
