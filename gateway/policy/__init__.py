"""Policies: documents, conditions, compilation, evaluation, and the snapshot that holds them.

``documents`` and ``checks`` say what may be written, ``compile`` makes it fast, ``facts`` and ``evaluate`` decide,
``snapshot`` is what the data plane reads, ``verify`` runs the samples that come with policies.
"""
