"""Strict settings shared by all tests: 8 emulated CPU devices, no silent rank promotion."""

import os

# Set before jax is first imported: the device count is read once.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_force_host_platform_device_count=8"
    # Programs of tests run for milliseconds: compiling them quickly is what counts.
    + " --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
).strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import importlib.util
import pathlib

import gin
import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")

SHARED_DATA = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def _no_bindings_left():
    """Takes back what a test binds in gin, which would change the defaults of those after it."""
    yield
    gin.clear_config()


@pytest.fixture
def key():
    """A fixed PRNG key; split it, never reuse it."""
    return jax.random.key(0)


@pytest.fixture
def shared_data() -> pathlib.Path:
    """The folder of real data files beside the checkout; skips where there is none."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real data folder at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def golden_maker():
    """`golden_maker(name)`: the module tests/golden/<name>.py."""

    def load(name):
        path = pathlib.Path(__file__).parent / "golden" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def decoder_golden(golden_maker):
    """The module tests/golden/make_decoder_golden.py."""
    return golden_maker("make_decoder_golden")
