"""The listener in asyncio programs::

    async for batch in aio.batches(listener):
        await store(batch)

The same rule holds: a batch is dealt with when the next is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from edge.listen.client import Connection, Listener
from edge.listen.opener import Finding


async def batches(
    listener: Listener, most: int = 500, wait: float = 1.0
) -> AsyncGenerator[list[Finding | Connection], None]:
    """``Listener.batches``, waiting in a thread. Cancelling it stops the listener."""
    iterator = listener.batches(most, wait)
    waiting: asyncio.Future[list[Finding | Connection] | None] | None = None
    try:
        while True:
            waiting = asyncio.ensure_future(asyncio.to_thread(next, iterator, None))
            batch = await asyncio.shield(waiting)
            if batch is None:
                return
            yield batch
    finally:
        if waiting is not None and not waiting.done():
            listener.stop()
            await waiting
        iterator.close()
