"""MongoDB by PyMongo; each user has a client, as each user has an identity."""

from __future__ import annotations

from typing import Any

from pymongo import MongoClient
from pymongo.collection import Collection
from typing_extensions import override

from loadtests.clients.base import DatabaseUser

Document = dict[str, Any]


class MongoUser(DatabaseUser):
    """A session by PyMongo."""

    abstract = True
    protocol = "mongodb"

    @override
    def connect(self) -> None:
        """Open the connection: PyMongo does so at the first command."""
        self.client: MongoClient[Document] = MongoClient(
            self.settings.needed("mongodb"), maxPoolSize=1, serverSelectionTimeoutMS=10_000
        )
        self.client.admin.command("ping")

    @override
    def on_stop(self) -> None:
        """Close it."""
        if hasattr(self, "client"):
            self.client.close()

    def collection(self, name: str) -> Collection[Document]:
        """A collection of the shop."""
        return self.client[self.settings.database][name]
