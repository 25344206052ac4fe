"""What a cache of compiled texts takes when it is full."""

from __future__ import annotations

import tracemalloc


def most_kept(compiled, texts):
    """Estimate the bytes of a full cache by some long texts.

    Args:
        compiled: A function with an `lru_cache`.
        texts: What it is to compile.
    """
    compiled.cache_clear()
    tracemalloc.start()
    try:
        for text in texts:
            compiled(text)
        size = tracemalloc.get_traced_memory()[0] / len(texts)
    finally:
        tracemalloc.stop()
    return size * compiled.cache_info().maxsize
