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
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from provisioning import pki
from provisioning.access import CAMERA, OFFICE, SUBSCRIBER
from provisioning.broker import BrokerError, ChildBroker, Settings
from provisioning.ports import free_port

_PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # Debian's wrapper beside it insists on its own user
_ANY = "[^.]+"  # camera


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
        write_rabbitmq(replace(self._settings, port=self._port))
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


def write_rabbitmq(settings: Settings) -> list[Path]:
    """Writes RabbitMQ's configuration, users and plugins into the folder; returns the files."""
    folder = settings.folder.resolve()
    contents = {
        "rabbitmq.conf": configuration(settings, folder),
        "definitions.json": definitions(settings),
        "enabled_plugins": "[rabbitmq_mqtt,rabbitmq_auth_mechanism_ssl].\n",
    }
    for name, content in contents.items():
        pki.write(folder / name, content.encode(), 0o600)
    return [folder / name for name in contents]


def configuration(settings: Settings, folder: Path) -> str:
    """``rabbitmq.conf``: MQTT over mutual TLS only."""
    return f"""# Written by Vidik. Mutual TLS only; the certificate's common name is the user.
listeners.tcp = none
mqtt.listeners.tcp = none
mqtt.listeners.ssl.default = {settings.listen}:{settings.port}
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
    everybody = [
        *(_User(c, _queues(c), _keys(re.escape(c), CAMERA.writes), _keys(re.escape(c), CAMERA.reads))
          for c in settings.cameras),
        *(_User(s, ".*", _keys(_ANY, SUBSCRIBER.writes), _keys(_ANY, SUBSCRIBER.reads)) for s in settings.subscribers),
        *(_User(o, ".*", _keys(_ANY, OFFICE.writes), _keys(_ANY, OFFICE.reads)) for o in settings.offices),
    ]  # fmt: skip
    users, permissions, topics = [], [], []
    for user in everybody:
        queue = f"^mqtt-subscription-{user.queue}$"
        both = f"({queue}|^amq\\.topic$)"
        users.append({"name": user.name, "password_hash": "", "tags": ""})
        permissions.append({"user": user.name, "vhost": "/", "configure": queue, "write": both, "read": both})
        topics.append(
            {"user": user.name, "vhost": "/", "exchange": "amq.topic", "write": user.writes, "read": user.reads}
        )
    content = {
        "vhosts": [{"name": "/"}], "users": users, "permissions": permissions, "topic_permissions": topics,
    }  # fmt: skip
    return json.dumps(content, indent=1) + "\n"


class _User(NamedTuple):
    """All but the name are regular expressions: the queues it may have, the routing keys it may write and read."""

    name: str
    queue: str
    writes: str
    reads: str


def _keys(camera: str, channels: Sequence[str]) -> str:
    below = "|".join(channel.replace("/+", r"\.[^.]+") for channel in channels)
    return rf"^vidik\.v1\.{camera}\.({below})$"


def _queues(client: str) -> str:
    return f"{re.escape(client)}qos[01]"
