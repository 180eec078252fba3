import socket

import pytest

from app.embedded.errors import StackError
from app.embedded.processes.ports import ATTEMPTS, LOOPBACK, free_port, is_free, on_free_ports


def test_a_port_is_free_until_a_server_listens_on_it() -> None:
    port = free_port()
    assert is_free(port)

    with socket.create_server((LOOPBACK, port)):
        assert not is_free(port)


def test_free_ports_are_unique() -> None:
    ports = [free_port() for _ in range(50)]

    assert len(set(ports)) == len(ports)


def test_only_a_taken_port_is_retried_a_limited_number_of_times() -> None:
    tries: list[str] = []

    def fail(reason: str) -> None:
        tries.append(reason)
        raise StackError(reason)

    with pytest.raises(StackError, match="Address already in use"):
        on_free_ports(lambda: fail("bind: Address already in use"))
    with pytest.raises(StackError, match="disk full"):
        on_free_ports(lambda: fail("disk full"))

    assert tries == ["bind: Address already in use"] * ATTEMPTS + ["disk full"]
