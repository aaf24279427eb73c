"""The whole store as the sections of a configuration file: what snapshots are made of."""

from __future__ import annotations

from typing import Final

from sqlmodel.ext.asyncio.session import AsyncSession

from admin_api.classifications.models import ClassificationRow
from admin_api.documents.models import Document, DocumentRow
from admin_api.documents.repository import DocumentRepository
from admin_api.policies.models import PolicyRow
from admin_api.principals.models import PrincipalRow
from admin_api.resources.models import ResourceRow
from admin_api.tokens.repository import TokenRepository

TABLES: Final[dict[str, type[DocumentRow]]] = {
    "resources": ResourceRow,
    "principals": PrincipalRow,
    "classifications": ClassificationRow,
    "policies": PolicyRow,
}
"""The table of each section of documents."""


async def read_sections(session: AsyncSession) -> dict[str, list[Document]]:
    """All documents as they are stored, by name, and all access tokens that were not revoked."""
    sections = {name: await DocumentRepository(session, row).documents() for name, row in TABLES.items()}
    sections["tokens"] = await TokenRepository(session).documents()
    return sections
