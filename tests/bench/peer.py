"""A FastAGI server that only answers: what a look-up costs at least. `python -m tests.bench.peer` prints its ports."""

import asyncio

ANSWER = (
    b'EXEC MSet "BINDING_NUMBER=+15551230001,BINDING_DIAL=PJSIP/+15551230001@trunk,BINDING_ACCOUNT=default,'
    b'BINDING_EXTENSION=1001,BINDING_SINCE=2026-11-01T10:00:00Z,BINDING_STATUS=FOUND"\n'
)


async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer at once."""
    await reader.readuntil(b"\n\n")
    writer.write(ANSWER)
    await reader.readline()
    writer.close()


async def keyed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ask for the key before, as our look-ups do."""
    await reader.readuntil(b"\n\n")
    writer.write(b"GET VARIABLE BINDING_AGI_KEY\n")
    await reader.readline()
    writer.write(ANSWER)
    await reader.readline()
    writer.close()


async def main() -> None:
    """Serve both until the process is ended."""
    servers = [await asyncio.start_server(handler, "127.0.0.1", 0) for handler in (plain, keyed)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
