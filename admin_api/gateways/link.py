"""``/link``: what gateways ask. The form of everything is ``gateway.control.wire``'s."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, cast

from fastapi import APIRouter, Body, Depends, Header, Path, Query, Request, Response, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from typing_extensions import override

from admin_api.context import Context
from admin_api.deps import ContextDep, client_address
from admin_api.documents.endpoints import problems
from admin_api.errors import BadRequest, NotFound, Unauthenticated
from admin_api.gateways.commands import CommandRepository
from admin_api.gateways.deps import FleetDep
from admin_api.gateways.repository import GatewayRepository
from admin_api.gateways.service import recognise
from admin_api.security import Identity, Need
from admin_api.snapshots.repository import SnapshotRepository
from gateway.control.signing import MEDIA_TYPE
from gateway.control.wire import KEY_HEADER, PREFIX, WRAPPED_HEADER, Changes, LinkReport

router = APIRouter(prefix=PREFIX, tags=["link"])

MAX_WAIT = 60.0
_bearer = HTTPBearer(auto_error=False, scheme_name="GatewayCredential", description="The credential of a gateway")


class GatewayCredential(Need):
    """What the link's endpoints need: the credential of a gateway, and no role. The identity is the gateway's."""

    def __init__(self) -> None:
        super().__init__(None)

    @override
    async def __call__(
        self, request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
    ) -> Identity:
        """The gateway. Raises 401."""
        if credentials is None:
            raise Unauthenticated("a gateway's credential is needed")
        context = cast(Context, request.app.state.context)
        async with context.database.transaction() as session:
            row = await recognise(GatewayRepository(session), credentials.credentials)
        identity = Identity(row.name, id=row.id)
        request.state.identity = identity
        return identity


GatewayDep = Annotated[Identity, Depends(GatewayCredential())]


@router.get("/changes", response_model=Changes, responses=problems(401))
async def read_changes(
    gateway: GatewayDep,
    context: ContextDep,
    fleet: FleetDep,
    snapshot: Annotated[str, Query(max_length=64, description="The one in force at the gateway")] = "",
    after: Annotated[int | None, Query(ge=0, description="The last command that was taken")] = None,
    wait: Annotated[float, Query(ge=0, le=MAX_WAIT, description="Seconds to wait for something new")] = 0.0,
) -> Any:
    """What is new. A gateway that begins (without `after`) is given no old commands: its snapshot says it all."""
    announced = fleet.publisher.announced
    if after is not None and announced.name == snapshot and announced.command <= after:
        announced = await fleet.publisher.wait(snapshot, announced.command, wait)
    commands: list[Any] = []
    if after is not None and announced.command > after:
        async with context.database.transaction() as session:
            commands = list(await CommandRepository(session).beyond(after))
    newest = max([announced.command, *(command.sequence for command in commands)])
    changes = Changes(
        snapshot=announced.name,
        number=announced.number,
        signing_key=fleet.publisher.signing_key,
        after=newest,
        commands=tuple(commands),
    )
    return Response(changes.model_dump_json(), media_type="application/json")


@router.get("/snapshots/{name}", responses={**problems(400, 401, 404), 200: {"content": {MEDIA_TYPE: {}}}})
async def read_signed_snapshot(
    gateway: GatewayDep,
    context: ContextDep,
    name: Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")],
    key: Annotated[str, Header(alias=KEY_HEADER, max_length=64, description="The gateway's X25519 key, base64")],
) -> Response:
    """A signed snapshot. The key that opens its secrets is in a header, wrapped for the gateway's own."""
    async with context.database.transaction() as session:
        row = await SnapshotRepository(session).find_name(name)
    if row is None:
        raise NotFound("there is no such snapshot any more; ask for changes again")
    try:
        wrapped = context.sealer.wrap_for(base64.b64decode(key, validate=True), context.install_secret)
    except (ValueError, binascii.Error):
        raise BadRequest(f"{KEY_HEADER}: not an X25519 public key in base64") from None
    headers = {
        WRAPPED_HEADER: base64.b64encode(wrapped).decode("ascii"),
        "ETag": f'"{name}"',
        # As it lies in the store: hundreds of gateways ask for the same bytes at once.
        "Content-Encoding": "deflate",
    }
    return Response(row.signed, media_type=MEDIA_TYPE, headers=headers)


@router.post("/report", responses=problems(400, 401, 413, 422))
async def report(
    gateway: GatewayDep, request: Request, fleet: FleetDep, body: Annotated[LinkReport, Body()]
) -> dict[str, bool]:
    """A gateway tells how it is."""
    fleet.reports.take(gateway.id, client_address(request), body)
    return {"ok": True}
