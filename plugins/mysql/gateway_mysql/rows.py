"""Kernels that walk rows in MySQL's packets: skip them, mask them.

They exist twice: compiled (``_rows``, used where it was built) and in plain Python (``_rows_reference``), which is the
specification and the fallback. ``QUERYGATE_PURE_PYTHON=1`` in the environment forces the second.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING or os.environ.get("QUERYGATE_PURE_PYTHON") == "1":
    from gateway_mysql._rows_reference import COMPILED, RowMask, mask_payload, mask_rows, scan_rows
else:
    try:
        from gateway_mysql._rows import COMPILED, RowMask, mask_payload, mask_rows, scan_rows
    except ImportError:
        from gateway_mysql._rows_reference import COMPILED, RowMask, mask_payload, mask_rows, scan_rows

LENGTH_ENCODED, LENGTH_BYTE = 0, -1
"""Widths of binary columns that are not fixed: a length-encoded string, and a length in one byte (dates and times)."""

__all__ = ["COMPILED", "LENGTH_BYTE", "LENGTH_ENCODED", "RowMask", "mask_payload", "mask_rows", "scan_rows"]
