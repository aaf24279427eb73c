"""The configuration file: ``load_config`` reads ``querygate.yaml`` into a ``Config`` that everything is built from."""

from gateway.config.loader import load_config
from gateway.config.secrets import Secret
from gateway.config.settings import (
    Address,
    AuditSettings,
    Config,
    Durability,
    DurabilitySettings,
    JwtIssuer,
    LimitSettings,
    Literals,
    PluginSettings,
    SinkSettings,
    TlsMode,
    TlsSettings,
    TokenSettings,
)
from gateway.config.verifier import format_verifier, parse_verifier

__all__ = [
    "Address",
    "AuditSettings",
    "Config",
    "Durability",
    "DurabilitySettings",
    "JwtIssuer",
    "LimitSettings",
    "Literals",
    "PluginSettings",
    "Secret",
    "SinkSettings",
    "TlsMode",
    "TlsSettings",
    "TokenSettings",
    "format_verifier",
    "load_config",
    "parse_verifier",
]
