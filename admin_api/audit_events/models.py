"""Events of the audit, as they are searched and shown."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class EventOut(BaseModel):
    """An event in its canonical form, OCSF 1.7; see docs/audit.md for its fields."""

    model_config = ConfigDict(extra="allow")

    class_uid: int = Field(examples=[6005])
    time: int = Field(description="Unix milliseconds", examples=[1764080000000])
    metadata: dict[str, Any]


class SearchIn(BaseModel):
    """What to look for: everything that is given must hold."""

    person: str | None = Field(
        default=None, max_length=1000, description="Who acted, or on whose behalf", examples=["ana@example.com"]
    )
    resource: str | None = Field(default=None, max_length=63, examples=["shop-prod"])
    object: str | None = Field(
        default=None, max_length=1000, description="A table or collection that was read or written, `schema.name`"
    )
    action: str | None = Field(default=None, max_length=40, description="What the statement does", examples=["read"])
    decision: str | None = Field(default=None, max_length=40, description="What the policies said", examples=["deny"])
    outcome: str | None = Field(default=None, max_length=60, description="How it ended", examples=["refused"])
    kind: str | None = Field(
        default=None, max_length=60, description="The event's code or its beginning", examples=["statement", "admin."]
    )
    text: str | None = Field(default=None, max_length=1000, description="A part of the statement's text")
    masked: str | None = Field(
        default=None,
        max_length=1000,
        description="A label, or a pattern of labels, of which values were masked",
        examples=["pii.*"],
    )
    since: datetime | None = Field(default=None, description="From this time on")
    until: datetime | None = Field(default=None, description="Before this time")
