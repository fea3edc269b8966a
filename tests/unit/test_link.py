"""The camera link's process, around a stand-in for the program that fetches."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import config
from edge.link import __main__ as link_process
from edge.link.__main__ import Link, LinkError, main
from edge.link.discreet import Discreet
from edge.sockets import SocketError
from tests.cameras import family
from tests.rig import environment, wait_for

PASSWORD = "h%C5%BEunt%2Fer2"  # as in the address; it means hžunt/er2
URL = f"rtsp://warden:{PASSWORD}@camera.local/1"

# says how it was started, then writes until nobody reads; an address with "/end" ends at once
FETCHER = """
import os, sys, time
if sys.argv[1:] == ["--check"]:
    sys.exit(0)
address = sys.stdin.readline().rstrip()
with open(os.environ["FETCHED"], "a") as told:
    print(address, *sys.argv[1:], file=told)
if address.endswith("/end"):
    sys.exit(3)
print("cannot log in at", address, "with hžunt/er2 or h%C5%BEunt%2Fer2", flush=True)
while os.write(int(sys.argv[1]), b"video"):
    time.sleep(0.02)
"""


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "fetcher.py").write_text(FETCHER)
    monkeypatch.setattr(link_process, "_FETCH", [sys.executable, "-S", str(tmp_path / "fetcher.py")])
    monkeypatch.setenv("FETCHED", str(tmp_path / "fetched"))
    return tmp_path / "fetched"


@pytest.fixture
def link(fetched: Path, tmp_path: Path) -> Iterator[Link]:
    made = Link(config.Link(url=URL, socket=tmp_path / "run" / "link"))
    ending = threading.Event()

    def work() -> None:
        while not ending.is_set():
            made.step()

    thread = threading.Thread(target=work)
    thread.start()
    yield made
    ending.set()
    thread.join()
    made.close()
    assert not (tmp_path / "run" / "link").exists()


def reader(folder: Path) -> socket.socket:
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connected.settimeout(30)
    connected.connect(str(folder / "run" / "link"))
    return connected


def starts(fetched: Path) -> int:
    return len(fetched.read_text().splitlines()) if fetched.exists() else 0


def test_nothing_is_fetched_until_somebody_reads(link: Link, fetched: Path, tmp_path: Path) -> None:
    assert starts(fetched) == 0
    with reader(tmp_path) as one:
        assert one.recv(5) == b"video"
    address, handle, latency = fetched.read_text().split()
    assert (address, latency) == (URL, "200")
    assert int(handle) > 2


def test_only_its_own_user_and_group_get_at_the_socket(link: Link, tmp_path: Path) -> None:
    assert (tmp_path / "run" / "link").stat().st_mode & 0o777 == 0o660


def test_pictures_cannot_flow_back(link: Link, tmp_path: Path) -> None:
    with reader(tmp_path) as one:
        assert one.recv(5)

        def write() -> None:
            for _ in range(1000):
                one.send(b"pixels")

        with pytest.raises(BrokenPipeError):
            write()


def test_a_new_reader_takes_the_place_of_the_one_before(link: Link, fetched: Path, tmp_path: Path) -> None:
    with reader(tmp_path) as one, suppress(ConnectionResetError):
        assert one.recv(5)
        with reader(tmp_path) as other:
            assert other.recv(5)
            while one.recv(1 << 16):
                pass
            assert other.recv(5)
    assert starts(fetched) == 2


def test_a_reader_that_leaves_ends_the_fetching(link: Link, tmp_path: Path) -> None:
    with reader(tmp_path) as one:
        assert one.recv(5)
    wait_for(lambda: link._fetching is None)


def test_a_camera_that_does_not_answer_shows_as_an_end(fetched: Path, tmp_path: Path) -> None:
    made = Link(config.Link(url="rtsp://camera.local/end", socket=tmp_path / "run" / "link"))
    with reader(tmp_path) as one:
        for _ in range(100):
            made.step()
            if starts(fetched) and made._fetching is None:
                break
        assert one.recv(5) == b""
    made.close()


@pytest.fixture
def running(fetched: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The process, with the stand-in."""
    path = tmp_path / "camera.toml"
    path.write_text(f'[link]\nurl = "{URL}"\nsocket = "run/link"\n')
    code = f"import edge.link.__main__ as link, sys; link._FETCH = {link_process._FETCH}; sys.exit(link.main())"
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", code, "--config", str(path)], env=environment(), stdout=log, stderr=log
        )
    wait_for((tmp_path / "run" / "link").exists)
    yield process
    process.kill()
    process.wait()


def test_the_password_is_seen_neither_in_processes_nor_in_the_log(
    running: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    with reader(tmp_path) as one:
        assert one.recv(5) == b"video"
        wait_for(lambda: b"cannot log in" in (tmp_path / "log").read_bytes())
        numbers = family(running.pid)
        assert len(numbers) == 2
        for number in numbers:
            for file in ("cmdline", "environ"):
                shown = Path(f"/proc/{number}/{file}").read_bytes()
                assert shown
                assert not any(word in shown for word in (b"C5%BE", b"warden", "hžunt".encode()))
    logged = (tmp_path / "log").read_text()
    assert "cannot log in at rtsp://***@camera.local/1 with *** or ***" in logged
    assert not any(word in logged for word in ("C5%BE", "warden", "hžunt"))


def test_the_process_ends_in_order_and_names_what_is_wrong(
    running: subprocess.Popen[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with reader(tmp_path) as one:
        assert one.recv(5)
        running.terminate()
        assert running.wait(30) == 0
    (tmp_path / "camera.toml").write_text('[link]\nurl = "http://camera.local/1"\nsocket = "run/link"\n')
    assert main(["--config", str(tmp_path / "camera.toml")]) == 2
    assert "url" in capsys.readouterr().err


def test_what_fetches_ends_with_the_link(running: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """Though nobody tells it: its standard input ends."""
    with reader(tmp_path) as one:
        assert one.recv(5)
        (child,) = family(running.pid) - {running.pid}
        running.kill()
        running.wait()
    wait_for(lambda: not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text())


def test_the_service_manager_hears_that_it_works(
    fetched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "camera.toml"
    path.write_text(f'[link]\nurl = "{URL}"\nsocket = "run/link"\n')
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        code = f"import edge.link.__main__ as link, sys; link._FETCH = {link_process._FETCH}; sys.exit(link.main())"
        process = subprocess.Popen([sys.executable, "-c", code, "--config", str(path)], env=environment())
        try:
            assert manager.recv(999) == b"READY=1"
            assert manager.recv(999) == b"WATCHDOG=1\nSTATUS=waiting for the vision process"
            with reader(tmp_path) as one:
                assert one.recv(5)
                wait_for(lambda: manager.recv(999) == b"WATCHDOG=1\nSTATUS=fetching")
        finally:
            process.terminate()
            assert process.wait(30) == 0


@pytest.mark.parametrize("url", ["rtsp://x/ ! filesink location=/tmp/x", "file:///etc/passwd", "rtsp://a'b", "rtsp://"])
def test_an_address_that_is_more_than_an_address_is_refused(url: str, tmp_path: Path) -> None:
    path = tmp_path / "camera.toml"
    path.write_text(f'[link]\nurl = "{url}"\nsocket = "run/link"\n')
    with pytest.raises(config.ConfigError, match="url"):
        config.load(path, config.Link)


def test_without_gstreamer_or_with_a_file_in_the_way_it_says_so(
    fetched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(SocketError, match="in the way"):
        Link(config.Link(url="rtsp://camera.local/1", socket=tmp_path / "file"))
    for missing in (["/nowhere/python3"], [sys.executable, "-c", "import gi_is_missing"]):
        monkeypatch.setattr(link_process, "_FETCH", missing)
        with pytest.raises(LinkError, match="python3-gi"):
            Link(config.Link(url="rtsp://camera.local/1", socket=tmp_path / "run" / "link"))


@given(st.text(min_size=1), st.text(min_size=1))
def test_no_user_and_no_password_is_written_down_in_any_form(user: str, password: str) -> None:
    who = quote(user, safe=""), quote(password, safe="")
    hide = Discreet(f"rtsp://{who[0]}:{who[1]}@camera.local/1")
    for word in (user, password, *who, ":".join(who)):
        assert word not in hide(f"<{word}>").replace("***", "") or word in "<>"


def test_a_slash_in_a_password_hides_more_rather_than_less() -> None:
    hide = Discreet("rtsp://warden:hunt/er2@camera.local/1")
    assert hide("not with hunt/er2 at warden:hunt/er2@camera.local") == "not with *** at ***@camera.local"


def test_lines_without_a_password_stay_and_are_bounded() -> None:
    assert Discreet("rtsp://camera.local/1")("Not found: rtsp://camera.local/1") == "Not found: rtsp://camera.local/1"
    assert len(Discreet("rtsp://camera.local/1")("x" * 9999)) == 300
