"""``/v1/settings``: what the configuration file says, to be looked at. It is changed in the file."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from admin_api.deps import ContextDep, WorkDep
from admin_api.revision import current_revision
from admin_api.security import Viewer
from gateway import __version__
from gateway.config import Config, Literals

router = APIRouter(prefix="/v1/settings", tags=["settings"])


class SettingsOut(BaseModel):
    """What the gateway beside this API runs with. No secret is in it."""

    version: str = Field(examples=[__version__])
    gateway_snapshot: str = Field(description="Digest of what is in force", examples=["3f9a0c1d"])
    store: str = Field(description="`sqlite` or `postgresql`", examples=["sqlite"])
    revision: int = Field(ge=0, description="Grows with every change of what gateways decide by", examples=[12])
    listeners: dict[str, str] = Field(examples=[{"postgres": "127.0.0.1:6432"}])
    tls: str = Field(description="`files`, `self_signed` or `disable`", examples=["self_signed"])
    audit: dict[str, Any]
    limits: dict[str, Any]
    access_token_ttl: float = Field(description="Seconds", examples=[600])
    refresh_token_ttl: float = Field(description="Seconds", examples=[43200])
    oidc_issuers: list[str] = Field(examples=[["https://id.example.com"]])
    secret_variables: list[str] = Field(description="Environment variables that documents may name as secrets")
    trusted_proxies: list[str] = Field(
        description="Who is believed from where a request comes; empty: nobody", examples=[["10.0.0.0/24"]]
    )


@router.get("")
async def read_settings(who: Viewer, context: ContextDep, work: WorkDep) -> SettingsOut:
    """The settings in force. They are the configuration file's, and take effect with a restart."""
    config, proxies = context.config, context.settings.proxies
    return SettingsOut(
        version=__version__,
        gateway_snapshot=context.plane.snapshot().version,
        store="sqlite" if context.database.is_sqlite else "postgresql",
        revision=await current_revision(work.session),
        listeners={name: _address(address) for name, address in config.listeners.items()},
        tls=config.tls.mode.value,
        audit=_audit(config),
        limits={name: getattr(config.limits, name) for name in config.limits.__dataclass_fields__},
        access_token_ttl=context.settings.access_token_ttl,
        refresh_token_ttl=context.settings.refresh_token_ttl,
        oidc_issuers=[item.issuer for item in context.settings.oidc],
        secret_variables=list(context.settings.secret_variables),
        trusted_proxies=[] if proxies is None else [str(network) for network in proxies.trusted],
    )


def _audit(config: Config) -> dict[str, Any]:
    durability = config.audit.durability
    return {
        "durability": {"write": durability.write.value, "read": durability.read.value},
        "literals": {
            "default": (config.audit.literals.default or Literals.KEEP).value,
            "labels": {pattern: choice.value for pattern, choice in config.audit.literals.labels.items()},
        },
        "sinks": [sink.type for sink in config.audit.sinks],
    }


def _address(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
