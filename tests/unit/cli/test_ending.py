"""A signal counts whenever it comes."""

from __future__ import annotations

import signal
import threading

import pytest

from imrs_server.cli.ending import SIGNALS, Ending


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_before_the_wait_is_not_missed(number: signal.Signals) -> None:
    with Ending() as ending:
        assert not ending.wished
        signal.raise_signal(number)
        signal.raise_signal(number)  # somebody impatient
        assert ending.wished
        ending.wait()
        ending.wait()


def test_a_signal_during_the_wait_ends_it() -> None:
    with Ending() as ending:
        impatience = threading.Timer(0.05, signal.raise_signal, [signal.SIGTERM])
        impatience.start()
        ending.wait()
        impatience.join()


def test_afterwards_signals_do_what_they_did() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with Ending():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert signal.set_wakeup_fd(-1) == -1
