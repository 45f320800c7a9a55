"""A port that is held for processes that share it."""

from __future__ import annotations

import socket

import pytest

from imrs_server.cli.ports import Reservation


def listening(address: str, *, shared: bool) -> socket.socket:
    host, _, port = address.rpartition(":")
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
    try:
        made.bind((host, int(port)))
        made.listen()
    except OSError:
        made.close()
        raise
    return made


def test_who_shares_may_serve_on_it_and_nobody_else() -> None:
    with Reservation("127.0.0.1:0") as held:
        with pytest.raises(OSError, match="in use"):
            listening(held.address, shared=False)
        with listening(held.address, shared=True), listening(held.address, shared=True):
            pass


def test_a_second_reservation_is_refused_before_and_while_the_first_serves() -> None:
    with Reservation("127.0.0.1:0") as held:
        with pytest.raises(OSError, match="in use"):
            Reservation(held.address)
        with listening(held.address, shared=True), pytest.raises(OSError, match="in use"):
            Reservation(held.address)
    with Reservation(held.address):
        pass


def test_all_addresses_of_a_name_are_held() -> None:
    with Reservation("localhost:0") as held:
        for family, _, _, _, (host, *_) in socket.getaddrinfo("localhost", None, type=socket.SOCK_STREAM):
            with socket.socket(family) as other, pytest.raises(OSError, match=r"in use|assign"):
                other.bind((host, int(held.address.rpartition(":")[2])))


def test_a_name_that_is_none_is_an_oserror() -> None:
    with pytest.raises(socket.gaierror):
        Reservation("nowhere.invalid:0")
