"""Reading .npz files that may come from others: arrays only, never objects, and no more than fits.

An .npz is a zip file, whose few bytes can claim to hold any number; numpy would believe it.
"""

import zipfile
from typing import BinaryIO

import numpy as np
from etils import epath

MOST_BYTES = 8 << 30


def read_arrays(
    file: epath.PathLike | BinaryIO, most_bytes: int = MOST_BYTES
) -> dict[str, np.ndarray]:
    """Returns name -> array.

    Args:
      file: path, or an open binary file.
      most_bytes: of all arrays together, unpacked.

    Raises:
      ValueError: an array holds Python objects, or the arrays are larger than that.
      OSError, zipfile.BadZipFile: there is no such file, or it is no .npz.
    """
    with zipfile.ZipFile(file) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > most_bytes:
        raise ValueError(f"its arrays unpack to {size:,} bytes; at most {most_bytes:,} are read")
    if not isinstance(file, str) and hasattr(file, "seek"):
        file.seek(0)  # pyright: ignore[reportAttributeAccessIssue]
    with np.load(file, allow_pickle=False) as content:
        return {name: content[name] for name in content.files}
