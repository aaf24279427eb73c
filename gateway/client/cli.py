"""``querygate login``, ``logout`` and ``whoami``."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from gateway.errors import ConfigurationError

if TYPE_CHECKING:
    from gateway.client.api import ApiClient
    from gateway.client.device import Prompt


def login(
    url: Annotated[str, typer.Argument(help="The admin API's address, such as https://querygate.example.com.")],
    name: Annotated[str | None, typer.Option("--name", "-n", help="Your name, for a login with a password.")] = None,
    password_file: Annotated[
        Path | None,
        typer.Option("--password-file", help="Where the password is.", dir_okay=False),
    ] = None,
    issuer: Annotated[str | None, typer.Option("--oidc", help="An OpenID Connect issuer to log in with.")] = None,
    client_id: Annotated[str, typer.Option("--client-id", help="This program's id at the issuer.")] = "querygate",
    scope: Annotated[str, typer.Option(help="What to ask the issuer for.")] = "openid email profile offline_access",
    id_token: Annotated[bool, typer.Option("--id-token", help="Use the id token, not the access token.")] = False,
    ca: Annotated[Path | None, typer.Option("--ca", help="Certificates to trust, PEM.", dir_okay=False)] = None,
) -> None:
    """Log in to an admin API, by an OpenID Connect issuer or with name and password.

    The login is kept in a file that only you can read, and renewed as long as its refresh token is good. With --oidc, a
    code is shown: enter it in any browser.

    Examples:

        querygate login https://querygate.example.com --oidc https://id.example.com

        querygate login https://querygate.example.com --name root

        querygate login http://127.0.0.1:8080 --name root --password-file root.password
    """
    from gateway.client.api import make_http, read_answer, send
    from gateway.client.device import log_in_by_device
    from gateway.client.session import ClientSession, OidcLogin, SessionFile

    trusted = None if ca is None else str(ca.absolute())
    address = url.rstrip("/")
    oidc: OidcLogin | None = None
    with make_http(address, trusted) as http:
        if issuer is not None:
            found = log_in_by_device(
                issuer, client_id, scope=scope, ca=trusted, show=_show_prompt, use_id_token=id_token
            )
            access, refresh, lifetime, oidc = found.access_token, found.refresh_token, found.expires_in, found.login
        else:
            who = name or typer.prompt("Name", err=True)
            content = {"name": who, "password": _password(password_file)}
            tokens = read_answer(send(http, "POST", "/v1/auth/login", json=content))
            access, refresh = tokens["access_token"], tokens.get("refresh_token", "")
            lifetime = float(tokens["expires_in"])
        me = read_answer(send(http, "GET", "/v1/auth/me", headers={"Authorization": f"Bearer {access}"}))
    file = SessionFile(os.environ)
    file.save(
        ClientSession(
            url=address,
            name=me["name"],
            access_token=access,
            expires=time.time() + lifetime,
            refresh_token=refresh,
            ca=trusted,
            oidc=oidc,
        )
    )
    roles = ", ".join(me["roles"]) or "no role"
    Console(stderr=True).print(f"logged in as {me['name']} ({roles}); kept in {file.path}", highlight=False)


def logout() -> None:
    """Log out: the login is ended at the API and forgotten here.

    Examples:

        querygate logout
    """
    from gateway.client.session import SessionFile

    file = SessionFile(os.environ)
    session = file.load()
    if session is None:
        raise ConfigurationError("there is no login")
    if session.oidc is None:
        try:
            with open_client() as client:
                client.post("/v1/auth/logout")
        except ConfigurationError as error:
            Console(stderr=True).print(f"the API could not be told: {error}", highlight=False, soft_wrap=True)
    file.remove()
    Console(stderr=True).print(f"logged out of {session.url}", highlight=False)


def whoami() -> None:
    """Show who you are to the admin API.

    Examples:

        querygate whoami
    """
    with open_client() as client:
        me = client.get("/v1/auth/me")
        typer.echo(f"{me['name']} at {client.session.url} ({', '.join(me['roles']) or 'no role'})")


def open_client() -> ApiClient:
    """The API that this user is logged in to. Raises ``ConfigurationError`` without a login."""
    from gateway.client.api import ApiClient
    from gateway.client.session import SessionFile

    file = SessionFile(os.environ)
    session = file.load()
    if session is None:
        raise ConfigurationError("you are not logged in; run: querygate login https://…")
    return ApiClient(file, session)


def logged_in() -> bool:
    """Whether there is a login."""
    from gateway.client.session import SessionFile

    return SessionFile(os.environ).load() is not None


def _password(file: Path | None) -> str:
    if file is None:
        return str(typer.prompt("Password", hide_input=True, err=True))
    try:
        return file.read_text().removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: a password cannot be read from it") from error


def _show_prompt(prompt: Prompt) -> None:
    console = Console(stderr=True)
    if prompt.complete_url is not None:
        console.print(f"Open {prompt.complete_url}", highlight=False, soft_wrap=True)
        console.print(f"and check that it shows the code [bold]{prompt.code}[/]", highlight=False)
    else:
        console.print(f"Open {prompt.url} and enter the code [bold]{prompt.code}[/]", highlight=False, soft_wrap=True)
    console.print("Waiting …", highlight=False)
