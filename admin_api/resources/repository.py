"""Queries over resources: those that all documents have."""

from __future__ import annotations

from admin_api.documents.repository import DocumentRepository
from admin_api.resources.models import ResourceRow

ResourceRepository = DocumentRepository[ResourceRow]
