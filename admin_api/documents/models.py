"""What all documents in the store share: a row with a name, a version and the document in the file's own form."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel
from pydantic import Field as Described
from sqlalchemy import JSON
from sqlmodel import Field, SQLModel

from admin_api.db import Moment

Document = dict[str, Any]
"""A resource, principal, classification or policy as the configuration file would have it; secrets sealed."""


class DocumentRow(SQLModel):
    """Columns of every table of documents. ``name`` is what people call it by, and unique."""

    id: str = Field(primary_key=True, max_length=60)
    name: str = Field(unique=True, max_length=1000)
    version: int = 1
    document: Document = Field(sa_type=JSON)
    created_at: datetime = Field(sa_type=Moment)
    created_by: str = Field(max_length=500)
    updated_at: datetime = Field(sa_type=Moment)
    updated_by: str = Field(max_length=500)


class Meta(BaseModel):
    """What the store knows about a document. Ignored where it is sent back."""

    id: str = Described(examples=["res-0192f0c1a2b3d4e5f60718293a4b"])
    version: int = Described(ge=1, description="Also the ETag", examples=[3])
    created_at: datetime
    created_by: str = Described(examples=["root"])
    updated_at: datetime
    updated_by: str = Described(examples=["root"])
    warnings: list[str] = Described(default=[], description="What is probably not meant; in answers to changes")


def meta_of(row: DocumentRow, warnings: tuple[str, ...] = ()) -> dict[str, Any]:
    """The JSON form of ``Meta``."""
    fields = {name: getattr(row, name) for name in Meta.model_fields if name != "warnings"}
    meta = Meta(**fields, warnings=list(warnings))
    return meta.model_dump(mode="json", exclude_defaults=True)
