"""Says "ready" and waits for a message that does not come."""

from inferlet import receive, send


async def main() -> None:
    """Waits."""
    send("ready")
    await receive()
