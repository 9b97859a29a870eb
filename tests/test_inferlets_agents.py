"""What the agents and conversations under inferlets/ claim to show, on real models."""

from __future__ import annotations

import json
import re

from tests.conftest import Server
from tests.inferlets import ended, on
from tests.wire import Peer


def test_agent_react_calls_tools_and_answers_by_their_results(coder_server: Server) -> None:
    async def main(peer: Peer) -> None:
        instance = await peer.launch(
            "std/agent-react", ["--model=coder", "--question=What is the weather in Oslo?"]
        )
        answer = await ended(peer, instance)
        lines = peer.output(instance).splitlines()
        assert re.fullmatch(r'call get_weather \{"city": ?"Oslo"\}', lines[0]), lines
        assert json.loads(lines[1].removeprefix("result ")) == {"city": "Oslo", "sky": "snow", "celsius": -4}
        assert "snow" in answer or "-4" in answer, answer
        # What a call got wrong is told to the model, and is not the end of the agent.
        instance = await peer.launch(
            "std/agent-react", ["--model=coder", "--question=What is the weather in Atlantis?"]
        )
        await peer.final(instance)
        assert "result error: nothing is known of Atlantis" in peer.output(instance)

    on(coder_server, main)


def test_async_tools_overlap_decoding(server: Server) -> None:
    """The client, who is the tool, answers no call before the whole answer is written."""

    async def main(peer: Peer) -> None:
        instance = await peer.launch("std/async-tools", ["--prompt=Tell me about the sea.", "--calls=2"])
        await peer.wait_until(lambda: peer.output(instance).count("text ") == 3)
        lines = peer.output(instance).splitlines()
        assert [line.split(" ")[0] for line in lines] == ["text", "begin", "text", "begin", "text"]
        words = [line.removeprefix("begin ") for line in lines if line.startswith("begin")]
        for word in words:
            await peer.message(instance, f"lookup {word}")
            await peer.send("signal_instance", instance_id=instance, message=f"all about {word}")
        assert await ended(peer, instance)
        assert peer.output(instance).splitlines()[5:] == [f"end {word}: all about {word}" for word in words]

    on(server, main)
