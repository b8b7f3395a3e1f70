"""A command that is told to end does so, wherever the signal meets it."""

import os
import signal
import threading
import weakref

import pytest

from auditd_client.cli._signals import ToldToEndError, told_to_end


class Thing:
    """Something that can be referred to weakly."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_a_callback_whose_errors_are_dropped_is_not_lost(number):
    thing = Thing()
    reference = weakref.ref(thing, lambda _: os.kill(os.getpid(), number))

    def let_go():
        nonlocal thing
        thing = None
        threading.Event().wait(30)

    with pytest.raises(ToldToEndError) as told, told_to_end():
        let_go()
    assert told.value.number == number
    assert reference() is None
