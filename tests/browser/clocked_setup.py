"""``python -m edge.setup`` where nobody disciplines the kernel's clock, as in a container: only that is pretended."""

from __future__ import annotations

import sys

from edge import clock

clock.synchronised = lambda: True

from edge.setup.__main__ import main  # noqa: E402 - after the clock was replaced

if __name__ == "__main__":
    sys.exit(main())
