"""``perdure worker|supervisor|flower|up|down|status``: the processes of the platform."""

from __future__ import annotations

import errno
import gc
import signal
import threading

import click

from perdure.broker.no_cluster import refuse_cluster
from perdure.system.extras import extra
from perdure_workers.cli.leaving import leave
from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import say
from perdure_workers.embedded.errors import PortTaken, ServerStartFailed
from perdure_workers.logs import configure_logging
from perdure_workers.recovery.pulse import EVERY, Pulse


@click.command()
@click.argument("bulkhead")
@click.option("-c", "--concurrency", type=click.IntRange(1, 1000), help="Children; the bulkhead's setting by default.")
@click.option("-n", "--name", help="The worker's name; the bulkhead's by default.")
@pass_context
def worker(context: Context, bulkhead: str, concurrency: int | None, name: str | None) -> None:
    """Run a worker that serves BULKHEAD until it is told to stop."""
    gc.disable()  # what is made until it runs lives as long as it does
    from perdure_workers.worker.worker import Worker

    configure_logging(context.app.settings.log_level, context.app.settings.log_format)
    refuse_cluster(context.app.settings)
    context.app.ledger.create_if_missing()
    leave(Worker(context.app, bulkhead, concurrency=concurrency, name=name).run())


@click.command()
@pass_context
def supervisor(context: Context) -> None:
    """Run a supervisor alone: it takes back the jobs of lost workers and submits periodic ones."""
    from perdure_workers.monitoring.tally_writer import IDLE_WAIT, TallyWriter
    from perdure_workers.recovery.probes import serve_probes
    from perdure_workers.supervisor.supervisor import Supervisor, default_duties

    configure_logging(context.app.settings.log_level, context.app.settings.log_format)
    refuse_cluster(context.app.settings)
    context.app.ledger.create_if_missing()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    app = context.app
    running, tally = Supervisor(default_duties(app), app.tally), TallyWriter(app, IDLE_WAIT)
    pulse = Pulse(app.settings.home_folder.path, "supervisor")
    serve_probes(app, pulse, running.missing)
    running.start()
    tally.start()
    pulse.beat()
    say("supervisor ready", err=True)
    while not stop.wait(EVERY):
        pulse.beat()
    running.stop()
    tally.stop()
    pulse.end()
    leave(0)


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="TCP port; the setting flower_port by default.")
@click.option("--address", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--read-only", is_flag=True, help="Let nobody change anything.")
@click.option("--url-prefix", default="", help="The path under which a proxy serves Flower, such as /flower.")
@click.argument("flower_options", nargs=-1, type=click.UNPROCESSED)
@pass_context
def flower(
    context: Context, port: int | None, address: str, read_only: bool, url_prefix: str, flower_options: tuple[str, ...]
) -> None:
    """Run Flower with perdure's pages, with a user and a password (see the settings flower_user and flower_password).

    More options of Flower can be given after --, such as: perdure flower -- --xheaders=true
    """
    from perdure_workers.flower.access import flower_access

    with extra("flower", "perdure flower"):
        from perdure_workers.flower.server import run_flower

    app = context.app
    configure_logging(app.settings.log_level, app.settings.log_format)
    access = flower_access(app.settings)
    port = port or app.settings.flower_port
    say(f"Flower: http://{address}:{port}/{url_prefix.strip('/')} user {access.user}", err=True)
    if access.generated:
        say(f"Flower's password, made up now: {access.password}", err=True)
    try:
        run_flower(app, address=address, port=port, read_only=read_only, url_prefix=url_prefix, extra=flower_options)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken("Flower", port, address) from error
        if error.errno in (errno.EACCES, errno.EADDRNOTAVAIL):
            raise ServerStartFailed(f"Flower cannot listen on {address}:{port}: {error.strerror}") from error
        raise
