"""A network between two ends that can be made as bad as needed: a TCP proxy on the loopback interface."""

from __future__ import annotations

import asyncio
import random
import threading
from contextlib import suppress

READ = 1 << 14


class Proxy:
    """Forwards to ``target`` (a port). Change the attributes at any time, from any thread.

    ``refuse``: connections are closed at once. ``stall``: nothing passes, nothing is closed. ``delays``: seconds by
    which each piece is late, there and back. ``loss``: share of packets lost; what TCP makes of it is shown, a piece
    that comes late by one or more retransmission time-outs, and everything after it too.
    """

    def __init__(self, target: int, seed: int = 0) -> None:
        self.refuse = False
        self.stall = False
        self.delays = (0.0, 0.0)
        self.loss = 0.0
        self._target = target
        self._random = random.Random(seed)
        self._open: set[asyncio.StreamWriter] = set()
        self._dead: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop
        ).result()
        self.port: int = self._server.sockets[0].getsockname()[1]

    def heal(self) -> None:
        """The network is good again; half-open connections stay dead."""
        self.refuse = self.stall = False
        self.delays, self.loss = (0.0, 0.0), 0.0

    def cut(self) -> None:
        """Ends every connection."""
        self._loop.call_soon_threadsafe(self._close_all)

    def forget(self) -> None:
        """Leaves every present connection half open: nothing ever passes again, and nobody is told."""
        self._loop.call_soon_threadsafe(lambda: self._dead.update(self._open))

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._end)
        self._thread.join()
        self._loop.close()

    def _end(self) -> None:
        self._server.close()
        self._close_all()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.call_later(0.05, self._loop.stop)

    def _close_all(self) -> None:
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()
        self._dead.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuse:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, far_writer}
        with suppress(asyncio.CancelledError):
            await asyncio.gather(
                self._pump(reader, far_writer, writer, 0), self._pump(far_reader, writer, far_writer, 1)
            )

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, origin: asyncio.StreamWriter, way: int
    ) -> None:
        with suppress(OSError):
            while piece := await reader.read(READ):
                await asyncio.sleep(self.delays[way])
                pause = 0.2
                while self._random.random() < self.loss:
                    await asyncio.sleep(pause)
                    pause *= 2
                while self.stall or writer in self._dead:  # noqa: ASYNC110 - set from other threads
                    await asyncio.sleep(0.02)
                writer.write(piece)
                await writer.drain()
        while writer in self._dead:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        for end in (writer, origin):
            end.transport.abort()
            self._open.discard(end)
