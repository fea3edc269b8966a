"""The process that has the camera and no network. Start reading at ``pipeline.py``."""

import os

# Read while numpy loads. Its matrices are tiny here, and a second thread would only spin, waiting for more of them.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
