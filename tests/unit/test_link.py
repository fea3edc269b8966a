"""The camera link's process, around a stand-in for the program that fetches."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from edge import config
from edge.link.__main__ import Link, LinkError, main
from tests.rig import environment, wait_for

# says how it was started, then writes until nobody reads; an address with "/end" ends at once
FETCHER = f"""#!{sys.executable} -S
import os, sys, time
with open(os.environ["FETCHED"], "a") as told:
    print(*sys.argv[1:], file=told)
if "/end" in sys.argv[3]:
    sys.exit(3)
while os.write(int(sys.argv[-1][3:]), b"video"):
    time.sleep(0.02)
"""


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "gst-launch-1.0").write_text(FETCHER)
    (tools / "gst-launch-1.0").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("FETCHED", str(tmp_path / "fetched"))
    return tmp_path / "fetched"


@pytest.fixture
def link(fetched: Path, tmp_path: Path) -> Iterator[Link]:
    made = Link(config.Link(url="rtsp://camera.local/1", socket=tmp_path / "run" / "link"))
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
    assert "rtspsrc location=rtsp://camera.local/1 latency=200 protocols=tcp" in fetched.read_text()


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


def test_the_process_ends_in_order_and_names_what_is_wrong(
    fetched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "camera.toml"
    path.write_text('[link]\nurl = "rtsp://camera.local/1"\nsocket = "run/link"\n')
    process = subprocess.Popen([sys.executable, "-m", "edge.link", "--config", str(path)], env=environment())
    wait_for((tmp_path / "run" / "link").exists)
    with reader(tmp_path) as one:
        assert one.recv(5)
        process.terminate()
        assert process.wait(30) == 0
    path.write_text('[link]\nurl = "http://camera.local/1"\nsocket = "run/link"\n')
    assert main(["--config", str(path)]) == 2
    assert "url" in capsys.readouterr().err


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
    with pytest.raises(LinkError, match="in the way"):
        Link(config.Link(url="rtsp://camera.local/1", socket=tmp_path / "file"))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(LinkError, match=r"apt install gstreamer1\.0-tools"):
        Link(config.Link(url="rtsp://camera.local/1", socket=tmp_path / "run" / "link"))
