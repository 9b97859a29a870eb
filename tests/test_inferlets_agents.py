"""What the agents and conversations under inferlets/ claim to show, on real models."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from tests.conftest import Server
from tests.inferlets import cost, ended, on, refusal, result
from tests.test_sdk import tiny_server
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


@pytest.mark.parametrize("model", ["smollm2-135m-instruct", "coder"])
def test_agent_react_acts_where_it_has_to(coder_server: Server, model: str) -> None:
    """Also a model whose template knows no tools."""

    async def main(peer: Peer) -> None:
        options = [f"--model={model}", "--question=Tell me about the weather.", "--turns=1", "--must-act"]
        instance = await peer.launch("std/agent-react", options)
        end = await peer.final(instance)
        assert "[--turns] got 1" in end["message"], end
        assert re.match(r"call (get_weather|add|multiply) \{", peer.output(instance))

    on(coder_server, main)


@pytest.mark.parametrize(("code", "output"), [
    ("total = 0\nfor i in range(1, 11):\n    if i % 2 == 0:\n        total += i * i\n    else:\n"
     "        total -= 1\nprint(total, -7 // 2, -7 % 3, 7 // -2, -2 ** 2, 2 ** 3 ** 2)\n",
     "215 -4 2 -4 -4 512\n"),
    ("n = 27  # Collatz\nsteps = 0\nwhile n != 1:\n    if n % 2 == 0:\n        n //= 2\n    else:\n"
     "        n = 3 * n + 1\n\n    steps += 1\nprint(steps)", "111\n"),
    ("x = 0\nprint(x != 0 and 1 // x, x == 0 or y, not 2 < 1, not 1 < 2, 1 < 2 < 2, (1 < 2) + 1)\n"
     "for i in range(9, 3, -3):\n  print(max(i, 7) + min(3, i) * abs(-2))", "0 1 1 0 0 2\n15\n13\n"),
])  # fmt: skip
def test_agent_codeact_runs_its_part_of_python(server: Server, code: str, output: str) -> None:
    async def main(peer: Peer) -> None:
        assert await result(peer, "agent-codeact", f"--run={code}") == output

    on(server, main)


def test_agent_codeact_bounds_what_runs_and_says_what_is_wrong(server: Server) -> None:
    wrong = {
        "x = 1\nwhile x > 0:\n    x = 1\n": "it runs for too long",
        "for i in range(9000000000):\n    if 0:\n        x = 1": "it runs for too long",
        "for i in range(5):\nprint(i)": "line 1: got nothing below, expected indented lines",
        "x = 1\nprint(y)": "line 2: name 'y' is not defined",
        "import os": "line 1: got 'import os', which this part of Python does not have",
        "open('x', 'w').write('y')": "which this part of Python does not have",
        "x = 4\nx /= 2": "line 2: got 'x /= 2', which this part",
        "print(1 // 0)": "line 1: division by zero",
        "print(" + "(" * 5000 + "1": "too deep",
        "".join(f"{' ' * i}if 1:\n" for i in range(99)) + " " * 99 + "x = 1": "too deep",
        "x = 9 ** 99": "the number is too big",
        "x = 99999999999999999999": "the number is too big",
        "x = 12ab": "got '12ab', expected a number or a name",
        "for i in range(100000):\n    print(i)": "it prints too much",
        "print(1": "got no ')'",
        "print(1) + 2": "got '+ 2', expected the end of the line",
        "for i in range(1, 5, 0):\n    print(i)": "got a range of another form",
        "x = 1\n  y = 2": "line 1: unexpected indent below",
    }

    async def main(peer: Peer) -> None:
        asked = [refusal(peer, "agent-codeact", f"--run={code}") for code in wrong]
        for why, said in zip(wrong.values(), await asyncio.gather(*asked), strict=True):
            assert why in said

    on(server, main)


def test_agent_codeact_answers_by_what_its_program_printed(coder_server: Server) -> None:
    async def main(peer: Peer) -> None:
        instance = await peer.launch(
            "std/agent-codeact", ["--model=coder", "--question=What is 123 times 457?"]
        )
        answer = await ended(peer, instance)
        said = peer.output(instance)
        assert said.startswith("code\n") and "output\n56211\n" in said, said
        assert "56211" in answer.replace(",", ""), answer

    on(coder_server, main)


def test_output_validation_takes_what_the_program_finds_right(server: Server) -> None:
    async def main(peer: Peer) -> None:
        async def one(seed: int) -> bool:
            """Whether something had to be corrected."""
            options = [f"--seed={100 * seed}", "--prompt=A birthday dinner for many friends."]
            instance = await peer.launch("std/output-validation", options)
            said = json.loads(await ended(peer, instance))
            assert 8 <= said["from_hour"] < said["to_hour"] <= 23
            assert said["guests"] <= 4 * said["tables"] <= 48
            wrong = peer.output(instance, "Stderr").splitlines()
            assert all(re.match(r"attempt \d+: \[(to_hour|tables)\] got \d+, expected", one) for one in wrong)
            return bool(wrong)

        assert any(await asyncio.gather(*(one(seed) for seed in range(3))))

    on(server, main)


class Talk:
    """A conversation with `std/chat`."""

    def __init__(self, peer: Peer, instance: str) -> None:
        self.peer = peer
        self.instance = instance

    @staticmethod
    async def begin(peer: Peer, *options: str) -> Talk:
        """A new one, with short answers."""
        return Talk(peer, await peer.launch("std/chat", ["--max-tokens=24", *options]))

    async def say(self, text: str) -> str:
        """What is answered."""
        count = len(self.answers())
        await self.peer.send("signal_instance", instance_id=self.instance, message=text)
        await self.peer.wait_until(lambda: len(self.answers()) > count)
        return self.answers()[-1]

    async def quit(self) -> str:
        """How many turns there were."""
        await self.peer.send("signal_instance", instance_id=self.instance, message="quit")
        return await ended(self.peer, self.instance)

    def answers(self) -> list[str]:
        """The messages that came."""
        return [str(frame["message"]) for frame in self.peer.frames
                if frame["type"] == "instance_event" and frame["event"] == 0
                and frame["instance_id"] == self.instance]  # fmt: skip


def test_chat_remembers_and_computes_new_turns_alone(own_server: Server) -> None:
    async def main(peer: Peer) -> None:
        talk = await Talk.begin(peer, "--keep=dogs")
        await talk.say("My dog is called Rex.")
        for turn in ("What is the name of my dog?", "Is it a good name?"):
            _, tokens = await cost(peer, "model.steps.tokens", talk.say(turn))
            assert 24 <= tokens < 70, tokens
        assert "Rex" in talk.answers()[1]
        said = "".join(f"{answer}\n" for answer in talk.answers())
        assert await talk.quit() == "3"
        assert peer.output(talk.instance) == said
        # What was said is there in a later conversation of that name.
        later = await Talk.begin(peer, "--keep=dogs")
        assert "Rex" in await later.say("What is the name of my dog?")
        stranger = await Talk.begin(peer)
        assert "Rex" not in await stranger.say("What is the name of my dog?")

    on(own_server, main)


def test_chat_forgets_the_oldest_turns_when_it_is_full(server: Server) -> None:
    async def main(peer: Peer) -> None:
        talk = await Talk.begin(peer, "--context=96")
        for _ in range(4):
            assert await talk.say("Tell me something about the sea and its fish.")
        await peer.send("signal_instance", instance_id=talk.instance, message="word " * 200)
        assert "[message] got" in (await peer.final(talk.instance))["message"]

    on(server, main)


# Opens the model's thoughts in the prompt, as DeepSeek's do.
THINKS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.reasoning_content %}<think>\n"
    "{{ m.reasoning_content }}\n</think>\n\n{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)


def test_chat_shows_apart_what_is_thought(tmp_path: Path) -> None:
    async def main() -> None:
        async with tiny_server(tmp_path, "qwen3", f"tokenizer.chat_template={THINKS}") as (_, peer):
            talk = await Talk.begin(peer)
            assert await talk.say("hello") == ""  # weights at random think without an end
            await talk.quit()
            assert peer.output(talk.instance) == "\n"
            assert peer.output(talk.instance, "Stderr")

    asyncio.run(main())
