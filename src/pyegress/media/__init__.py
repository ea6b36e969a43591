"""Decoding, timing, composing, mixing and encoding."""

import os

# Small matrices only: OpenBLAS's further threads would spin between them, for up to 0.05 core. Has to be said before
# numpy is loaded, and does nothing in a program that has loaded it already.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
