"""What Locust finds: every scenario."""

from loadtests.clients.clock import set_clock
from loadtests.scenarios.admin_api import AdminApi
from loadtests.scenarios.mixed import MongoMixed, MySqlMixed, PostgresMixed
from loadtests.scenarios.reads import MongoReads, MySqlReads, PostgresReads

__all__ = [
    "AdminApi",
    "MongoMixed",
    "MongoReads",
    "MySqlMixed",
    "MySqlReads",
    "PostgresMixed",
    "PostgresReads",
    "set_clock",
]
