"""An agent with tools: it asks for the weather and for sums, and answers in words.

A model that calls tools is needed for more than show; the tools here take their answers out of a table.
"""

import asyncio
import sys
from typing import Annotated, Literal

from inferlet import Chat, Sampler, Tools

WEATHER = {"bern": 11, "paris": 17, "oslo": 3}
tools = Tools()


@tools.add
async def weather(city: Annotated[str, "Name of the city"], unit: Literal["celsius", "fahrenheit"] = "celsius") -> str:
    """Says how warm it is in a city now."""
    await asyncio.sleep(0.1)  # asks somebody
    print(f"weather({city!r}, {unit!r})")
    celsius = WEATHER.get(city.lower())
    if celsius is None:
        raise LookupError(f"no city {city!r}; there are: {', '.join(WEATHER)}")
    return f"{celsius} degrees celsius" if unit == "celsius" else f"{celsius * 9 / 5 + 32:.0f} degrees fahrenheit"


@tools.add
def add(numbers: Annotated[list[float], "What to add up"]) -> float:
    """Adds numbers."""
    print(f"add({numbers!r})")
    return sum(numbers)


async def main(args: list[str]) -> str:
    """Answers a question."""
    question = " ".join(args) or "How warm is it in Bern?"
    chat = Chat("You are a helpful assistant. Use the tools where they help.", tools=tools)
    answer = await chat.ask(question, Sampler.greedy(), max_tokens=128, turns_max=4)
    print(answer, file=sys.stderr)
    return answer
