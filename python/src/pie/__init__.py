"""Client of the Pie server: upload programs, launch them next to the model, talk to them.

async with PieClient("ws://127.0.0.1:8080") as client:
    await client.authenticate("me")
    instance = await client.launch_instance_from_registry("text-completion", ["--prompt", "Hello"])
    async for event, data in instance:
        print(event.name, data)
"""

from importlib.metadata import version

from pie.client import InstanceInfo, PieClient
from pie.errors import (
    AuthenticationError,
    InvalidKeyError,
    NotFoundError,
    PieError,
    PieTimeoutError,
    ProgramError,
    ProtocolError,
)
from pie.events import Event
from pie.instance import Instance
from pie.keys import ParsedPrivateKey
from pie.reconnect import ReconnectingClient, ReconnectingInstance

__version__ = version("pie-client")

__all__ = [
    "AuthenticationError",
    "Event",
    "Instance",
    "InstanceInfo",
    "InvalidKeyError",
    "NotFoundError",
    "ParsedPrivateKey",
    "PieClient",
    "PieError",
    "PieTimeoutError",
    "ProgramError",
    "ProtocolError",
    "ReconnectingClient",
    "ReconnectingInstance",
    "__version__",
]
