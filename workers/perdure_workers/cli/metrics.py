"""``perdure metrics``: all metrics, printed once or served to Prometheus."""

from __future__ import annotations

import errno
import json
import signal
import threading

import click

from perdure.model.metrics import Distribution, Series
from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import json_option, print_json, say
from perdure_workers.embedded.errors import PortTaken
from perdure_workers.monitoring.dashboard import dashboard


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Serve them on this TCP port until told to stop; 0 takes any.")
@click.option("--address", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--dashboard", "is_dashboard", is_flag=True, help="Print a Grafana dashboard of all metrics instead.")
@json_option
@pass_context
def metrics(context: Context, port: int | None, address: str, is_dashboard: bool, as_json: bool) -> None:
    """Print all metrics as Prometheus reads them, or serve them at /metrics with --port."""
    from perdure_workers.monitoring.exposition import exposition

    if is_dashboard:
        click.echo(json.dumps(dashboard(), indent=2))
    elif port is not None:
        _serve(context, address, port)
    elif as_json:
        print_json([_as_json(one) for one in context.app.metrics.read()])
    else:
        click.echo(exposition(context.app.metrics.read()).decode(), nl=False)


def _serve(context: Context, address: str, port: int) -> None:
    from perdure_workers.monitoring.http import PageServer
    from perdure_workers.monitoring.pages import metrics_page

    try:
        server = PageServer(address, port, {"/metrics": metrics_page(context.app)})
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken("the metrics", port, address) from error
        raise
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    server.start()
    say(f"metrics: {server.url}/metrics", err=True)
    stop.wait()
    server.stop()


def _as_json(one: Series) -> dict[str, object]:
    labels = dict(zip(one.metric.labels, one.labels, strict=True))
    named = {"name": one.metric.name, "kind": one.metric.kind, "labels": labels}
    if isinstance(one.value, Distribution):
        ends = [*map(str, one.metric.buckets), "+Inf"]
        buckets = dict(zip(ends, one.value.buckets, strict=True))
        return {**named, "count": one.value.count, "sum": one.value.sum, "buckets": buckets}
    return {**named, "value": one.value}
