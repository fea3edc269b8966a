"""``vidik provision broker``: a broker's configuration with Vidik's access rules, for the machines of a deployment."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from edge.errors import VidikError
from edge.listen.trust import CAMERA_ID
from provisioning.broker import Settings, write_mosquitto
from provisioning.nats import write_nats
from provisioning.rabbitmq import write_rabbitmq


class ProvisionError(VidikError):
    """What was asked for does not make a configuration."""


class Kind(StrEnum):
    """The brokers that a configuration can be written for."""

    MOSQUITTO = "mosquitto"
    RABBITMQ = "rabbitmq"
    NATS = "nats"


def broker(  # noqa: PLR0917 - the options of the command
    folder: Annotated[Path, typer.Argument(help="Where the configuration goes, and the broker's data.")],
    ca: Annotated[Path, typer.Option(help="The deployment's CA certificate (PEM).", exists=True)],
    certificate: Annotated[Path, typer.Option(help="The broker's certificate (PEM).", exists=True)],
    key: Annotated[Path, typer.Option(help="The private key of the certificate (PEM).", exists=True)],
    kind: Annotated[Kind, typer.Option(help="Which broker.")] = Kind.MOSQUITTO,
    listen: Annotated[str, typer.Option(help="The address to serve.")] = "0.0.0.0",  # noqa: S104 - cameras come from outside
    port: Annotated[int, typer.Option(help="The port to serve.", min=1, max=65535)] = 8883,
    subscriber: Annotated[list[str] | None, typer.Option(help="Who may receive reports. May be repeated.")] = None,
    office: Annotated[list[str] | None, typer.Option(help="Who may send grants to cameras. May be repeated.")] = None,
    crl: Annotated[Path | None, typer.Option(help="The revocation list (Mosquitto).", exists=True)] = None,
    cameras: Annotated[Path | None, typer.Option(help="Camera ids, one a line (RabbitMQ and NATS).")] = None,
    node: Annotated[str, typer.Option(help="The name of this node (NATS).")] = "vidik-0",
    route: Annotated[
        list[str] | None, typer.Option(help="HOST:PORT of every node, this one's first (NATS). May be repeated.")
    ] = None,
) -> None:
    """Writes a broker's configuration: mutual TLS, and each camera in its own subtree.

    RabbitMQ and NATS must know every camera by name: write it again when one is added, and let the broker read it.
    """
    names = _names(cameras) if cameras is not None else []
    if kind != Kind.MOSQUITTO and not names:
        raise ProvisionError(f"{kind.value} must know the cameras by name. Give a file with --cameras.")
    settings = Settings(
        folder, ca, certificate, key, tuple(subscriber or ["subscriber"]), port, tuple(office or ["office"]),
        tuple(names), listen, crl,
    )  # fmt: skip
    match kind:
        case Kind.MOSQUITTO:
            files = write_mosquitto(settings)
        case Kind.RABBITMQ:
            files = write_rabbitmq(settings)
        case Kind.NATS:
            if len(route or []) < 3:
                raise ProvisionError("A NATS cluster has three nodes or more. Give --route for each, this one's first.")
            files = [write_nats(settings, node, 4222, route or [])]
    for file in files:
        typer.echo(str(file))


def _names(path: Path) -> list[str]:
    try:
        names = path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise ProvisionError(f"The camera ids {path} cannot be read: {error}. Give one a line.") from error
    wrong = [name for name in names if not CAMERA_ID.fullmatch(name)]
    if wrong:
        raise ProvisionError(f"{wrong[0]!r} in {path} is no camera id: use lower-case letters, digits and hyphens.")
    return names
