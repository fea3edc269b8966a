"""``vidik provision update-key``, ``bundle`` and ``release``: what they make, and what they refuse."""

from __future__ import annotations

import os
import stat
import tarfile
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from typer.testing import CliRunner

from edge.errors import VidikError
from edge.update import bundle as reading
from edge.update import signer
from edge.update.image import Image
from provisioning import keyfile
from provisioning.office import backup, bundles
from provisioning.office.cli import app
from tests.updates import BOARD, PASSPHRASE, Workshop, need_rauc


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    need_rauc()
    return Workshop(tmp_path_factory.mktemp("workshop"))


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    if result.exception is not None:
        raise result.exception
    return result.output


def office_of(workshop: Workshop) -> list[str | Path]:
    return ["--office", workshop.office.folder]


@pytest.mark.parametrize("channel", ["release", "development"])
def test_keys_are_encrypted_and_tell_what_they_are_for(workshop: Workshop, channel: str) -> None:
    keys = workshop.keys[channel]  # type: ignore[index]
    for name in ("ca.key", "signing.key"):
        assert keyfile.is_encrypted((keys / name).read_bytes())
        assert stat.S_IMODE((keys / name).stat().st_mode) == 0o600
    ca, signing = (x509.load_pem_x509_certificate((keys / f"{name}.pem").read_bytes()) for name in ("ca", "signing"))
    assert signer.channel_of(ca.subject) == channel
    signing.verify_directly_issued_by(ca)
    purposes = set(signing.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert purposes == {ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION}
    assert (workshop.office.updates / f"{channel}.pem").read_bytes() == (keys / "ca.pem").read_bytes()


def test_release_keys_do_not_get_into_the_office(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDIK_PASSPHRASE", PASSPHRASE)
    with pytest.raises(VidikError, match="online"):
        run("update-key", "new", "--release", *office_of(workshop))
    with pytest.raises(VidikError, match="online"):
        run("update-key", "new", "--release", "--out", workshop.office.folder / "updates" / "r", *office_of(workshop))
    with pytest.raises(VidikError, match="exists already"):
        run("update-key", "new", "--development", *office_of(workshop))


def test_the_next_signer_is_taken_without_a_new_image(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDIK_PASSPHRASE", PASSPHRASE)
    run("update-key", "signer", workshop.keys["release"], "--out", tmp_path / "next")
    what, root = tmp_path / "image.toml", tmp_path / "root.img"
    what.write_text(Image(version="3", board=BOARD, channel="release", floor="0").toml())
    root.write_bytes(os.urandom(81920))
    out = tmp_path / "three.raucb"
    said = run("bundle", root, "--image", what, "--key", tmp_path / "next", "--out", out)
    assert f"3 for {BOARD}, release" in said
    ca = x509.load_pem_x509_certificate((workshop.keys["release"] / "ca.pem").read_bytes())
    signer.check(reading.read(out).signer, [ca], "release")


def test_an_image_is_signed_with_the_keys_of_its_channel_only(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDIK_PASSPHRASE", PASSPHRASE)
    what, root = tmp_path / "image.toml", tmp_path / "root.img"
    root.write_bytes(bytes(8192))
    what.write_text(Image(version="3", board=BOARD, channel="development", floor="0").toml())
    arguments = ["bundle", root, "--image", what, "--out", tmp_path / "x.raucb"]
    with pytest.raises(VidikError, match="sign each with its own keys"):
        run(*arguments, "--key", workshop.keys["release"])
    with pytest.raises(VidikError, match="neither a root file system"):
        run("bundle", what, "--image", what, "--key", workshop.keys["development"])
    monkeypatch.setenv("VIDIK_PASSPHRASE", "another passphrase")
    with pytest.raises(VidikError, match="wrong passphrase"):
        run(*arguments, "--key", workshop.keys["development"])
    assert not list(tmp_path.glob("*.raucb"))
    assert not list(tmp_path.glob(".*"))  # nothing half made is left


def test_a_bundle_of_several_images_is_made_of_a_folder(workshop: Workshop, tmp_path: Path) -> None:
    folder, what, out = tmp_path / "content", tmp_path / "image.toml", tmp_path / "five.raucb"
    folder.mkdir()
    for name in ("rootfs.img", "boot.img"):
        (folder / name).write_bytes(os.urandom(20480))
    manifest = folder / "manifest.raucm"
    images = "[image.rootfs]\nfilename=rootfs.img\n[image.boot]\nfilename=boot.img\n"
    manifest.write_text(f"[update]\ncompatible={BOARD}\nversion=5\n[bundle]\nformat=verity\n{images}")
    before = manifest.read_bytes()
    what.write_text(Image(version="6", board=BOARD, channel="release", floor="0").toml())
    with pytest.raises(VidikError, match="Build both anew"):
        bundles.build(folder, what, workshop.keys["release"], workshop.secret, out)
    assert not out.exists()
    what.write_text(Image(version="5", board=BOARD, channel="release", floor="0").toml())
    assert bundles.build(folder, what, workshop.keys["release"], workshop.secret, out).version == "5"
    assert manifest.read_bytes() == before


def test_the_signing_key_is_on_no_medium_while_a_bundle_is_made(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    real = bundles._rauc

    def spy(arguments: list[str], secret: str = "") -> None:
        seen.extend(argument for argument in arguments if argument.startswith("--key="))
        assert b"BEGIN PRIVATE KEY" not in b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
        real(arguments, secret)

    monkeypatch.setattr(bundles, "_rauc", spy)
    what, root = tmp_path / "image.toml", tmp_path / "root.img"
    what.write_text(Image(version="4", board=BOARD, channel="release", floor="0").toml())
    root.write_bytes(os.urandom(81920))
    bundles.build(root, what, workshop.keys["release"], workshop.secret, tmp_path / "four.raucb")
    assert len(seen) == 1
    assert seen[0].startswith("--key=/proc/self/fd/")


def test_only_whole_bundles_of_known_cas_get_into_the_office(workshop: Workshop, tmp_path: Path) -> None:
    good = workshop.bundle()
    assert "Added: 2026.12" in run("release", "add", good, *office_of(workshop))
    assert "There already" in run("release", "add", good, *office_of(workshop))
    content = bytearray(good.read_bytes())
    content[5000] ^= 1
    broken = tmp_path / "broken.raucb"
    broken.write_bytes(content)
    with pytest.raises(VidikError, match="changed or damaged"):
        run("release", "add", broken, *office_of(workshop))
    (tmp_path / "foreign").mkdir()
    with pytest.raises(VidikError, match="not signed by a CA for updates that this office knows"):
        run("release", "add", Workshop(tmp_path / "foreign").bundle(), *office_of(workshop))
    assert len(list(workshop.office.bundles.iterdir())) == 1


@pytest.mark.parametrize(("percent", "threshold"), [("0", "2"), ("101", "2"), ("five", "2"), ("5", "-1"), ("nan", "2")])
def test_what_is_no_percentage_is_refused(workshop: Workshop, percent: str, threshold: str) -> None:
    with pytest.raises(VidikError):
        run("release", "start", "2026.12", "--percent", percent, f"--error-threshold={threshold}", *office_of(workshop))


def test_a_backup_leaves_bundles_out_and_takes_the_cas(workshop: Workshop, tmp_path: Path) -> None:
    run("release", "add", workshop.bundle(), *office_of(workshop))
    backup.write(workshop.office, tmp_path / "office.tar.gz")
    with tarfile.open(tmp_path / "office.tar.gz") as archive:
        names = archive.getnames()
    assert "updates/release.pem" in names
    assert not [name for name in names if name.endswith(".raucb")]
    restored = backup.restore(tmp_path / "office.tar.gz", tmp_path / "restored")
    assert "bundle 2026.12" in run("release", "status", "--office", restored.folder)
