"""An answer that is a value of a Python type: the type's JSON Schema is what the model may write.

The prompt asks for what it wants; the engine lets the model choose among the tokens that the schema
allows, so that whatever the model is, its answer can be read. Ends with a RuntimeError where
`--max-tokens` were not enough for a whole value.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from inferlet import Context, Grammar, Sampler, schema_of


@dataclass
class Robot:
    """What the model is asked to invent."""

    name: str
    job: Literal["cook", "gardener", "librarian", "sailor"]
    age: int
    friendly: bool
    colours: list[Literal["red", "green", "blue", "silver"]]


def robot_schema() -> dict[str, Any]:
    """The type's schema, and bounds that a type does not say."""
    schema = schema_of(Robot)
    bounds = {
        "name": {"minLength": 1, "maxLength": 20},
        "age": {"minimum": 0, "maximum": 120},
        "colours": {"maxItems": 3},
    }
    for name, more in bounds.items():
        schema["properties"][name] |= more
    return schema


async def invent(prompt: str, sampler: Sampler, max_tokens: int) -> Robot:
    """One robot."""
    grammar = Grammar.json_schema(robot_schema())
    matcher = grammar.matcher()
    context = Context()
    context.fill_user(f"{prompt}\nAnswer with JSON.")
    text = await context.generate(sampler, max_tokens=max_tokens, grammar=matcher)
    if not matcher.is_complete:
        raise RuntimeError(f"[--max-tokens] got {max_tokens}, expected enough for a whole value; it begins: {text}")
    return Robot(**json.loads(text))


async def main(args: list[str]) -> dict[str, Any]:
    """Invents a robot."""
    parser = argparse.ArgumentParser("structured_output")
    parser.add_argument("-p", "--prompt", default="Invent a robot.")
    parser.add_argument("-n", "--max-tokens", type=int, default=256)
    parser.add_argument("-t", "--temperature", type=float, default=1.0)
    parser.add_argument("-s", "--seed", type=int, default=1)
    options = parser.parse_args(args)
    sampler = Sampler.multinomial(options.temperature).with_seed(options.seed)
    robot = await invent(options.prompt, sampler, options.max_tokens)
    print(f"{robot.name}, {robot.age}, a {'friendly' if robot.friendly else 'grumpy'} {robot.job}")
    return asdict(robot)
