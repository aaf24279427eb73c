"""The audit trail: what is recorded, how it reaches the disk, how it is proven complete and how it is read.

``records`` makes a line of a statement, ``event`` and ``facts`` what it refers to; ``log`` and ``writer`` put lines
into the segment files that ``segments`` names; ``tree``, ``notes`` and ``checkpoints`` prove them, ``witness`` and
``sinks`` copy them elsewhere. ``reader`` is where whoever wants events gets them; ``verify`` and ``proofs`` need
nothing but the files.
"""
