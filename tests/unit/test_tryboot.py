"""RAUC's boot selection on a Raspberry Pi, on a boot partition and a device tree made of files; with the real RAUC too.

Not shown here: FAT itself, and the firmware. Both await a Raspberry Pi.
"""

import importlib.machinery
import importlib.util
import itertools
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPO = Path(__file__).parent.parent.parent
LAYERS = REPO / "image-build" / "raspberry-pi" / "layer"
PROGRAM = LAYERS / "vidik-rauc.d" / "customize.overlay" / "usr" / "lib" / "rauc" / "vidik-tryboot"
SYSTEM_CONF = LAYERS / "vidik-rauc.d" / "customize.overlay" / "etc" / "rauc" / "system.conf"


def loaded():
    loader = importlib.machinery.SourceFileLoader("vidik_tryboot", str(PROGRAM))
    spec = importlib.util.spec_from_loader("vidik_tryboot", loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["vidik_tryboot"] = module
    # no bytecode beside the program: it would go into the image
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = written
    return module


tryboot = loaded()


def autoboot(slot):
    a, b = (2, 3) if slot == "A" else (3, 2)
    return f"[all]\ntryboot_a_b=1\nboot_partition={a}\n[tryboot]\nboot_partition={b}\n"


class Pi:
    """A Raspberry Pi as far as this matters: the firmware's choice of a partition, orderly reboots and power cuts."""

    def __init__(self, folder):
        self.places = tryboot.Places(folder / "bootfs", folder / "chosen", folder / "systemd")
        for place in (self.places.boot, self.places.firmware, self.places.systemd):
            place.mkdir()
        (self.places.boot / "autoboot.txt").write_text(autoboot("A"), encoding="ascii")
        self.power_cut()

    def _start(self, section):
        """The firmware: the section's partition, of those in autoboot.txt."""
        text = (self.places.boot / "autoboot.txt").read_text(encoding="ascii")
        assert len(text) <= 512, "the firmware reads no more"
        assert "tryboot_a_b=1" in text
        partition = int(text.partition(f"[{section}]")[2].partition("boot_partition=")[2].splitlines()[0])
        (self.places.firmware / "partition").write_bytes(partition.to_bytes(4, "big"))
        self.running = {2: "A", 3: "B"}[partition]

    def power_cut(self):
        """Or a crash, or the watchdog: what was in memory is gone, the trial's flag included."""
        (self.places.systemd / "reboot-param").unlink(missing_ok=True)
        self._start("all")

    def reboot(self):
        """An orderly one, with the argument left for systemd."""
        parameter = self.places.systemd / "reboot-param"
        tried = parameter.exists() and parameter.read_text(encoding="utf-8") == "0 tryboot"
        parameter.unlink(missing_ok=True)
        self._start("tryboot" if tried else "all")

    def __call__(self, *arguments):
        assert tryboot.main(list(arguments), self.places) == 0


@pytest.fixture
def pi(tmp_path):
    return Pi(tmp_path)


def said(pi, capsys, *arguments):
    capsys.readouterr()
    pi(*arguments)
    return capsys.readouterr().out.strip()


def install(pi, slot):
    """What RAUC calls around the writing of a slot."""
    pi("set-state", slot, "bad")
    pi("set-primary", slot)


def test_a_new_card_runs_the_first_slot(pi, capsys):
    assert said(pi, capsys, "get-current") == "A"
    assert said(pi, capsys, "get-primary") == "A"
    assert [said(pi, capsys, "get-state", slot) for slot in "AB"] == ["good", "good"]


def test_an_update_is_tried_and_committed_once_it_is_good(pi, capsys):
    install(pi, "B")
    assert said(pi, capsys, "get-primary") == "B"
    pi.reboot()
    assert (pi.running, said(pi, capsys, "get-current"), said(pi, capsys, "get-primary")) == ("B", "B", "A")
    pi("set-state", "B", "good")
    assert said(pi, capsys, "get-primary") == "B"
    pi.power_cut()
    assert pi.running == "B"


def test_ten_updates_from_slot_to_slot(pi):
    for slot in itertools.islice(itertools.cycle("BA"), 10):
        install(pi, slot)
        pi.reboot()
        pi("set-state", slot, "good")
        pi.power_cut()
        assert pi.running == slot


def end_of_trial(pi, how):
    if how == "marked bad":
        pi("set-state", "B", "bad")
    pi.reboot() if how != "power cut or watchdog" else pi.power_cut()


@pytest.mark.parametrize("how", ["power cut or watchdog", "rebooted without being marked good", "marked bad"])
def test_a_system_that_is_not_good_is_left_again(pi, how):
    install(pi, "B")
    pi.reboot()
    assert pi.running == "B"
    end_of_trial(pi, how)
    assert pi.running == "A"
    for _ in range(3):
        pi.reboot()
        assert pi.running == "A"


def test_power_is_cut_before_the_trial(pi, capsys):
    install(pi, "B")
    pi.power_cut()
    assert (pi.running, said(pi, capsys, "get-primary")) == ("A", "A")


def test_a_second_installation_calls_the_trial_of_the_first_off_while_it_writes(pi):
    install(pi, "B")
    pi("set-state", "B", "bad")
    pi.reboot()
    assert pi.running == "A", "half of the second bundle was about to be started"


def test_installing_over_the_committed_slot_during_a_trial_leaves_no_way_into_what_is_half_written(pi):
    install(pi, "B")
    pi.reboot()
    pi("set-state", "A", "bad")
    for event in (pi.reboot, pi.power_cut):
        event()
        assert pi.running == "B"


def test_a_bad_slot_is_said_to_be_and_the_last_good_one_is_never_given_up(pi, capsys):
    pi("set-state", "B", "bad")
    assert said(pi, capsys, "get-state", "B") == "bad"
    pi("set-state", "A", "bad")
    pi.power_cut()
    assert pi.running == "A"
    pi("set-state", "B", "good")
    assert said(pi, capsys, "get-state", "B") == "good"
    pi("set-state", "A", "bad")
    pi.power_cut()
    assert pi.running == "B"


def test_going_back_to_the_committed_slot_needs_no_trial(pi, capsys):
    install(pi, "B")
    pi("set-primary", "A")
    assert said(pi, capsys, "get-primary") == "A"
    pi.reboot()
    assert pi.running == "A"


class PowerCut(BaseException):
    pass


@pytest.fixture
def cut_at(monkeypatch):
    """Cut the power before the given one of all calls that reach the file system."""

    def arm(step):
        calls = itertools.count()

        def guarded(function):
            def call(*arguments, **named):
                if next(calls) == step:
                    raise PowerCut
                return function(*arguments, **named)
            return call

        for owner, names in ((os, ("fsync", "open")), (Path, ("open", "replace", "touch", "unlink", "write_text"))):
            for name in names:
                monkeypatch.setattr(owner, name, guarded(getattr(owner, name)))

    return arm


@pytest.mark.parametrize("step", range(12))
@pytest.mark.parametrize("calls", [
    [("set-primary", "B")], [("set-state", "B", "bad"), ("set-primary", "B")], [("set-state", "B", "good")],
    [("set-state", "A", "bad")],
])
def test_power_cut_at_any_step_leaves_a_whole_autoboot_file(tmp_path, monkeypatch, cut_at, calls, step):
    """Until it is renamed over, the file that is read is the old one, byte for byte."""
    pi = Pi(tmp_path)
    install(pi, "B")
    pi.reboot()  # B runs and is not committed: every call above has something to do
    with monkeypatch.context() as patched:
        cut_at(step)
        try:
            for call in calls:
                pi(*call)
        except PowerCut:
            pass
        patched.undo()
    monkeypatch.undo()
    assert (pi.places.boot / "autoboot.txt").read_text(encoding="ascii") in {autoboot("A"), autoboot("B")}
    pi.power_cut()
    pi("set-state", pi.running, "good")
    pi("get-primary")


def test_the_new_content_is_on_the_medium_before_the_name_points_to_it(pi, monkeypatch):
    order = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: order.append("fsync") or fsync(handle))
    monkeypatch.setattr(Path, "replace", lambda old, new: order.append("rename") or replace(old, new))
    tryboot.commit(pi.places, "B")
    assert order[:2] == ["fsync", "rename"]
    assert order[2:] == ["fsync", "fsync"], "the file's entry, then the folder"
    order.clear()
    tryboot.commit(pi.places, "B")
    assert order == [], "what is there already is not written again"
    assert all(len(Path(name).stem) <= 8 for name in ("autoboot.new", "autoboot.txt", "bad_a")), "short names on FAT"


@pytest.mark.parametrize(("text", "cause"), [
    ("[all]\nboot_partition=7\n", "partition 7"),
    ("[tryboot]\nboot_partition=3\n", "names no"),
    ("[all]\nboot_partition=x\n", "'x'"),
    (None, "autoboot.txt"),
])
def test_nonsense_is_refused_with_its_cause(pi, text, cause):
    path = pi.places.boot / "autoboot.txt"
    if text is None:
        path.unlink()
    else:
        path.write_text(text, encoding="ascii")
    with pytest.raises((tryboot.Unusable, OSError, ValueError), match=cause):
        tryboot.main(["get-primary"], pi.places)


@pytest.mark.parametrize("arguments", [[], ["get-state"], ["get-state", "C"], ["set-state", "A", "fine"], ["format"]])
def test_a_call_that_is_none_of_raucs_is_refused(pi, arguments, capsys):
    assert tryboot.main(arguments, pi.places) == 2
    assert "not a call" in capsys.readouterr().err


def test_as_a_program_it_says_what_is_wrong_in_one_line():
    done = subprocess.run([sys.executable, "-I", PROGRAM, "get-current"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("vidik-tryboot: ")
    assert "Traceback" not in done.stderr


BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={socket}</listen>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy></busconfig>
"""


@pytest.fixture
def rauc(pi, tmp_path):
    """The real RAUC on a bus of its own, with the image's system.conf, its paths led to the pretended Raspberry Pi."""
    if not (shutil.which("rauc") and shutil.which("dbus-daemon")):
        pytest.skip("needs rauc and dbus-daemon: apt-get install rauc dbus-daemon")
    backend = tmp_path / "backend"
    backend.write_text(
        f"#!{sys.executable} -B\nimport sys\nfrom importlib.machinery import SourceFileLoader\n"
        f"from pathlib import Path\nt = SourceFileLoader('vidik_tryboot', {str(PROGRAM)!r}).load_module()\n"
        f"F = Path({str(tmp_path)!r})\n"
        "sys.exit(t.main(sys.argv[1:], t.Places(F / 'bootfs', F / 'chosen', F / 'systemd')))\n",
        encoding="utf-8",
    )
    backend.chmod(0o755)
    conf = SYSTEM_CONF.read_text(encoding="utf-8").replace("@BOARD@", "vidik-rpi5")
    conf = conf.replace("/usr/lib/rauc/vidik-tryboot", str(backend))
    for place in ("/data/system/rauc", "/etc/rauc/keyring.pem", "/run/rauc"):
        conf = conf.replace(place, f"{tmp_path}/{Path(place).name}")
    for name in ("boot_a", "boot_b", "system_a", "system_b"):
        (tmp_path / name).write_bytes(bytes(4096))
    conf = conf.replace("/dev/disk/by-partlabel/", f"{tmp_path}/")
    # what Debian 12's RAUC, where this may run, does not know yet
    if " 1.8" in subprocess.run(["rauc", "--version"], capture_output=True, text=True, check=True).stdout:
        conf = "\n".join(line for line in conf.splitlines() if not line.startswith("data-directory"))
    (tmp_path / "system.conf").write_text(conf, encoding="utf-8")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-keyout", os.devnull, "-subj", "/CN=test", "-out", tmp_path / "keyring.pem"], check=True, capture_output=True,
    )
    socket = Path("/tmp") / f"vidik-bus-{os.getpid()}"
    (tmp_path / "bus.conf").write_text(BUS.format(socket=socket), encoding="utf-8")
    environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={socket}"}
    bus = subprocess.Popen(["dbus-daemon", f"--config-file={tmp_path / 'bus.conf'}", "--nofork"], env=environment)
    service = None

    def call(*arguments):
        done = subprocess.run(
            ["rauc", *arguments], env=environment, capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def started():
        nonlocal service
        if service:
            service.terminate()
            service.wait(10)
        slot = pi.running
        with (tmp_path / "rauc.log").open("ab") as log:
            service = subprocess.Popen(
                ["rauc", f"--conf={tmp_path / 'system.conf'}", f"--override-boot-slot={slot}", "service"],
                env=environment, stdout=log, stderr=log,
            )
        for _ in range(100):
            if subprocess.run(["rauc", "status"], env=environment, capture_output=True, check=False).returncode == 0:
                return
            assert service.poll() is None, (tmp_path / "rauc.log").read_text()
            time.sleep(0.1)
        raise AssertionError((tmp_path / "rauc.log").read_text())

    started()
    call.started = started
    yield call
    service.terminate()
    service.wait(10)
    bus.terminate()
    bus.wait(10)
    socket.unlink(missing_ok=True)


def test_the_real_rauc_reads_the_images_configuration_and_moves_by_it(pi, rauc):
    status = rauc("status", "--output-format=shell")
    assert "RAUC_SYSTEM_COMPATIBLE='vidik-rpi5'" in status
    assert "RAUC_BOOT_PRIMARY='rootfs.0'" in status
    rauc("status", "mark-active", "other")
    assert "RAUC_BOOT_PRIMARY='rootfs.1'" in rauc("status", "--output-format=shell")
    pi.reboot()
    assert pi.running == "B"
    rauc.started()
    rauc("status", "mark-good", "booted")
    pi.power_cut()
    assert pi.running == "B"
    rauc("status", "mark-bad", "other")
    assert "bad" in rauc("status", "--output-format=shell")
    assert (pi.places.boot / "bad_a").exists()
