import threading

import jax
import jax.numpy as jnp
import pytest

from flan_jax import compiling
from flan_jax.errors import ConfigError


def test_programs_are_counted_and_only_this_threads_are_waited_for():
    waited = []
    log = compiling.CompileLog(on_main=waited.append)
    first = compiling.Ahead(lambda: jax.jit(lambda x: x * 3 + 1).lower(jnp.int32(1)).compile())
    first.result()
    assert first.seconds > 0
    before = len(waited)
    count = log.count.programs
    assert count >= 1 and before < count
    jax.jit(lambda x: x * 5 + 2)(7)
    assert len(waited) > before
    log.close()
    jax.jit(lambda x: x * 7 + 3)(7)
    assert log.count.programs == count + len(waited) - before


def test_an_error_ahead_is_raised_where_the_result_is_wanted():
    def fail():
        raise ConfigError(f"in {threading.current_thread().name}")

    with pytest.raises(ConfigError, match="in ahead"):
        compiling.Ahead(fail).result()


@pytest.fixture
def cache_as_before():
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    kept = {name: getattr(jax.config, name) for name in names}
    jax.config.update(names[1], 0.0)
    yield
    for name, value in kept.items():
        jax.config.update(name, value)
    from jax.experimental.compilation_cache import compilation_cache

    compilation_cache.reset_cache()


def test_the_cache_works_though_programs_were_compiled_before(tmp_path, cache_as_before):
    jax.jit(lambda x: x - 11)(1)  # JAX looks at the setting here, and not again by itself.
    assert compiling.use_cache(str(tmp_path), "unused") == str(tmp_path)
    log = compiling.CompileLog()
    for _ in range(2):
        jax.clear_caches()
        jax.jit(lambda x: x * 13 + 17)(19)
    log.close()
    assert log.count.hits >= 1 and log.count.misses >= 1
    assert "programs from the compile cache" in log.describe()
    assert any(path.name.endswith("-cache") for path in tmp_path.iterdir())


def test_where_the_cache_is(monkeypatch, tmp_path, cache_as_before):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    assert compiling.use_cache("auto", "/run") is None  # These tests run on CPU.
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    assert compiling.use_cache("auto", str(tmp_path)) == f"{tmp_path}/xla_cache"
    assert compiling.use_cache("off", "/run") is None
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    assert compiling.use_cache("auto", "/run") == str(tmp_path)
    with pytest.raises(ConfigError, match="absolute path"):
        compiling.use_cache("some/where", "/run")
