"""Running the root's own programs, of its own processor, inside it."""

from __future__ import annotations

from pathlib import Path

from tools import run

_INSIDE = 'root=$1; shift; mount -t proc proc "$root/proc" && exec chroot "$root" "$@"'


def in_root(root: Path, *command: str, epoch: int) -> str:
    """Standard output of ``command`` with ``root`` as its root; what is mounted for it is gone afterwards."""
    return run("unshare", "--mount", "--propagation=private", "sh", "-c", _INSIDE, "sh", root, *command, epoch=epoch)
