"""The kinds of documents that plans are about, in the order in which they are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from admin_api.classifications.service import ClassificationService
from admin_api.documents.secrets import show
from admin_api.documents.service import DocumentService
from admin_api.policies.service import PolicyService
from admin_api.principals.service import PrincipalService
from admin_api.resources.service import ResourceService

SERVICES: Final[Mapping[str, type[DocumentService[Any]]]] = {
    "resources": ResourceService,
    "principals": PrincipalService,
    "classifications": ClassificationService,
    "policies": PolicyService,
}


def shown_document(section: str, document: Mapping[str, object]) -> dict[str, Any]:
    """A stored document without its secrets."""
    return show(dict(document), SERVICES[section].kind.secrets)
