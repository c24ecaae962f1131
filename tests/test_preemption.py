import os
import signal
import time

import pytest

from flan_jax import preemption


def _send(number):
    os.kill(os.getpid(), number)
    time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_for_a_stop_and_handlers_come_back(number):
    before = signal.getsignal(number)
    flag = preemption.StopFlag()
    assert not flag.reached(1)
    _send(number)
    assert flag.reached(2)
    flag.close()
    assert signal.getsignal(number) is before


def test_second_interrupt_stops_at_once():
    flag = preemption.StopFlag()
    try:
        _send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            _send(signal.SIGINT)
    finally:
        flag.close()
