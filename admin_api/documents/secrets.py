"""Secrets inside documents: sealed when they are written, never shown, and bound to where they are sent.

What is stored is ``{sealed: text}``, what is shown ``{sealed: true}``; sent back as it was shown it means "as it is".
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from admin_api.context import Context
from admin_api.documents.models import Document
from admin_api.errors import Invalid, Wrong
from gateway.control.sealing import Sealer
from gateway.policy.globs import Globs

SHOWN: Final = {"sealed": True}

Place = tuple[str, ...]


def seal(document: Document, places: Sequence[Place], sealer: Sealer, before: Document | None) -> Document:
    """A copy with every secret sealed. ``before`` is the stored document that it replaces, or None.

    Raises ``Invalid`` where a secret is to be kept and there is none.
    """
    sealed = copy.deepcopy(document)
    for place in places:
        holder = _holder(sealed, place)
        if holder is None:
            continue
        value = holder.get(place[-1])
        if isinstance(value, str):
            holder[place[-1]] = {"sealed": sealer.seal(value)}
        elif isinstance(value, dict) and "sealed" in value:
            kept = None if before is None else (_holder(before, place) or {}).get(place[-1])
            if value != SHOWN or not isinstance(kept, dict) or not kept.keys() & {"sealed", "verifier"}:
                raise _invalid(place, "there is no secret to keep; give it, or a reference to it")
            holder[place[-1]] = kept
    return sealed


def show(document: Document, places: Sequence[Place]) -> Document:
    """A copy to be shown: references as they are, sealed secrets as ``{sealed: true}``."""
    shown = copy.deepcopy(document)
    for place in places:
        holder = _holder(shown, place)
        value = None if holder is None else holder.get(place[-1])
        if holder is not None and not (value is None or (isinstance(value, dict) and value.keys() & {"env", "file"})):
            holder[place[-1]] = dict(SHOWN)
    return shown


def keeps_secret(document: Document, place: Place) -> bool:
    """Whether a document as it was sent asks to keep the secret at a place."""
    holder = _holder(document, place)
    return holder is not None and holder.get(place[-1]) == SHOWN


def check_references(document: Document, places: Sequence[Place], context: Context) -> None:
    """Raise ``Invalid`` for a reference to a secret of the machine that documents may not name.

    Who may say where a database is could otherwise have any secret of the gateway's machine sent there.
    """
    settings = context.settings
    for place in places:
        holder = _holder(document, place)
        match None if holder is None else holder.get(place[-1]):
            case {"env": str(name)} if not Globs(settings.secret_variables).matches(name):
                allowed = ", ".join(settings.secret_variables) or "none"
                raise _invalid(
                    (*place, "env"),
                    f"documents may name these variables only: {allowed}; "
                    f"control_plane.secrets.env in the configuration file says which",
                )
            case {"file": str(path)} if not _inside(context.config.path.parent / path, settings.secret_folder):
                raise _invalid(
                    (*place, "file"),
                    "documents may name files only below control_plane.secrets.folder of the configuration file",
                )


def _inside(path: Path, folder: Path | None) -> bool:
    return folder is not None and path.resolve().is_relative_to(folder.resolve())


def _holder(document: Document, place: Place) -> dict[str, Any] | None:
    value: Any = document
    for key in place[:-1]:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else None


def _invalid(place: Place, detail: str) -> Invalid:
    return Invalid("a secret cannot be used", errors=[Wrong(pointer="/" + "/".join(place), detail=detail)])
