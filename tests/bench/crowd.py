"""A crowd in a process of its own: `python -m tests.bench.crowd ask|silent PORT COUNT`, until it is ended.

`ask`: each connection asks for /metrics again and again, as fast as it is answered.
`silent`: each connection sends nothing. Both connect anew when they are closed.
"""

import asyncio
import contextlib
import resource
import sys

REQUEST = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
PAUSE_S = 0.2
"""Before it connects anew: it is the service's work that is measured, not the generator's on the same machine."""


async def asking(port: int) -> None:
    """One connection that asks."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while True:
            writer.write(REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            await reader.readexactly(size)
    finally:
        writer.close()


async def silent(port: int) -> None:
    """One connection that says nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        await reader.read()
    finally:
        writer.close()


async def main(kind: str, port: int, count: int) -> None:
    """Keep *count* connections of a *kind*."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    ready = asyncio.Semaphore(0)

    async def one() -> None:
        ready.release()
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await (asking if kind == "ask" else silent)(port)
            await asyncio.sleep(PAUSE_S)

    tasks = [asyncio.create_task(one()) for _ in range(count)]
    for _ in tasks:
        await ready.acquire()
    await asyncio.sleep(1)
    print("ready", flush=True)
    await asyncio.gather(*tasks)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
