"""MySQL and MariaDB as a protocol of the gateway."""
