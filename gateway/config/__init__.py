"""The configuration file: ``load_config`` reads ``querygate.yaml`` into a ``Config`` that everything is built from."""

from gateway.config.loader import STORED, build_config, load_config
from gateway.config.secrets import Secret
from gateway.config.settings import (
    Address,
    AuditSettings,
    Config,
    ControlPlaneSettings,
    Durability,
    DurabilitySettings,
    JwtIssuer,
    LimitSettings,
    LiteralSettings,
    OidcIssuer,
    PluginSettings,
    ProxySettings,
    SinkSettings,
    TlsMode,
    TlsSettings,
    TokenSettings,
)
from gateway.config.verifier import format_verifier, parse_verifier
from gateway.domain.literals import Literals

__all__ = [
    "STORED",
    "Address",
    "AuditSettings",
    "Config",
    "ControlPlaneSettings",
    "Durability",
    "DurabilitySettings",
    "JwtIssuer",
    "LimitSettings",
    "LiteralSettings",
    "Literals",
    "OidcIssuer",
    "PluginSettings",
    "ProxySettings",
    "Secret",
    "SinkSettings",
    "TlsMode",
    "TlsSettings",
    "TokenSettings",
    "build_config",
    "format_verifier",
    "load_config",
    "parse_verifier",
]
