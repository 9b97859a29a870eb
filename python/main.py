#!/usr/bin/env python3
"""Launches a program on a Pie server and prints what it says, as it says it.

python main.py text-completion -- --prompt "What is the capital of France?"
python main.py my_program.wasm --server ws://127.0.0.1:8080
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from pie import Event, ParsedPrivateKey, PieClient, PieError


async def run(options: argparse.Namespace) -> int:
    """Does it; returns the exit code."""
    key = ParsedPrivateKey.from_file(options.key) if options.key else None
    async with PieClient(options.server) as client:
        await client.authenticate(options.user, key)
        program = options.program
        if program.endswith(".wasm"):
            program = await client.upload_program(Path(program).read_bytes())
        instance = await client.launch_instance(program, options.arguments)
        async for event, data in instance:
            if event == Event.Stdout:
                print(data, end="", flush=True)
            elif event == Event.Stderr:
                print(data, end="", file=sys.stderr, flush=True)
            elif event == Event.Blob:
                print(f"[{len(data)} bytes]", file=sys.stderr)
            elif data:
                print(f"[{event.name}] {data}", file=sys.stderr)
    return 0 if event == Event.Completed else 1


def main() -> int:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", help="a .wasm file, a hash, or a name such as text-completion")
    parser.add_argument("arguments", nargs="*", help="for the program, after --")
    parser.add_argument("--server", default="ws://127.0.0.1:8080")
    parser.add_argument("--user", default="me")
    parser.add_argument("--key", help="a private key, where the server asks for one")
    try:
        return asyncio.run(run(parser.parse_args()))
    except (PieError, ConnectionError, OSError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
