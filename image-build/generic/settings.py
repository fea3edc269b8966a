"""What a generic image is made of: packages, partitions, limits. All other modules take their constants from here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parent.parent
BUILD = REPO / "build" / "image"

SUITE = "trixie"
SOURCES = (
    "deb http://deb.debian.org/debian trixie main",
    "deb http://deb.debian.org/debian trixie-updates main",
    "deb http://deb.debian.org/debian-security trixie-security main",
)
# times in the base root are clamped to this; an image takes its own from the commit it is built of
BASE_EPOCH = 1795737600

PACKAGES = (
    "passwd", "login", "util-linux", "systemd", "systemd-sysv", "udev", "dbus", "kmod",
    "systemd-resolved", "systemd-timesyncd", "systemd-repart", "libnss-resolve",
    "initramfs-tools", "busybox", "zstd", "cryptsetup-bin", "e2fsprogs",
    "rauc", "rauc-service", "grub-common", "python3", "python3-systemd",
)  # fmt: skip

# of a Debian kernel what no camera has: smaller, and less to attack
KERNEL_LEAVES_OUT = (
    "sound", "arch/x86/kvm", "drivers/gpu", "drivers/infiniband", "drivers/isdn", "drivers/bluetooth",
    "drivers/net/wireless",
    "drivers/net/wwan", "drivers/net/can", "drivers/net/hamradio", "drivers/scsi/*", "drivers/message", "drivers/iio",
    "drivers/media/dvb-frontends", "drivers/media/tuners", "drivers/media/pci", "drivers/media/rc",
    "drivers/media/radio", "drivers/target", "drivers/staging", "drivers/comedi", "drivers/parport", "drivers/pcmcia",
    "drivers/firewire", "drivers/thunderbolt", "drivers/accel", "drivers/crypto", "drivers/xen", "drivers/vhost",
    "drivers/net/ethernet/mellanox", "drivers/net/ethernet/chelsio", "drivers/net/ethernet/qlogic",
    "drivers/net/ethernet/sfc", "drivers/net/ethernet/netronome", "drivers/net/ethernet/cavium",
    "drivers/net/fddi", "drivers/net/arcnet", "drivers/net/ppp", "drivers/atm", "drivers/edac",
    "fs/btrfs", "fs/xfs", "fs/ocfs2", "fs/gfs2", "fs/ceph", "fs/nfs", "fs/nfsd", "fs/smb", "fs/afs", "fs/f2fs",
    "fs/bcachefs", "fs/jfs", "fs/nilfs2", "fs/dlm", "fs/orangefs", "fs/ubifs", "fs/jffs2", "fs/9p", "fs/coda",
    "fs/reiserfs", "fs/ntfs3", "fs/hfs", "fs/hfsplus", "fs/ufs", "fs/affs", "fs/befs", "fs/lockd", "fs/quota",
    "net/bluetooth", "net/mac80211", "net/wireless", "net/tipc", "net/sctp", "net/dccp", "net/rds", "net/smc",
    "net/batman-adv", "net/can", "net/ceph", "net/sunrpc", "net/9p", "net/atm", "net/ax25", "net/netrom", "net/rose",
    "net/nfc", "net/openvswitch", "net/rxrpc", "net/l2tp", "net/mpls", "net/ieee802154", "net/mac802154", "net/6lowpan",
)  # fmt: skip

NOT_SHIPPED = tuple(f"/usr/share/{name}/*" for name in ("man", "doc", "locale", "info", "lintian"))
SHIPPED_ALL_THE_SAME = ("/usr/share/doc/*/copyright",)

ROOT_LIMIT = 700_000_000  # bytes of a root, unpacked


@dataclass(frozen=True, slots=True)
class Arch:
    """One processor family: Debian's name, its kernel, its GRUB and its serial console."""

    name: str
    kernel: str
    grub_packages: tuple[str, ...]
    efi_format: str
    efi_file: str
    console: str

    @property
    def board(self) -> str:
        return f"vidik-generic-{self.name}"


ARCHES = {
    "amd64": Arch(
        "amd64", "linux-image-amd64", ("grub-pc-bin", "grub-efi-amd64-bin"), "x86_64-efi", "BOOTX64.EFI", "ttyS0"
    ),
    "arm64": Arch("arm64", "linux-image-arm64", ("grub-efi-arm64-bin",), "arm64-efi", "BOOTAA64.EFI", "ttyAMA0"),
}  # fmt: skip

SECTOR = 512
ROOT_SIZE = 448 << 20
BOOT_SIZE = 64 << 20
# FAT volumes are found by these by GRUB; the same on every camera
BOOT_ID = "5649-4401"
ENV_ID = "5649-4402"


@dataclass(frozen=True, slots=True)
class Partition:
    """One line of the partition table. ``uuid`` is the same on every camera; ``size`` in bytes."""

    name: str
    size: int
    type: str
    uuid: str


_LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
PARTITIONS = (  # the data partition follows at the first start
    Partition("vidik-bios", 1 << 20, "21686148-6449-6E6F-744E-656564454649", "5649444B-0000-4000-8000-000000000001"),
    Partition("vidik-boot", 64 << 20, "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "5649444B-0000-4000-8000-000000000002"),
    Partition("vidik-env", 1 << 20, _LINUX, "5649444B-0000-4000-8000-000000000003"),
    Partition("vidik-boot-a", BOOT_SIZE, _LINUX, "5649444B-0000-4000-8000-000000000004"),
    Partition("vidik-root-a", ROOT_SIZE, _LINUX, "5649444B-0000-4000-8000-000000000005"),
    Partition("vidik-boot-b", BOOT_SIZE, _LINUX, "5649444B-0000-4000-8000-000000000006"),
    Partition("vidik-root-b", ROOT_SIZE, _LINUX, "5649444B-0000-4000-8000-000000000007"),
)
DISK_ID = "5649444B-0000-4000-8000-000000000000"
