"""QR codes in a picture. The only module that imports ZXing.

OpenCV's own readers were dropped for it: on drawn claims ``QRCodeDetector`` never read one in eighteen, however it was
held, and both need more pixels a module and about fifteen times as long.
"""

from __future__ import annotations

import numpy as np
import zxingcpp
from numpy.typing import NDArray

_LONGEST = 1024  # characters, more than a claim has


def claim_text(grey: NDArray[np.uint8]) -> str:
    """The text of the QR code in ``grey`` (``uint8 (height, width)``), at most 1,024 characters; empty when none can
    be read. Of several codes, one that looks like a claim goes before a poster's."""
    found = zxingcpp.read_barcodes(grey, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode))
    texts = [code.bytes.decode(errors="replace")[:_LONGEST] for code in found]
    return next((text for text in texts if text.startswith("vidik://")), texts[0] if texts else "")
