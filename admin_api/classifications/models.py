"""Classifications: labels on columns and document paths."""

from typing import Any, Final

from pydantic import Field

from admin_api.documents.models import DocumentRow, Meta
from gateway.config.documents import ClassificationDocument


class ClassificationRow(DocumentRow, table=True):
    """A classification's document. Its name is ``resource/label``: one label of one resource is one document."""

    __tablename__ = "classifications"


class ClassificationIn(ClassificationDocument):
    """A label on columns or paths, as in the configuration file."""

    meta: Any = Field(default=None, description="Ignored, so that an answer can be sent back")


class ClassificationOut(ClassificationDocument):
    """A label on columns or paths, and what the store knows about it."""

    meta: Meta


EXAMPLE: Final[dict[str, Any]] = {
    "resource": "shop-prod",
    "label": "pii.email",
    "columns": ["public.customers.email", "public.staff.home_email"],
}
