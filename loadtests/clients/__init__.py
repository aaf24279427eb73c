"""One client for each protocol, over a driver that Locust's gevent can switch between.

Each is a Locust ``User`` that reports by the request event: ``request_type`` is the protocol, ``name`` the scenario.
"""
