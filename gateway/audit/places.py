"""Where commands find the log, and how they fail."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from gateway.errors import ConfigurationError
from gateway.terminal import harmless

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The gateway's configuration file, for its `data_dir`.", show_default=False),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option("--data-dir", help="The gateway's `data_dir` itself, without a configuration.", show_default=False),
]


def directory_of(config: Path | None, data_dir: Path | None) -> Path:
    """The log's folder. Raises ``typer.Exit`` where nobody says which one."""
    if data_dir is not None:
        return data_dir / "audit"
    if config is None:
        raise failed("say where the log is: --config FILE or --data-dir DIRECTORY")
    # Only here: reading a copied log must not depend on what a configuration needs.
    from gateway.config import load_config

    try:
        return Path(load_config(config, environ=os.environ).data_dir) / "audit"
    except ConfigurationError as error:
        raise failed(str(error)) from None


def failed(message: str) -> typer.Exit:
    """To be raised: says what is wrong, and ends the command with 2."""
    typer.echo(f"error: {harmless(message)}", err=True)
    return typer.Exit(2)
