"""``querygate demo``."""

from __future__ import annotations

import contextlib
import signal
from typing import Annotated

import typer
from rich.console import Console

from gateway.errors import ConfigurationError

_QUESTION = "SELECT full_name, email, card_number FROM customers LIMIT 3"


def demo(
    tour: Annotated[bool, typer.Option("--tour", help="Tell the story with a real driver, check it, and end.")] = False,
    port: Annotated[
        int | None, typer.Option(help="The gateway's port; 6432 if it is free.", show_default=False)
    ] = None,
) -> None:
    """Start a real PostgreSQL with a small shop and a gateway in front of it, and say how to connect.

    Everything runs on this machine, in a temporary folder, and is gone after Ctrl-C.

    Examples:

        querygate demo

        querygate demo --tour
    """
    try:
        from gateway.demo.stage import AGENT, ANALYST, SUPPORT, set_up
        from gateway.demo.tour import play
        from gateway.testing.servers import ServerUnavailable
    except ImportError as error:
        raise ConfigurationError(f"the demo needs more packages: pip install 'querygate[demo]' ({error})") from error
    console = Console()
    console.print("Starting PostgreSQL, the shop and the gateway …")
    try:
        with set_up(port=port) as stage:
            if tour:
                raise typer.Exit(play(stage, console))
            console.print(f"\nThe gateway listens on 127.0.0.1:{stage.port}. Try, in another terminal:\n")
            for who, what in (
                (ANALYST, "an analyst: personal data is masked"),
                (SUPPORT, "support: sees e-mails, and the last four digits of a card"),
                (AGENT, "an AI agent that acts for the analyst: may only read, and sees no more than she does"),
            ):
                console.print(f"[bold]# {what}[/]", highlight=False)
                target = f"host=127.0.0.1 port={stage.port} user={who} dbname=shop-prod"
                verify = f"sslmode=verify-full sslrootcert={stage.certificate}"
                command = f'PGPASSWORD={stage.tokens[who]} psql "{target} {verify}" -c "{_QUESTION}"\n'
                console.print(command, highlight=False, soft_wrap=True)
            console.print("[bold]# what happened, and the proof of it[/]", highlight=False)
            console.print(f"querygate audit tail --follow --data-dir {stage.data_dir}", highlight=False, soft_wrap=True)
            console.print(f"querygate audit verify --data-dir {stage.data_dir}\n", highlight=False, soft_wrap=True)
            console.print(f"Configuration: {stage.folder / 'querygate.yaml'}", highlight=False, soft_wrap=True)
            console.print(f"Health:        http://127.0.0.1:{stage.admin_port}/health", highlight=False)
            console.print("\nCtrl-C ends it all.")
            _wait()
            console.print("\nStopping …")
    except ServerUnavailable as error:
        raise ConfigurationError(str(error)) from error


def _wait() -> None:
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()
