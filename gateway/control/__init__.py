"""The data plane's side of the control plane: snapshots, the link to an admin API, and what services may ask of it.

Start at ``docs/control-plane.md``. Nothing here imports ``admin_api``, and nothing here is needed to serve sessions
from a configuration file.
"""
