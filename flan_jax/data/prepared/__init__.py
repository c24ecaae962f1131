"""Prepared data: tokenised examples in files, written once, read by number.

`flan-jax prepare` writes them (docs/prepared.md), `open_prepared` reads them.
"""

from flan_jax.data.prepared.manifest import Manifest, read_manifest
from flan_jax.data.prepared.reader import Prepared, PreparedTask, open_prepared

__all__ = ["Manifest", "Prepared", "PreparedTask", "open_prepared", "read_manifest"]
