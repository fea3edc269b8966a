"""What Mosquitto needs to serve a deployment: certificates, revocation list, access rules, limits, a start script.

The folder names nothing outside itself, so that it can be copied to the broker's machine as it is.
"""

from __future__ import annotations

from pathlib import Path

from provisioning import mosquitto, pki
from provisioning.office.folder import Office, Settings


def write(office: Office, settings: Settings) -> None:
    """Writes everything but certificate and key into the office's broker folder. Raises ``PkiError``."""
    for source in (office.ca, office.crl):
        pki.write(office.broker / source.name, source.read_bytes(), mode=0o644)
    listener = mosquitto.Listener(
        settings.broker_port, "", Path(office.ca.name), Path("broker.pem"), Path("broker.key"), Path(office.crl.name)
    )
    mosquitto.write(office.broker, listener, settings.subscribers, settings.senders)
