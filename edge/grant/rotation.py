"""Keyed rotation of face templates: every grant speaks its own language of faces.

A template is multiplied by an orthogonal matrix derived from the grant's ``template_key``. Cosines between templates
under one grant are those between the originals; templates under two grants cannot be compared without the keys, and
die with them. This is renewability and unlinkability in the sense of ISO/IEC 24745. It is not irreversibility: who
knows a few hundred pairs of original and rotated templates can compute the matrix.

The matrix, so that others can compute it: HKDF-SHA256 of the key (no salt, info ``vidik template rotation v1``) gives
a ChaCha20 key (RFC 8439, counter and nonce zero), whose stream is read as pairs of 32-bit little-endian integers
``a, b``; each pair gives ``sqrt(-2 ln((a + 1) / 2^32)) cos(2 pi b / 2^32)`` (Box and Muller, 1958); 128 x 128 of them,
row by row, are factored as QR with a positive diagonal of R. Q is then distributed uniformly (Mezzadri, 2007).
"""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from edge.vision.values import FaceTemplate

DIMENSIONS = 128
_INFO = b"vidik template rotation v1"


def matrix(template_key: bytes) -> NDArray[np.float32]:
    """The orthogonal matrix ``(128, 128)`` of ``template_key``; it takes a template, as a column, into the grant."""
    seed = HKDF(hashes.SHA256(), 32, salt=None, info=_INFO).derive(template_key)
    stream = Cipher(algorithms.ChaCha20(seed, bytes(16)), mode=None).encryptor().update(bytes(8 * DIMENSIONS**2))
    a, b = np.frombuffer(stream, "<u4").reshape(-1, 2).T.astype(np.float64)
    normal = np.sqrt(-2 * np.log((a + 1) / 2**32)) * np.cos(2 * np.pi * b / 2**32)
    q, r = np.linalg.qr(normal.reshape(DIMENSIONS, DIMENSIONS))
    return np.asarray(q * np.sign(np.diag(r)), np.float32)


def rotated(template: FaceTemplate, rotation: NDArray[np.float32]) -> FaceTemplate:
    """``template`` under the grant whose matrix is ``rotation``, quantised anew, its largest magnitude at 127."""
    real = rotation @ (template.vector.astype(np.float32) * np.float32(template.scale))
    scale = max(float(np.abs(real).max()), 1e-6) / 127
    return FaceTemplate(np.rint(real / scale).astype(np.int8), scale, template.quality)
