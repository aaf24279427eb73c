"""Queries over classifications."""

from __future__ import annotations

from admin_api.classifications.models import ClassificationRow
from admin_api.documents.repository import DocumentRepository

ClassificationRepository = DocumentRepository[ClassificationRow]
