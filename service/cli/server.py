"""`herenow serve` and `herenow worker`."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from service import logs
from service.cli.admin import opened, read_settings
from service.cli.console import CommandError, err, out, plain, reported_errors
from service.cli.options import DataDirOption, EofOption
from service.supervision import DataFolderBusy, stop_on_eof

if TYPE_CHECKING:
    from service.serve import Ready
    from service.settings import Settings

log = logging.getLogger(__name__)


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; other than loopback needs keys.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = None,
    data_dir: DataDirOption = None,
    api_only: Annotated[
        bool, typer.Option("--api-only", help="No worker and broker of its own: they run elsewhere.")
    ] = False,
    processes: Annotated[
        int, typer.Option(min=1, max=64, help="Processes of the API that answer at the address: one per core is best.")
    ] = 1,
    eof: EofOption = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Say it is ready as one JSON line on standard output.")
    ] = False,
) -> None:
    """Run the API, a worker and a broker until Ctrl-C: all of Herenow in one command."""
    if eof:
        stop_on_eof()
    with reported_errors(as_json):
        settings = read_settings(host=host, port=port, data_dir=data_dir)
        logs.configure(settings, "api")
        for_people = not as_json and settings.log_format == "text"
        if for_people:
            err.print(f"[dim]starting Herenow on {plain(str(settings.data_dir))}", soft_wrap=True)
        _serve(settings, _announce_json if as_json else _announce if for_people else _log_ready, api_only, processes)
        if for_people:
            err.print("[dim]stopped")


def _serve(settings: Settings, announce: Callable[[Ready], None], api_only: bool, processes: int) -> None:
    from sqlalchemy.exc import OperationalError

    from service.db.migrate import SchemaMismatch
    from service.keys.service import NoKeys
    from service.serve import NotReady
    from service.serve import serve as run
    from service.tracing import NoTracing

    try:
        run(settings, announce, api_only, processes)
    except (DataFolderBusy, NoKeys, NoTracing, SchemaMismatch, NotReady) as error:
        raise CommandError(str(error)) from None
    except OperationalError as error:
        raise CommandError(f"the database does not answer: {error.orig}") from None
    except OSError as error:
        raise CommandError(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror or error}"
        ) from None


def _announce(ready: Ready) -> None:
    out.print(
        f"[bold green]Herenow is ready[/bold green] at [bold]{ready.url}[/bold]  [dim](API: {ready.url}/docs)",
        soft_wrap=True,
    )
    out.print(f"[dim]data    {plain(str(ready.data_dir))}", soft_wrap=True)
    out.print(f"[dim]broker  {plain(ready.broker)}", soft_wrap=True)
    out.print(
        "[dim]keys    "
        + ("none needed: only this machine can reach it" if ready.keyless else "every request needs one")
    )
    out.print("[dim]Ctrl-C stops it")


def _log_ready(ready: Ready) -> None:
    log.info("ready at %s (broker: %s)", ready.url, ready.broker)


def _announce_json(ready: Ready) -> None:
    line = {
        "event": "ready",
        "url": ready.url,
        "data_dir": str(ready.data_dir),
        "broker": ready.broker,
        "keyless": ready.keyless,
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def worker(
    data_dir: DataDirOption = None,
    queue: Annotated[
        list[str] | None, typer.Option(help="Queue it serves: cpu or gpu; may be given twice. HERENOW_QUEUES.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only see whether database and broker answer.")] = False,
    eof: EofOption = False,
) -> None:
    """Run a worker: it takes jobs until SIGTERM, then gives running ones back."""
    if eof:
        stop_on_eof()
    with reported_errors(False):
        settings = read_settings(data_dir=data_dir, queues=queue or None)
        if not settings.broker_url:
            raise CommandError("a worker needs a broker: set HERENOW_BROKER_URL, or let `herenow serve` run both", 2)
        if check:
            _check(settings)
            return
        logs.configure(settings, "worker")
        _work(settings)


def _work(settings: Settings) -> None:
    from sqlalchemy.exc import OperationalError

    from service.db.migrate import SchemaMismatch
    from service.jobs.places import NoGpu
    from service.tracing import NoTracing
    from service.worker import run_worker
    from service.workers.listener import CannotListen

    try:
        code = run_worker(settings)
    except (CannotListen, NoGpu, NoTracing, SchemaMismatch) as error:
        raise CommandError(str(error)) from None
    except OperationalError as error:
        raise CommandError(f"the database does not answer: {error.orig}") from None
    raise SystemExit(code)


def _check(settings: Settings) -> None:
    from kombu.exceptions import OperationalError

    from service.db.migrate import require_head
    from service.jobs.bell import make_celery

    with opened(settings.data_dir) as (_, database):
        require_head(database)
    try:
        with make_celery(settings).connection_for_read() as connection:
            connection.ensure_connection(max_retries=1, timeout=5)
    except (OperationalError, OSError) as error:
        raise CommandError(f"the broker does not answer: {error}") from None
    err.print("database and broker answer")
