"""The audit trail: what is recorded, how it reaches the disk, how it is proven complete and how it is read.

``event`` and ``facts`` build the canonical bytes, ``chain`` links them, ``log`` and ``writer`` put them into the
segment files that ``segments`` names, ``sinks`` copies them elsewhere, ``verify`` and ``tail`` read them again.
"""
