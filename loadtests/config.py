"""What the environment says. ``python -m loadtests`` sets all of it; for plain ``locust``, set it yourself.

| variable | meaning |
| --- | --- |
| ``LOAD_POSTGRES`` | a libpq connection string |
| ``LOAD_MYSQL`` | ``mysql://user:password@host:port/database``, each part percent-encoded |
| ``LOAD_MONGODB`` | a ``mongodb://`` connection string |
| ``LOAD_DATABASE`` | MongoDB's database, ``shop`` if left out |
| ``LOAD_ADMIN_TOKEN`` | an access token of the admin API; its address is Locust's ``--host`` |
| ``LOAD_CUSTOMERS`` | how many customers the shop has, 200 if left out |
| ``LOAD_WAIT`` | the longest pause of a user between statements in seconds, 0.02 if left out |
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self


@dataclass(frozen=True, slots=True)
class LoadConfig:
    """Where to, and how much. Strings that are empty were not given."""

    postgres: str = field(default="", repr=False)
    mysql: str = field(default="", repr=False)
    mongodb: str = field(default="", repr=False)
    database: str = "shop"
    admin_token: str = field(default="", repr=False)
    customers: int = 200
    wait: float = 0.02

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """From the environment. Raises ``ValueError`` where a number is none."""
        return cls(
            postgres=environ.get("LOAD_POSTGRES", ""),
            mysql=environ.get("LOAD_MYSQL", ""),
            mongodb=environ.get("LOAD_MONGODB", ""),
            database=environ.get("LOAD_DATABASE", "shop"),
            admin_token=environ.get("LOAD_ADMIN_TOKEN", ""),
            customers=int(environ.get("LOAD_CUSTOMERS", "200")),
            wait=float(environ.get("LOAD_WAIT", "0.02")),
        )

    def needed(self, name: str) -> str:
        """A string that must be there; ``ValueError`` says which variable is missing."""
        value: str = getattr(self, name)
        if not value:
            raise ValueError(f"set LOAD_{name.upper()}; see loadtests/config.py")
        return value
