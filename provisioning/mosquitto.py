"""Mosquitto's files: configuration, access rules, and a start script that makes it read new revocation lists.

Written for an office's own broker folder, which names nothing outside itself and can be copied, for ``vidik provision
broker`` and for brokers that are started here: one text for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from provisioning import pki
from provisioning.access import mosquitto_rules

_START = """#!/bin/sh
# Written by Vidik. Runs Mosquitto in this folder, and tells it of every new revocation list within ten seconds.
# As a service of systemd: ExecStart= this file, Restart=always, User= whoever may read this folder.
cd "$(dirname "$0")" || exit 1
PATH=$PATH:/usr/sbin:/usr/local/sbin
# started by root, Mosquitto would become another user, who may not read this folder
{ cat mosquitto.conf; grep -q '^user ' mosquitto.conf || echo "user $(id -un)"; } > running.conf
mosquitto -c running.conf &
broker=$!
trap 'kill "$broker"; wait "$broker"; exit' TERM INT
list=$(sed -n 's/^crlfile //p' mosquitto.conf)
state() { if [ -n "$list" ]; then cksum < "$list"; fi; }
known=$(state)
while kill -0 "$broker" 2>/dev/null; do
    sleep 5 &
    wait $!
    now=$(state)
    if [ "$now" != "$known" ]; then
        known=$now
        kill -HUP "$broker"
    fi
done
wait "$broker"
"""


@dataclass(frozen=True, slots=True)
class Listener:
    """Where Mosquitto listens, and with which PEM files; paths relative to the folder it runs in, or absolute.

    ``address``: empty for all. ``crl``: the revocation list, if there is one. ``home``: the folder for all else, by
    default the one it runs in. ``user`` it becomes when root starts it; by default ``start`` sees to that.
    """

    port: int
    address: str
    ca: Path
    certificate: Path
    key: Path
    crl: Path | None = None
    home: Path = Path()
    user: str = ""


def write(folder: Path, listener: Listener, subscribers: Sequence[str], offices: Sequence[str]) -> list[Path]:
    """Writes all but certificates and keys into ``folder``; returns the files. Raises ``PkiError``."""
    main, rules, start = folder / "mosquitto.conf", folder / "acl", folder / "start"
    pki.write(main, configuration(listener).encode(), mode=0o644)
    pki.write(rules, mosquitto_rules(subscribers, offices).encode(), mode=0o600)
    pki.write(start, _START.encode(), mode=0o755)
    return [main, rules, start]


def configuration(listener: Listener) -> str:
    """Mosquitto 2.0's configuration, to be started in the folder that it is written to."""
    crl = f"crlfile {listener.crl}\n" if listener.crl is not None else ""
    user = f"user {listener.user}\n" if listener.user else ""
    return f"""# Written by Vidik. Mutual TLS only; the certificate's common name is the user.
# Start it with ./start, which also makes it read new revocation lists.
listener {" ".join([str(listener.port), listener.address]).strip()}
cafile {listener.ca}
{crl}certfile {listener.certificate}
keyfile {listener.key}
tls_version tlsv1.2
require_certificate true
use_identity_as_username true
allow_anonymous false
acl_file {listener.home / "acl"}
{user}
# The largest thing that anybody sends is a grant with its list, at most 1 MiB.
max_packet_size 1114112
max_connections 20000
max_keepalive 120

# What comes in goes out at once to subscribers that are there. What waits for one that is away is saved
# every five seconds; saving on every change would limit the broker to some hundred reports a second.
max_inflight_messages 0
max_queued_messages 100000
persistent_client_expiration 7d
persistence true
persistence_location {listener.home}/
autosave_interval 5
log_dest stderr
log_type error
log_type warning
log_type notice
"""
