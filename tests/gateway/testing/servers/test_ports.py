from gateway.testing.servers.ports import free_port, free_ports


def test_no_port_is_given_twice() -> None:
    """What asked for the first may not listen yet."""
    found = [free_port() for _ in range(300)] + list(free_ports(20))
    assert len(set(found)) == len(found)
