"""The control plane's HTTP API."""

from admin_api.app import create_app

__all__ = ["create_app"]
