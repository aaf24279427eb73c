"""Queries over principals."""

from __future__ import annotations

from admin_api.documents.repository import DocumentRepository
from admin_api.principals.models import PrincipalRow

PrincipalRepository = DocumentRepository[PrincipalRow]
