"""NATS with JetStream behind its MQTT 3.1.1 listener: a cluster whose nodes may die without loss.

Every message of QoS 1 goes into a replicated stream before it is acknowledged, so an acknowledged report is on a
majority of the nodes. Users are the subjects of the clients' certificates (``verify_and_map``), each with its
permissions in the configuration; a new camera means a new file and ``nats-server --signal reload``. Topics are
subjects with dots for slashes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from provisioning import pki
from provisioning.access import CAMERA, OFFICE, SUBSCRIBER, Role
from provisioning.broker import BrokerError, ChildBroker, Settings
from provisioning.ports import free_port

NODES = 3


def nats_server() -> str | None:
    """Where the server is, if it is installed."""
    return shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin:/usr/local/sbin")


class NatsNode(ChildBroker):
    """One node of the cluster. ``routes``: the ports on which the nodes find each other, its own first."""

    start_seconds = 60.0
    stop_seconds = 30.0

    def __init__(self, settings: Settings, name: str, routes: Sequence[int]) -> None:
        super().__init__(settings)
        self._port = settings.port or free_port()
        self._name, self._routes, self._own = name, routes, free_port()

    def _prepare(self) -> list[str]:
        program = nats_server()
        if program is None:
            raise BrokerError("NATS is not installed. Install the package nats-server.")
        settings = replace(self._settings, port=self._port)
        routes = [f"127.0.0.1:{route}" for route in self._routes]
        return [program, "-c", str(write_nats(settings, self._name, self._own, routes))]


class NatsCluster:
    """Three nodes on this machine. ``port`` is the first one's; ``nodes`` gives each."""

    mqtt5 = False

    def __init__(self, settings: Settings) -> None:
        routes = [free_port() for _ in range(NODES)]
        self.nodes = []
        for i in range(NODES):
            own = replace(settings, folder=settings.folder / f"node-{i}", port=settings.port if i == 0 else 0)
            self.nodes.append(NatsNode(own, f"vidik-{i}", [routes[i], *routes[:i], *routes[i + 1 :]]))

    @property
    def port(self) -> int:
        return self.nodes[0].port

    def start(self) -> None:
        """Starts all nodes. MQTT is served once a majority has found a leader; clients try until then."""
        for node in self.nodes:
            node.start()

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()

    def restart(self) -> None:
        for node in self.nodes:
            node.restart()


def write_nats(settings: Settings, name: str, client_port: int, routes: Sequence[str]) -> Path:
    """Writes the configuration of the node ``name`` into the folder; returns the file."""
    path = settings.folder.resolve() / "nats.conf"
    pki.write(path, configuration(settings, name, client_port, routes).encode(), 0o600)
    return path


def configuration(settings: Settings, name: str, client_port: int, routes: Sequence[str]) -> str:
    """The configuration file of one node. ``routes``: host and port under which the nodes find each other, its own
    first."""
    users = "\n".join(
        [
            *(_user(camera, "connection", CAMERA, camera) for camera in settings.cameras),
            *(_user(subscriber, "subscriber", SUBSCRIBER, "*") for subscriber in settings.subscribers),
            *(_user(office, "subscriber", OFFICE, "*") for office in settings.offices),
        ]
    )
    found = ", ".join(f'"nats-route://{route}"' for route in routes[1:])
    folder = settings.folder.resolve()
    tls = (
        f'cert_file: "{settings.certificate.resolve()}", key_file: "{settings.key.resolve()}", '
        f'ca_file: "{settings.ca.resolve()}", verify_and_map: true, timeout: 10'
    )
    return f"""# Written by Vidik. Mutual TLS only; the certificate's subject is the user.
server_name: {name}
listen: "127.0.0.1:{client_port}"
tls {{ {tls} }}
jetstream {{ store_dir: "{folder / "store"}" }}
mqtt {{
  listen: "{settings.listen}:{settings.port}"
  tls {{ {tls} }}
  ack_wait: "60s"
  max_ack_pending: 200
  stream_replicas: {NODES}
  consumer_replicas: {NODES}
}}
cluster {{
  name: vidik
  listen: "{routes[0]}"
  routes: [{found}]
}}
accounts {{
  VIDIK {{
    jetstream: enabled
    users: [
{users}
    ]
  }}
}}
"""


def _user(name: str, unit: str, role: Role, camera: str) -> str:
    def subjects(channels: Sequence[str]) -> list[str]:
        return [f"vidik.v1.{camera}.{channel.replace('/+', '.*')}" for channel in channels]

    return (
        f'      {{ user: "CN={name},OU=Vidik {unit}", permissions: {{\n'
        f"          publish: {{ allow: {json.dumps(subjects(role.writes))} }}\n"
        f"          subscribe: {{ allow: {json.dumps([*subjects(role.reads), '$MQTT.sub.>'])} }} }} }}"
    )
