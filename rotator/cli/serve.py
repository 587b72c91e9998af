"""`rotator serve`: words in, a running status API out, until a signal.

Refuses: routes and sockets (``rotator.server``). What it needs is an extra, so nothing of it is loaded before it is called.
"""

from __future__ import annotations

import ipaddress
import logging
import signal

import click

from rotator.cli.accounts import path_of
from rotator.cli.endings import INTERRUPTED, OK
from rotator.cli.voice import talk
from rotator.engine import Rotator


@click.command(
    "serve",
    epilog="""\b
Answers:
  GET /v1/accounts/status[?model=MODEL]    what `rotator status --json` prints
  GET /healthz                             that it runs, and whether what it learns is kept

\b
Examples:
  rotator serve
  curl -s 'http://127.0.0.1:8787/v1/accounts/status?model=gemini-3-pro'
  rotator serve --host 0.0.0.0 --allow-host pool.internal

\b
Exit codes:
  0 SIGTERM or SIGHUP    2 usage    66 no file    74 the port is taken    77 permission
  78 the file is not valid    130 Ctrl-C""",
)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address to listen on.")
@click.option("--port", default=8787, show_default=True, type=click.IntRange(0, 65535), help="0 takes any free port.")
@click.option(
    "--allow-host", "allowed", multiple=True, metavar="NAME", help="A name by which it may be called; may be repeated."
)
@click.pass_context
def command(ctx: click.Context, host: str, port: int, allowed: tuple[str, ...]) -> int:
    """Serve the status of every account over HTTP.

    It asks for no password and tells account names, so it answers this machine only. To be reached from others, listen on
    their network and allow every name by which they call it. A signal ends it after what was learned is written.
    """
    try:
        from rotator.server import listening
        from rotator.server.app import status_app
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("starlette", "uvicorn"):
            raise
        message = (
            f"serve needs {error.name.partition('.')[0]}, which comes with an extra: pip install 'rotator[server]'"
        )
        raise click.UsageError(message, ctx) from None
    _check_address(host)
    for name in allowed:
        _check_name(name)
    if not listening.is_loopback(host):
        _beyond_loopback(host, allowed)
    own = () if listening.is_unspecified(host) else (host,)
    logging.basicConfig(format="rotator: %(message)s")
    with Rotator.open(path_of(ctx.obj)) as rotator:
        server = listening.Server(status_app(rotator, allowed_hosts=(*allowed, *own)))
        listener = listening.listen(host, port)
        talk(f"serving {listening.url_of(listener)}/v1/accounts/status, Ctrl-C ends it")
        number = server.serve_until_stopped(listener)
    return INTERRUPTED if number == signal.SIGINT else OK


def _check_address(host: str) -> None:
    """Refuse what looks like an address and is none; a name is looked up when it is listened on."""
    if ":" in host or (host and set(host) <= set("0123456789.")):
        try:
            ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            message = f"{host} is no address; one is 127.0.0.1, ::1 or 0.0.0.0, and the port goes to --port"
            raise click.BadParameter(message, param_hint="--host") from None


def _check_name(name: str) -> None:
    """Refuse what could never equal a Host without its port, or would equal too many."""
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        if not name or set("*/:[] ") & set(name):
            message = f"{name!r} is not a plain name such as pool.internal, without port or wildcard"
            raise click.BadParameter(message, param_hint="--allow-host") from None


def _beyond_loopback(host: str, allowed: tuple[str, ...]) -> None:
    if not allowed:
        message = f"{host} can be reached from other machines: say by which names with --allow-host NAME"
        raise click.UsageError(message)
    talk(f"warning: whoever reaches {host} can read account names and limits, without a password")
