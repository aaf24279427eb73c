"""Questions to the chain: what would happen to a statement, without running it."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MAX_TEXT = 256 * 1024

Name = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class QuestionIn(BaseModel):
    """Who asks for what, and from where."""

    model_config = ConfigDict(extra="forbid")

    principal: Name = Field(examples=["ana@example.com"])
    resource: Name = Field(examples=["shop-prod"])
    statement: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT)] = Field(
        examples=["SELECT name, email FROM customers"]
    )
    database: Name | None = Field(default=None, description="Another database of the resource than its own")
    application: Annotated[str, StringConstraints(max_length=200)] = Field(default="", examples=["psql"])
    client_address: Annotated[str, StringConstraints(min_length=1, max_length=100)] = Field(
        default="127.0.0.1", examples=["10.0.0.7"]
    )


class ExplanationOut(BaseModel):
    """What would happen, and why: the facts of the statement, the decision, and the mask of each result column."""

    model_config = ConfigDict(extra="allow")

    principal: dict[str, Any]
    resource: str
    database: str
    allowed: bool = Field(description="Whether the database would see the statement")
    session: dict[str, Any] = Field(description="The decision about coming in at all")
    statements: list[dict[str, Any]] = Field(description="Facts, labels and result columns of each statement")
    decision: dict[str, Any] | None
    refusal: str | None
    refused_by: str | None
    client_message: str | None
    redacts_messages: bool
    masks_are: str
