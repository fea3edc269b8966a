"""Files the lab opens, and what it refuses to open."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lab_fakes import picture

from models.lab import media, view
from models.lab.media import MediaError


def test_a_device_is_refused_by_whatever_name(tmp_path: Path) -> None:
    link = tmp_path / "harmless.png"
    link.symlink_to("/dev/null")
    for path in (Path("/dev/video0"), Path("/dev/null"), link):
        with pytest.raises(MediaError, match="never leave the vision process"):
            media.refuse_device(path)
        with pytest.raises(MediaError, match="never leave the vision process"):
            media.find_images([path])
        with pytest.raises(MediaError, match="never leave the vision process"):
            view.view(path, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_folders_are_searched_and_files_taken_as_named(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    inside = [picture(tmp_path / "deep" / "b.JPG"), picture(tmp_path / "z.png")]
    (tmp_path / "notes.txt").touch()
    named = tmp_path / "notes.txt"
    assert media.find_images([named, tmp_path]) == [named, *inside]


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="No picture"):
        media.find_images([tmp_path])


def test_a_sheet_has_room_for_every_picture() -> None:
    cells = [
        np.full((10, 20, 3), 200, np.uint8),
        np.full((30, 20, 3), 100, np.uint8),
        np.full((10, 40, 3), 50, np.uint8),
    ]
    sheet = media.contact_sheet(cells, columns=2, width=20)
    assert sheet.shape == (30 + 4 + 5 + 4, 2 * 24, 3)
    assert [int(sheet[y, x, 0]) for y, x in ((0, 0), (29, 24), (34, 0))] == [200, 100, 50]


def test_a_video_needs_a_known_ending(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"\.mp4 or \.avi"):
        media.VideoOut(tmp_path / "out.gif", 64, 48, 25)


def test_a_written_video_can_be_read_again(tmp_path: Path) -> None:
    from edge.vision.sources import open_source

    with media.VideoOut(tmp_path / "out.avi", 64, 48, 20) as out:
        for level in (0, 120, 240):
            out.add(np.full((48, 64, 3), level, np.uint8))
    with open_source(str(tmp_path / "out.avi")) as footage:
        frames = list(footage)
    assert [round(float(f.pixels.mean()) / 120) for f in frames] == [0, 1, 2]
    assert frames[1].monotonic - frames[0].monotonic == pytest.approx(0.05, abs=0.01)
