"""The layers for rpi-image-gen: their form as its documentation has it, what they pull in, and what their hooks do.

rpi-image-gen itself, and Raspberry Pi's archive, are not to be had where this runs: building the image awaits both.
"""

import configparser
import os
import re
import shutil
import subprocess
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import yaml

from edge.update import image

REPO = Path(__file__).parent.parent.parent
PI = REPO / "image-build" / "raspberry-pi"
LAYERS = sorted((PI / "layer").glob("*.yaml"))
CONFIGS = sorted((PI / "config").glob("vidik-rpi*.yaml"))
OVERLAY = PI / "layer" / "vidik-rauc.d" / "customize.overlay"

# What rpi-image-gen's layer reference says of the layers that ours build on: the layers each requires.
THEIRS = {
    "artefact-base": [], "sys-build-base": [], "sbom-base": [], "target-config": [], "deploy-base": [],
    "locale-base": [], "rpi-debian-trixie": [], "linux-base": [], "rpi-boot-bsp": [], "rpi-idp": [],
    "debian-trixie-arm64": ["locale-base"], "systemd-min": [], "systemd-net-min": ["systemd-min"],
    "systemd-timesyncd": ["systemd-min"], "device-base": [], "rpi-storage-binder": [],
    "rpi-ab-slot-mapper": ["rpi-storage-binder"], "rpi-boot-firmware": ["rpi-boot-bsp", "linux-base"],
    "image-base": ["sys-build-base", "sbom-base", "target-config", "artefact-base", "deploy-base"],
    "image-rota": ["image-base", "device-base", "rpi-ab-slot-mapper", "systemd-min"],
    "rpi-linux-2712": ["linux-base"], "rpi-linux-v8": ["linux-base"],
    "rpi-device-base": ["device-base", "rpi-boot-firmware", "rpi-idp"],
    "rpi5": ["rpi-device-base", "rpi-linux-2712"], "rpi4": ["rpi-generic64"],
    "rpi-generic64": ["rpi-device-base", "rpi-linux-v8"],
}  # fmt: skip
FIELDS = {"Name", "Desc", "Description", "Category", "Version", "Requires", "Provides", "RequiresProvider",
          "AfterProvider", "Conflicts", "Type", "Generator", "Sets"}  # fmt: skip
ATTRIBUTES = {"Desc", "Description", "Required", "Valid", "Set", "Triggers", "Conflicts", "Anchor"}
POLICIES = {"y", "n", "immediate", "lazy", "force", "skip"}
MMDEBSTRAP = {"packages", "customize-hooks", "setup-hooks", "essential-hooks", "extract-hooks", "cleanup-hooks"}


def metadata(path):
    """The fields between the markers, in their order. Fails where a continued line is not indented by one space."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# METABEGIN"
    fields, name = {}, ""
    for line in lines[1 : lines.index("# METAEND")]:
        assert line.startswith("#"), line
        text = line[2:]
        if text.startswith(" "):
            fields[name] += " " + text.strip()
        elif text:
            name, colon, value = text.partition(":")
            assert colon, f"neither a field nor continued: {line}"
            assert re.fullmatch(r"X-Env-[A-Za-z0-9_-]+", name), name
            assert name not in fields, f"{name} is there twice"
            fields[name] = value.strip()
    return fields


def named(fields, field):
    return [part.strip() for part in fields.get(f"X-Env-Layer-{field}", "").split(",") if part.strip()]


OURS = {metadata(path)["X-Env-Layer-Name"]: path for path in LAYERS}


def requires(name):
    return named(metadata(OURS[name]), "Requires") if name in OURS else THEIRS[name]


def closure(*names):
    graph, left = {}, list(names)
    while left:
        name = left.pop()
        if name not in graph:
            graph[name] = requires(name)
            left.extend(graph[name])
    return list(TopologicalSorter(graph).static_order())


def variables(fields):
    return {name.removeprefix("X-Env-Var-") for name in fields
            if name.startswith("X-Env-Var-") and "-" not in name.removeprefix("X-Env-Var-")}


@pytest.mark.parametrize("path", LAYERS, ids=lambda path: path.stem)
def test_metadata_is_as_the_documentation_has_it(path):
    fields = metadata(path)
    assert fields["X-Env-Layer-Name"] == path.stem
    assert re.fullmatch(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", fields["X-Env-Layer-Version"])
    assert fields["X-Env-Layer-Desc"]
    declared = variables(fields)
    assert not declared or fields["X-Env-VarPrefix"]
    for name, value in fields.items():
        if name.startswith("X-Env-Layer-"):
            assert name.removeprefix("X-Env-Layer-") in FIELDS, name
        elif name.startswith("X-Env-Var-") and "-" in (rest := name.removeprefix("X-Env-Var-")):
            variable, _, attribute = rest.partition("-")
            assert variable in declared, f"{name} belongs to no variable"
            assert attribute in ATTRIBUTES, name
            assert attribute != "Set" or value in POLICIES
        elif not name.startswith("X-Env-Var-"):
            assert name in {"X-Env-VarPrefix", "X-Env-VarRequires", "X-Env-VarRequires-Valid"}, name
    for variable in declared:
        assert {f"X-Env-Var-{variable}-{each}" for each in ("Desc", "Required", "Valid", "Set")} <= fields.keys()
        rule, value = fields[f"X-Env-Var-{variable}-Valid"], fields[f"X-Env-Var-{variable}"]
        if rule.startswith("regex:"):
            re.compile(rule.removeprefix("regex:"))
        elif rule not in {"string", "string-or-empty"}:
            assert value in rule.split(","), f"the default of {variable} is not valid"
    needed = [part.strip() for part in fields.get("X-Env-VarRequires", "").split(",") if part.strip()]
    assert len(needed) == len([part for part in fields.get("X-Env-VarRequires-Valid", "").split(",") if part])


@pytest.mark.parametrize("path", LAYERS, ids=lambda path: path.stem)
def test_the_body_is_a_stanza_for_mmdebstrap(path):
    body = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(body) == {"mmdebstrap"}
    assert set(body["mmdebstrap"]) <= MMDEBSTRAP
    for package in body["mmdebstrap"].get("packages", []):
        assert re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", package)
    known = {f"IGconf_{metadata(each)['X-Env-VarPrefix']}_{variable}" for each in LAYERS
             for variable in variables(metadata(each))}
    for hook in body["mmdebstrap"].get("customize-hooks", []):
        assert subprocess.run(["sh", "-n"], input=hook, text=True, check=False).returncode == 0, hook
        assert "\n" not in hook or hook.startswith("set -eu\n"), "a failed step would pass unseen"
        required = metadata(path).get("X-Env-VarRequires", "").split(",")
        for variable in re.findall(r"IGconf_\w+", hook):
            assert variable in known or variable in required, f"{variable} is declared nowhere"


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_everything_that_is_required_is_there_and_nothing_that_excludes_it(config):
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    common = yaml.safe_load((PI / "config" / settings["include"]["file"]).read_text(encoding="utf-8"))
    layers = closure(settings["device"]["layer"], common["image"]["layer"], *common["layer"].values())
    assert set(OURS) <= set(layers), "a layer of ours is used by nobody"
    assert max(OURS, key=layers.index) == "vidik-image", "it must see what all others did"
    excluded = {name for layer in layers if layer in OURS for name in named(metadata(OURS[layer]), "Conflicts")}
    assert excluded & set(layers) == set()
    assert {"openssh-server", "device-user-credentials", "device-user-admin"} <= excluded


def test_the_kernel_is_told_to_hold_the_units_to_their_limits_on_memory():
    """The firmware switches the memory controller off. A fragment is one line of arguments for the layer it is for."""
    (fragment,) = PI.glob("layer/*.d/for/linux-base/cmdline.d/*")
    assert fragment.read_text(encoding="utf-8") == "cgroup_enable=memory\n"
    assert fragment.parents[3].name.removesuffix(".d") in OURS
    vision = (REPO / "image-build/units/system/vidik-vision.service").read_text(encoding="utf-8")
    assert re.search(r"^MemoryMax=\d", vision, re.MULTILINE)


def test_one_shared_path_covers_all_that_an_update_must_not_reset():
    """One, since an rpi-image-gen of 2026 makes the mount of the last path of a file only."""
    lines = (OVERLAY / "etc/rpi-image-gen/slot-shared.d/vidik.conf").read_text(encoding="utf-8").splitlines()
    pairs = [line.partition("=")[::2] for line in lines if line and not line.startswith("#")]
    assert pairs == [("Version", "1"), ("Path", "/data")]
    units = REPO / "image-build" / "units" / "tmpfiles.d" / "vidik.conf"
    places = re.findall(r"^[a-zA-Z]\S*\s+(/data/camera/\S+)", units.read_text(encoding="utf-8"), re.MULTILINE)
    for kept in ("identity", "grants", "state", "spool", "events", "update"):
        assert f"/data/camera/{kept}" in places
    conf = (OVERLAY / "etc/rauc/system.conf").read_text(encoding="utf-8")
    assert re.search(r"^data-directory=/data/", conf, re.MULTILINE)
    assert not (OVERLAY / "data").exists(), "it would be copied over a camera's files at every start"


def test_slots_are_those_of_the_layout_and_of_the_generic_images_bundles():
    conf = (OVERLAY / "etc/rauc/system.conf").read_text(encoding="utf-8")
    assert re.findall(r"by-partlabel/(\w+)", conf) == ["system_a", "boot_a", "system_b", "boot_b"]
    generic = REPO / "image-build/generic/files/etc/rauc/system.conf.in"

    def shape(text):
        lines = r"^(\[slot\.\w+\.\d\]|type=\w+|bootname=\w+|parent=[\w.]+|bundle-formats=\S+)"
        return re.findall(lines, text, re.MULTILINE)

    assert shape(conf) == shape(generic.read_text(encoding="utf-8"))


def test_the_data_partition_grows_to_the_card_and_no_other_does(tmp_path):
    """The real systemd-repart on the layout's partitions, in a file."""
    if not (shutil.which("systemd-repart") and shutil.which("sfdisk")):
        pytest.skip("needs systemd-repart and sfdisk")
    card = tmp_path / "card.img"
    with card.open("wb") as file:
        file.truncate(2 << 30)
    fat, linux = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", "L"
    table = "label: gpt\n" + "".join(
        f"size={size}M, type={kind}, name={name}\n" for name, size, kind in (
            ("bootconfig", 32, fat), ("boot_a", 64, fat), ("boot_b", 64, fat),
            ("system_a", 256, linux), ("system_b", 256, linux), ("persistent", 256, linux),
        )
    )
    subprocess.run(["sfdisk", "-q", card], input=table, text=True, check=True, capture_output=True)

    def sizes():
        dump = subprocess.run(["sfdisk", "-d", card], capture_output=True, text=True, check=True).stdout
        return {name: (int(start), int(size) // 2048) for start, size, name in
                re.findall(r'start= *(\d+), size= *(\d+),.*name="(\w+)"', dump)}

    before = sizes()
    subprocess.run(
        ["systemd-repart", f"--definitions={OVERLAY / 'usr/lib/repart.d'}", "--dry-run=no", card],
        check=True, capture_output=True,
    )
    after = sizes()
    assert {name: place for name, place in after.items() if name != "persistent"} == {
        name: place for name, place in before.items() if name != "persistent"}
    assert after["persistent"][0] == before["persistent"][0]
    assert after["persistent"][1] > 1300


def run_hooks(layer, root, **given):
    """A layer's hooks as mmdebstrap runs them: by sh, the root as first argument. Those in a chroot are left out."""
    hooks = yaml.safe_load(OURS[layer].read_text(encoding="utf-8"))["mmdebstrap"]["customize-hooks"]
    done = None
    for hook in hooks:
        if "chroot " not in hook:
            done = subprocess.run(["sh", "-c", hook, "exec", root], env={**os.environ, **given}, capture_output=True,
                                  text=True, check=False)
            if done.returncode:
                break
    return done


@pytest.fixture
def root(tmp_path):
    """A root after the layer vidik-rauc: its files, and what the layers before it left."""
    root = tmp_path / "root"
    shutil.copytree(OVERLAY, root)
    for folder in ("etc/systemd/system", "usr/lib/vidik", "etc/ssl"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    shutil.copytree(REPO / "image-build/units/dbus-1", root / "etc/dbus-1")
    (root / "etc/shadow").write_text("root:!*:20000::::::\ndaemon:*:20000::::::\n", encoding="utf-8")
    (root / "usr/lib/os-release").write_text("ID=debian\n", encoding="utf-8")
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n", encoding="utf-8")
    done = run_hooks("vidik-rauc", root, IGconf_vidik_keyring=str(tmp_path / "ca.pem"), IGconf_device_class="pi5")
    assert done.returncode == 0, done.stderr
    return root


def finish(root, **given):
    bill = root.parent / "sbom"
    bill.write_text('#!/bin/sh\necho "$2" > "$3"\n', encoding="utf-8")
    bill.chmod(0o755)
    return run_hooks("vidik-image", root, **{
        "IGconf_device_class": "pi5", "IGconf_vidik_version": "2026.11.1", "IGconf_vidik_floor": "2026.9",
        "IGconf_vidik_channel": "release", "IGconf_vidik_sbom": str(bill), "IGconf_sys_workroot": str(root.parent),
        "IGconf_image_name": "vidik-rpi5", **given,
    })


def test_the_finished_root_says_what_it_is(root):
    done = finish(root)
    assert done.returncode == 0, done.stderr
    assert "compatible=vidik-rpi5\n" in (root / "etc/rauc/system.conf").read_text(encoding="utf-8")
    assert (root.parent / "vidik-rpi5.sbom.json").read_text(encoding="utf-8") == "arm64\n"
    assert (root / "usr/lib/vidik/image.toml").read_text(encoding="utf-8") == (
        'version = "2026.11.1"\nboard = "vidik-rpi5"\nchannel = "release"\nfloor = "2026.9"\n')
    assert image.load(root.parent / "vidik-rpi5.image.toml").board == "vidik-rpi5"
    manifest = configparser.ConfigParser()
    manifest.read(root.parent / "vidik-rpi5.bundle/manifest.raucm")
    assert dict(manifest["update"]) == {"compatible": "vidik-rpi5", "version": "2026.11.1"}
    conf = (root / "etc/rauc/system.conf").read_text(encoding="utf-8")
    slots = set(re.findall(r"^\[slot\.(\w+)\.", conf, re.MULTILINE))
    assert {name.removeprefix("image.") for name in manifest.sections() if name.startswith("image.")} == slots


def shadow(line):
    return lambda root: (root / "etc/shadow").write_text(line, encoding="utf-8")


def put(name, text=""):
    def spoil(root):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).unlink(missing_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return spoil


@pytest.mark.parametrize(("spoil", "cause"), [
    (put("data/camera/camera.toml"), "is not empty"),
    (put("usr/sbin/sshd"), "SSH"),
    (shadow("root:!*:1::::::\npi:$6$abc:1::::::\n"), "has a password"),
    (shadow("root::1::::::\n"), "needs no password"),
    (put("etc/rauc/system.conf", "compatible=@BOARD@\n"), "names no board"),
    (put("etc/rauc/keyring.pem"), "no CA"),
    (put("etc/systemd/system/rauc-mark-good.service"), "marks itself good"),
    (put("etc/dbus-1/system.d/vidik-rauc.conf"), "orders from anybody"),
])
def test_a_root_with_what_must_not_be_in_an_image_is_not_built(root, spoil, cause):
    spoil(root)
    done = finish(root)
    assert done.returncode != 0
    assert cause in done.stderr
    assert not (root.parent / "vidik-rpi5.sbom.json").exists()


def test_the_settings_of_the_generic_image_hold_here_too(tmp_path):
    settings = REPO / "image-build/generic/files/etc"
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    done = run_hooks("vidik-base", tmp_path, IGconf_vidik_settings=str(settings))
    assert done.returncode == 0, done.stderr
    assert "DNSStubListener=no" in (tmp_path / "etc/systemd/resolved.conf.d/vidik.conf").read_text(encoding="utf-8")
    assert (tmp_path / "etc/systemd/system/getty.target").readlink() == Path("/dev/null")
    ours = OVERLAY / "etc/systemd/system.conf.d"
    assert max(path.name for path in (*ours.iterdir(), *(settings / "systemd/system.conf.d").iterdir())) in {
        path.name for path in ours.iterdir()}, "the hardware counts to 15 s only: ours must be read last"
