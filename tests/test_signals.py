"""Ctrl-C and SIGTERM: heard once as a wish, twice as an order, and passed on to whoever listened before."""

from __future__ import annotations

import signal

import pytest

from wflow._signals import Interrupt

SIGNALS = [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")]


@pytest.mark.parametrize(("number", "name"), SIGNALS)
def test_a_first_one_asks_and_a_second_one_raises(number, name):
    before = signal.getsignal(number)
    with Interrupt() as interrupt:
        assert interrupt.asked == ""
        signal.raise_signal(number)
        assert interrupt.asked == name
        for again in (number, signal.SIGINT, signal.SIGTERM):
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(again)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(("number", "name"), SIGNALS)
def test_whoever_listened_before_is_told_afterwards(number, name):
    heard = []
    before = signal.signal(number, lambda *arguments: heard.append(arguments))
    try:
        with Interrupt() as interrupt:
            pass
        assert heard == []
        with Interrupt() as outer:
            with Interrupt() as interrupt:
                signal.raise_signal(number)
                assert (interrupt.asked, outer.asked, heard) == (name, "", [])
            assert outer.asked == name
        assert [told for told, _ in heard] == [number]
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize(("number", "name"), SIGNALS)
def test_a_process_told_to_ignore_it_goes_on_doing_so(number, name):
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with Interrupt() as interrupt:
            signal.raise_signal(number)
            assert interrupt.asked == ""
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)
