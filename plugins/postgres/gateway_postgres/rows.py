"""Kernels that walk PostgreSQL's message stream: split a burst into messages, skip rows, mask rows.

Messages are one type byte, a signed 32-bit length that counts itself, and a body. A DataRow's body is a 16-bit column
count and, for each column, a 32-bit length (-1 is NULL) and that many bytes (PostgreSQL documentation, chapter 54.7).

The kernels exist twice: compiled (``_rows``, used where it was built) and in plain Python (``_rows_reference``), which
is the specification and the fallback. ``QUERYGATE_PURE_PYTHON=1`` in the environment forces the second.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING or os.environ.get("QUERYGATE_PURE_PYTHON") == "1":
    from gateway_postgres._rows_reference import (
        COMPILED,
        RowMask,
        count_cells,
        mask_rows,
        scan_rows,
        split_backend,
        split_frontend,
    )
else:
    try:
        from gateway_postgres._rows import (
            COMPILED,
            RowMask,
            count_cells,
            mask_rows,
            scan_rows,
            split_backend,
            split_frontend,
        )
    except ImportError:
        from gateway_postgres._rows_reference import (
            COMPILED,
            RowMask,
            count_cells,
            mask_rows,
            scan_rows,
            split_backend,
            split_frontend,
        )

__all__ = ["COMPILED", "RowMask", "count_cells", "mask_rows", "scan_rows", "split_backend", "split_frontend"]
