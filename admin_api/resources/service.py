"""The life of resources."""

from __future__ import annotations

from typing import Any, Final

from typing_extensions import override

from admin_api.documents.models import Document
from admin_api.documents.secrets import keeps_secret
from admin_api.documents.service import DocumentService, Kind
from admin_api.errors import Invalid, Wrong
from admin_api.resources.models import ResourceRow

PASSWORD: Final = ("credentials", "password")
RESOURCES: Final = Kind("resources", "resource", "res", ResourceRow, secrets=(PASSWORD,))


class ResourceService(DocumentService[ResourceRow]):
    """A password that was sealed goes only where it was meant to go when it was given."""

    kind = RESOURCES

    @override
    def check(self, document: Document, before: Document | None) -> None:
        if before is None or not keeps_secret(document, PASSWORD):
            return
        changed = [key for key in ("protocol", "address", "tls") if document.get(key) != before.get(key)]
        if changed:
            detail = f"give the password anew: with another {' and '.join(changed)} it would go to another server"
            raise Invalid("the password cannot be kept", errors=[Wrong(pointer="/credentials/password", detail=detail)])


def filters(protocol: str | None, environment: str | None) -> dict[str, Any]:
    """What a list of resources can be narrowed by."""
    return {"protocol": protocol, "environment": environment}
