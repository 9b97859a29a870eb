#!/usr/bin/env python3
"""`make demo`: a fresh server on a free port, `text-completion` through the Python client.

Streams the program's Stdout as it is generated, then prints time to first token, tokens per second
and the three lines to type next. The prompt is taken from the environment variable PROMPT.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pie import PieClient, PieError

ROOT = Path(__file__).resolve().parent.parent
PIE = ROOT / "build" / "bin" / "pie"
START_DEADLINE_S = 60.0


@contextlib.contextmanager
def server(home: Path) -> Iterator[str]:
    """A `pie serve` of its own on a free port; its URL."""
    ready = home / "ready"
    log = home / "server.log"
    command = [str(PIE), "serve", "--port", "0", "--ready-file", str(ready)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env=dict(os.environ, PIE_HOME=str(home / "pie")), stdout=out, stderr=out
        )
    try:
        deadline = time.monotonic() + START_DEADLINE_S
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"[demo] the server did not start:\n{log.read_text()}")
            time.sleep(0.01)
        yield ready.read_text().strip()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


async def complete(url: str, prompt: str) -> None:
    """Launches text-completion and streams its answer to the terminal."""
    async with PieClient(url) as client:
        await client.authenticate("demo")
        started = time.monotonic()
        instance = await client.launch_instance_from_registry(
            "text-completion", ["--prompt", prompt, "--temperature", "0"]
        )
        first = 0.0
        pieces = 0
        async for event, data in instance:
            if event.name == "Stdout":
                first = first or time.monotonic()
                pieces += 1
                print(data, end="", flush=True)
            elif event.name == "Stderr":
                print(data, end="", file=sys.stderr, flush=True)
            elif event.name != "Completed":
                raise SystemExit(f"\n[demo] the program ended with {event.name}: {data}")
        ended = time.monotonic()
    print("\n")
    rate = (pieces - 1) / (ended - first) if pieces > 1 else 0.0
    print(f"time to first token {1000 * (first - started):.0f} ms, {rate:.0f} tokens/s")


def main() -> int:
    """The demo, from a fresh PIE_HOME that goes away with it."""
    prompt = os.environ.get("PROMPT") or "What is the capital of France? Answer in one sentence."
    print(f"> {prompt}\n")
    with tempfile.TemporaryDirectory(prefix="pie-demo-") as folder, server(Path(folder)) as url:
        try:
            asyncio.run(complete(url, prompt))
        except (PieError, ConnectionError) as error:
            print(f"[demo] {error}", file=sys.stderr)
            return 1
    print("\nType next:")
    print('  build/bin/pie run text-completion -- --prompt "Why is the sky blue?"')
    print("  build/bin/pie serve")
    print("  build/venv/bin/python python/main.py")
    return 0


if __name__ == "__main__":
    sys.exit(main())
