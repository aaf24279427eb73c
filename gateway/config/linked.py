"""The configuration of a gateway that has no file: everything that decides comes from its control plane."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gateway.config.documents import ConfigDocument, ControlDocument
from gateway.config.loader import build_config, load_config
from gateway.config.secrets import EnvironmentSource
from gateway.config.settings import Config
from gateway.errors import ConfigurationError

CREDENTIAL: Final = "QUERYGATE_CREDENTIAL"
"""Environment variable with the gateway's credential."""
TRUST: Final = "QUERYGATE_TRUST"
"""Environment variable with the key that snapshots must be signed with, if it is set."""
PORTS: Final = {"postgres": 6432, "mysql": 6033, "mongodb": 27018}
HEALTH: Final = "127.0.0.1:8080"


def load_linked(path: Path, url: str, *, environ: Mapping[str, str]) -> Config:
    """The file's configuration linked to the control plane at ``url``, or a plain one where there is no file.

    Without a file the gateway listens on this machine's loopback addresses at the usual ports. The credential is in
    ``QUERYGATE_CREDENTIAL``, unless the file says otherwise. Raises ``ConfigurationError``.
    """
    from gateway.assembly import installed_protocols

    if path.exists():
        base = load_config(path, environ=environ).document
        if base.control_plane is not None:
            raise ConfigurationError(f"{path}: has a control_plane of its own, and --control names another one")
    else:
        listeners = {name: f"127.0.0.1:{PORTS[name]}" for name in installed_protocols() if name in PORTS}
        base = ConfigDocument.model_validate({"listeners": listeners, "admin_api": HEALTH})
    known = base.control
    control = ControlDocument.model_validate(
        {
            "url": url,
            "credential": EnvironmentSource(CREDENTIAL) if known is None else known.credential,
            "ca": None if known is None else known.ca,
            "trust": environ.get(TRUST) if known is None or known.trust is None else known.trust,
            **({} if known is None else {"approval_grace": known.approval_grace}),
        }
    )
    return build_config(base.model_copy(update={"control": control}), {}, path=path, environ=environ)
