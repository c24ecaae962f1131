"""The loader: order, state of the consumed batch, errors, shutdown, placement."""

import threading
import time

import numpy as np
import pytest

from flan_jax.data.loader import Loader
from flan_jax.mesh import PjitPartitioner


class Numbers:
    """Batches 1, 2, 3, ...; optionally failing or slow."""

    def __init__(self, fail_at=None, delay_s=0.0):
        self.step, self._fail_at, self._delay_s = 0, fail_at, delay_s

    def __next__(self):
        time.sleep(self._delay_s)
        if self.step + 1 == self._fail_at:
            raise OSError("disk gone")
        self.step += 1
        return {"x": np.full((8, 2), self.step, np.int32)}

    def state_at(self, step):
        return str(step).encode()

    def stats(self):
        return {"batches": self.step}


class Host:
    def put_batch(self, host_batch):
        return host_batch


def test_batches_come_in_order_with_the_state_of_the_consumed_one():
    stream = Numbers()
    with Loader(stream, Host(), start_step=0) as loader:
        assert loader.state_at() == b"0" and loader.stats() == {"batches": 0}
        assert [int(next(loader)["x"][0, 0]) for _ in range(5)] == [1, 2, 3, 4, 5]
        deadline = time.monotonic() + 10
        while stream.step < 7 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert stream.step >= 7  # Prepared ahead,
        assert loader.step == 5 and loader.state_at() == b"5"  # which the state does not show,
        assert loader.stats() == {"batches": 5}  # nor the counts.
    assert not any(thread.name == "data-loader" for thread in threading.enumerate())
    with pytest.raises(StopIteration):
        next(loader)
    loader.close()


def test_error_comes_after_the_batches_before_it_as_the_same_object():
    with Loader(Numbers(fail_at=3), Host()) as loader:
        assert [int(next(loader)["x"][0, 0]) for _ in range(2)] == [1, 2]
        for _ in range(2):
            with pytest.raises(OSError, match="disk gone"):
                next(loader)


def test_waiting_is_counted():
    with Loader(Numbers(delay_s=0.05), Host()) as loader:
        next(loader)
        assert loader.wait_s >= 0.03


def test_wrong_start_step_is_refused():
    with pytest.raises(ValueError, match="after batch 0, not 4"):
        Loader(Numbers(), Host(), start_step=4)


@pytest.mark.parametrize("num_devices", [1, 8])
def test_global_batch_is_the_same_on_any_number_of_devices(num_devices):
    import jax

    partitioner = PjitPartitioner(devices=jax.devices()[:num_devices])
    with Loader(Numbers(), partitioner) as loader:
        batch = next(loader)
    assert len(batch["x"].sharding.device_set) == num_devices
    np.testing.assert_array_equal(np.asarray(batch["x"]), np.full((8, 2), 1))
