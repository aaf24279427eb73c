"""Brings the audit to the log engines that people use already.

The log itself is the spool: a sink of this kind reads it behind the gateway's back, in a process of its own, remembers
how far it has come, and goes on from there after any failure. So every event arrives at least once and in order, a
receiver that is away for an hour costs nothing but the log's own room, and no statement waits for it.

``options`` reads a sink's settings, ``forms`` turns events into what receivers want, ``http``, ``syslog`` and
``archive`` deliver, ``cursor`` remembers, ``shipper`` drives one sink, ``process`` is the process with all of them.
"""
