"""What endpoints about gateways take."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request

from admin_api.gateways.fleet import Fleet


def get_fleet(request: Request) -> Fleet:
    """What all requests share about gateways."""
    return cast(Fleet, request.app.state.fleet)


FleetDep = Annotated[Fleet, Depends(get_fleet)]
