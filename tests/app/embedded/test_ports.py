import socket
from pathlib import Path

import pytest

from app.embedded.errors import StackError
from app.embedded.processes.ports import ATTEMPTS, LOOPBACK, KeptPorts, free_port, is_free, on_free_ports


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


def test_a_port_is_kept_for_the_next_start(tmp_path: Path) -> None:
    first = KeptPorts(tmp_path / "ports.json", never)
    ports = {name: first.pick(name) for name in ("PostgreSQL", "Temporal")}
    first.keep()
    second = KeptPorts(tmp_path / "ports.json", never)
    assert {name: second.pick(name) for name in ports} == ports


def test_a_default_is_used_while_it_is_free_and_the_change_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    wanted = free_port()
    assert KeptPorts(tmp_path / "ports.json", never).pick("the gateway", wanted) == wanted
    with socket.create_server((LOOPBACK, wanted)):
        other = KeptPorts(tmp_path / "ports.json", said.append).pick("the gateway", wanted)
    assert other != wanted
    assert said == [f"port {wanted} is in use, so the gateway gets port {other}"]


def test_a_port_that_was_taken_after_it_was_picked_is_not_picked_again(tmp_path: Path) -> None:
    said: list[str] = []
    ports = KeptPorts(tmp_path / "ports.json", said.append)
    first = ports.pick("the gateway")
    second = ports.pick("the gateway")
    assert first != second
    assert said == [f"port {first} is in use, so the gateway gets port {second}"]
    ports.keep()
    assert KeptPorts(tmp_path / "ports.json", never).pick("the gateway") == second


def test_a_required_port_that_is_in_use_is_refused(tmp_path: Path) -> None:
    ports = KeptPorts(tmp_path / "ports.json", never)
    with socket.create_server((LOOPBACK, port := free_port())), pytest.raises(StackError, match=f"port {port} is in"):
        ports.require("the gateway", port)
    assert ports.require("the gateway", port) == port


def test_a_damaged_file_of_ports_is_named(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text("{")
    with pytest.raises(StackError, match=r"ports\.json is damaged: remove it"):
        KeptPorts(tmp_path / "ports.json", never)


def never(what: str) -> None:
    pytest.fail(f"nothing had to change, but: {what}")
