"""RabbitMQ with its MQTT plugin, for a deployment that has it already: MQTT 3.1.1 up to RabbitMQ 3.12.

The user is the common name of the client's certificate. RabbitMQ knows users from a list only, so every camera
is named in the definitions file; a new camera means a new file and ``rabbitmqctl import_definitions``. Access
has two halves: topic permissions (routing keys are topics with dots for slashes) and permissions on the queue
that a subscription makes, which carries the client id.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from provisioning import pki
from provisioning.broker import CAMERA_READS, CAMERA_WRITES, BrokerError, ChildBroker, Settings, free_port

_PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # Debian's wrapper beside it insists on its own user
_NOTHING = "^$"


def rabbitmq() -> str | None:
    """Where the server is, if it is installed."""
    return str(_PROGRAM) if _PROGRAM.exists() else None


class RabbitMq(ChildBroker):
    """One node with a name, a data directory and ports of its own, so that it disturbs no other on the machine."""

    start_seconds = 400.0  # an Erlang system on a busy machine
    stop_seconds = 60.0

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._distribution, self._names, self._amqp = free_port(), free_port(), free_port()

    def stop(self) -> None:
        super().stop()
        self._forget_names()

    def kill(self) -> None:
        super().kill()
        self._forget_names()

    def _prepare(self) -> list[str]:
        if rabbitmq() is None:
            raise BrokerError("RabbitMQ is not installed. Install the package rabbitmq-server.")
        folder = self._settings.folder.resolve()
        settings = self._settings
        pki.write(folder / "definitions.json", definitions(settings).encode(), 0o600)
        pki.write(folder / "rabbitmq.conf", configuration(settings, self._port, folder).encode(), 0o600)
        pki.write(folder / "enabled_plugins", b"[rabbitmq_mqtt,rabbitmq_auth_mechanism_ssl].\n", 0o600)
        return [str(_PROGRAM)]

    def _environment(self) -> dict[str, str]:
        folder = self._settings.folder.resolve()
        return dict(
            os.environ,
            HOME=str(folder),  # the Erlang cookie goes there
            RABBITMQ_NODENAME=f"vidik{self._port}@localhost",
            RABBITMQ_NODE_IP_ADDRESS="127.0.0.1",
            RABBITMQ_NODE_PORT=str(self._amqp),
            RABBITMQ_DIST_PORT=str(self._distribution),
            ERL_EPMD_PORT=str(self._names),
            ERL_EPMD_ADDRESS="127.0.0.1",
            RABBITMQ_CONFIG_FILE=str(folder / "rabbitmq.conf"),
            RABBITMQ_ADVANCED_CONFIG_FILE=str(folder / "none.config"),
            RABBITMQ_CONF_ENV_FILE=str(folder / "none-env.conf"),
            RABBITMQ_ENABLED_PLUGINS_FILE=str(folder / "enabled_plugins"),
            RABBITMQ_MNESIA_BASE=str(folder / "data"),
            RABBITMQ_LOG_BASE=str(folder),
            RABBITMQ_LOGS="-",
        )

    def _forget_names(self) -> None:
        """Ends the name server (epmd) that the node has started for itself."""
        subprocess.run(["epmd", "-kill"], env=self._environment(), capture_output=True, check=False)


def configuration(settings: Settings, port: int, folder: Path, address: str = "127.0.0.1") -> str:
    """``rabbitmq.conf``: MQTT over mutual TLS only."""
    return f"""# Written by Vidik. Mutual TLS only; the certificate's common name is the user.
listeners.tcp = none
mqtt.listeners.tcp = none
mqtt.listeners.ssl.default = {address}:{port}
ssl_options.cacertfile = {settings.ca.resolve()}
ssl_options.certfile = {settings.certificate.resolve()}
ssl_options.keyfile = {settings.key.resolve()}
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
ssl_options.versions.1 = tlsv1.2
ssl_cert_login_from = common_name
mqtt.ssl_cert_login = true
mqtt.allow_anonymous = false
mqtt.vhost = /
mqtt.exchange = amq.topic
mqtt.prefetch = 200
mqtt.subscription_ttl = 604800000
mqtt.retained_message_store = rabbit_mqtt_retained_msg_store_dets
load_definitions = {folder / "definitions.json"}
log.console = true
log.console.level = warning
"""


def definitions(settings: Settings) -> str:
    """The users and what each may do, as a definitions file (JSON)."""
    users, permissions, topics = [], [], []
    for name, own, writes, reads in [
        *((c, f"{re.escape(c)}qos[01]", _keys(c, CAMERA_WRITES), _keys(c, CAMERA_READS)) for c in settings.cameras),
        *((s, ".*", _NOTHING, r"^vidik\.v1\.") for s in settings.subscribers),
        *((o, f"{re.escape(o)}qos[01]", r"^vidik\.v1\.[^.]+\.grant$", _NOTHING) for o in settings.offices),
    ]:
        queue = f"^mqtt-subscription-{own}$"
        users.append({"name": name, "password_hash": "", "tags": ""})
        both = f"({queue}|^amq\\.topic$)"
        permissions.append({"user": name, "vhost": "/", "configure": queue, "write": both, "read": both})
        topics.append({"user": name, "vhost": "/", "exchange": "amq.topic", "write": writes, "read": reads})
    content = {
        "vhosts": [{"name": "/"}], "users": users, "permissions": permissions, "topic_permissions": topics,
    }  # fmt: skip
    return json.dumps(content, indent=1) + "\n"


def _keys(camera: str, channels: Sequence[str]) -> str:
    below = "|".join(channel.replace("/+", r"\.[^.]+") for channel in channels)
    return rf"^vidik\.v1\.{re.escape(camera)}\.({below})$"
