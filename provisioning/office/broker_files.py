"""What Mosquitto needs to serve a deployment: certificates, revocation list, access rules, limits, a start script.

The folder names nothing outside itself, so that it can be copied to the broker's machine as it is.
"""

from __future__ import annotations

from provisioning import pki
from provisioning.broker import access_rules
from provisioning.office.folder import Office, Settings

_START = """#!/bin/sh
# Written by Vidik. Runs Mosquitto in this folder, and tells it of every new revocation list within ten seconds.
# As a service of systemd: ExecStart= this file, Restart=always, User= whoever may read this folder.
cd "$(dirname "$0")" || exit 1
PATH=$PATH:/usr/sbin:/usr/local/sbin
# started by root, Mosquitto would become another user, who may not read this folder
{ cat mosquitto.conf; echo "user $(id -un)"; } > running.conf
mosquitto -c running.conf &
broker=$!
trap 'kill "$broker"; wait "$broker"; exit' TERM INT
known=$(cksum < crl.pem)
while kill -0 "$broker" 2>/dev/null; do
    sleep 5 &
    wait $!
    now=$(cksum < crl.pem)
    if [ "$now" != "$known" ]; then
        known=$now
        kill -HUP "$broker"
    fi
done
wait "$broker"
"""


def write(office: Office, settings: Settings) -> None:
    """Writes everything but certificate and key into the office's broker folder. Raises ``PkiError``."""
    folder = office.broker
    for source in (office.ca, office.crl):
        pki.write(folder / source.name, source.read_bytes(), mode=0o644)
    pki.write(folder / "acl", access_rules(settings.subscribers).encode(), mode=0o600)
    pki.write(folder / "mosquitto.conf", configuration(settings).encode(), mode=0o644)
    pki.write(folder / "start", _START.encode(), mode=0o755)


def configuration(settings: Settings) -> str:
    """Mosquitto 2.0's configuration, to be started in the broker folder."""
    return f"""# Written by Vidik. Mutual TLS only; the certificate's common name is the user.
# Start it with ./start, which also makes it read new revocation lists.
listener {settings.broker_port}
cafile ca.pem
crlfile crl.pem
certfile broker.pem
keyfile broker.key
tls_version tlsv1.2
require_certificate true
use_identity_as_username true
allow_anonymous false
acl_file acl

# No camera needs more: a report is at most 1 KiB, a signed card at most 64 KiB.
max_packet_size 131072
max_connections 20000
max_keepalive 120
max_inflight_messages 0
max_queued_messages 100000
persistent_client_expiration 7d
persistence true
persistence_location ./
autosave_interval 5
log_dest stderr
log_type error
log_type warning
log_type notice
"""
