"""The house rules that can be read off the imports: who may know what, measured in real interpreters."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
NETWORK = {"paho", "amqtt", "asyncio", "http", "urllib.request", "websockets"}
CONTENT = {"cbor2", "cwt", "edge.records", "edge.seal", "edge.grant"}
PIXELS = {"cv2", "ai_edge_litert", "numpy", "edge.vision"}


def loaded_by(module):
    code = f"import {module}, sys; print('\\n'.join(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(found.stdout.split())


def test_vision_knows_no_network_library():
    assert loaded_by("edge.vision.__main__") & NETWORK == set()


def test_uplink_knows_neither_pixels_nor_the_content_of_reports():
    assert loaded_by("edge.uplink.__main__") & (PIXELS | CONTENT) == set()


def test_the_camera_link_knows_nothing_of_pictures_reports_or_grants():
    assert loaded_by("edge.link.__main__") & (PIXELS | CONTENT | {"edge.handover", "edge.audit", "edge.card"}) == set()


def test_enrolment_knows_neither_pixels_nor_the_content_of_reports():
    assert loaded_by("edge.enrol.__main__") & (PIXELS | CONTENT | {"paho", "asyncio"}) == set()


def test_a_test_report_goes_no_other_way_than_reports_do():
    assert loaded_by("edge.trial") & (NETWORK | PIXELS) == set()


def test_the_setup_page_knows_neither_camera_nor_models():
    assert loaded_by("edge.setup.__main__") & (PIXELS | {"paho", "edge.uplink", "edge.grant"}) == set()


def test_the_setup_page_s_camera_knows_no_network_library():
    assert loaded_by("edge.vision.aim.__main__") & (NETWORK | {"edge.setup"}) == set()


def test_a_reset_knows_no_network_library():
    assert loaded_by("edge.reset") & NETWORK == set()


def test_a_subscriber_needs_neither_models_nor_camera():
    assert loaded_by("edge.listen.cli") & {"cv2", "ai_edge_litert", "edge.vision", "edge.uplink", "models"} == set()


def test_the_command_line_loads_nothing_heavy():
    assert loaded_by("edge.cli") & {"cv2", "numpy", "paho", "cwt", "ai_edge_litert", "rich", "typer"} == set()


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            yield node.module or ""


def users(folder, library):
    return {
        str(path.relative_to(ROOT))
        for path in (ROOT / folder).rglob("*.py")
        if any(name == library or name.startswith(library + ".") for name in imports(path))
    }


@pytest.mark.parametrize(
    ("library", "home"),
    [
        ("cv2", {"edge/vision/image.py"}),
        ("ai_edge_litert", {"edge/vision/runtime.py"}),
        ("sqlite3", {"edge/uplink/database.py", "edge/uplink/salvage.py"}),
        ("tflite_runtime", {"edge/vision/runtime.py"}),
        ("gpiod", {"edge/vision/gpio.py"}),
        ("zxingcpp", {"edge/vision/aim/barcode.py"}),
        ("gi", {"edge/link/fetch.py"}),
        ("picamera2", {"edge/vision/sources/picamera.py"}),
        ("paho", {"edge/mqtt.py"}),
        ("prometheus_client", {"edge/uplink/metrics.py"}),
        ("psycopg", {"edge/listen/sinks/postgresql.py"}),
        ("pyarrow", {"edge/listen/sinks/parquet.py"}),
        ("cwt", {"edge/seal.py", "edge/grant/signed.py"}),
        ("http", {"edge/enrol/client.py"}),
        ("ifaddr", {"edge/setup/local.py"}),
        ("jinja2", {"edge/setup/render.py"}),
        ("starlette", {"edge/setup/page.py"}),
        ("tomlkit", {"edge/setup/drawing.py"}),
        ("uvicorn", {"edge/setup/serve.py"}),
    ],
)
def test_each_heavy_library_has_one_home(library, home):
    assert users("edge", library) == home


@pytest.mark.parametrize(
    ("library", "home"),
    [
        ("starlette", {"provisioning/office/service.py", "provisioning/office/updates.py"}),
        ("uvicorn", {"provisioning/office/serve.py"}),
        ("sqlite3", {"provisioning/office/inventory.py"}),
    ],
)
def test_the_offices_libraries_have_one_home_too(library, home):
    assert users("provisioning", library) == home


def test_what_runs_on_a_camera_never_reaches_up():
    for room in ("models", "provisioning"):
        assert users("edge", room) == set()


def floor(name):
    """The rooms of ``edge`` by who may import whom: a room may use those of lower floors only."""
    parts = name.split(".")
    if parts[:1] != ["edge"] or len(parts) < 2:
        return None
    floors = {
        "card": 3, "notices": 3, "vision": 3, "uplink": 3, "listen": 3, "enrol": 3, "reset": 3, "trial": 3, "update": 3,
        "setup": 4,
        "grant": 2, "seal": 1, "records": 1, "trial_form": 1, "mqtt": 1,
    }  # fmt: skip
    return floors.get(parts[1], 0)


def test_arrows_point_down():
    values = "edge.vision.values"  # the words everybody in the camera shares
    for path in (ROOT / "edge").rglob("*.py"):
        own = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for name in imports(path):
            if name == values or floor(name) is None or own == "edge.cli":
                continue
            same_room = own.split(".")[1] == name.split(".")[1]
            assert same_room or floor(name) <= floor(own), f"{own} imports {name}"


def test_no_module_is_longer_than_one_reading_holds():
    long = {
        str(path.relative_to(ROOT)): lines
        for folder in ("edge", "models", "provisioning")
        for path in (ROOT / folder).rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 310
    }
    assert long == {}


def test_no_attribute_classifier_anywhere():
    """No model, output or code is about ethnicity, sex, age or emotion."""
    manifest = (ROOT / "models" / "manifest.toml").read_text(encoding="utf-8").lower()
    for word in ("ethnic", "gender", "emotion", "race", '"age'):
        assert word not in manifest
