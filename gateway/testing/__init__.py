"""The kit for tests and for the demo: real database servers, a sample database, a gateway as a subprocess.

It ships with the product so that authors of plugins test against the same servers. Nothing in the gateway's data path
imports it.
"""
