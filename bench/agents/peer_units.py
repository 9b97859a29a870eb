"""Each workload's unit as a client of llama-server does it: what the programs beside this file do.

A coroutine returns how many tokens of use were written.
"""

from __future__ import annotations

import asyncio
import heapq
import json

from agents import texts
from agents.llama import Llama, exactly
from agents.unit import Numbers, Unit


async def completion(llama: Llama, numbers: Numbers, unit: Unit) -> int:
    """agents-completion.cpp."""
    prompt = unit.beginning(numbers)
    return len((await llama.write(prompt, numbers["tokens"], unit.text, id_slot=unit.index)).tokens)


async def loop(llama: Llama, numbers: Numbers, unit: Unit) -> int:
    """agents-loop.cpp; its slot keeps what it has read so far."""
    tokens = unit.beginning(numbers)
    written = 0
    for turn in range(1, numbers["turns"] + 1):
        answer = await llama.write(tokens, numbers["tokens"], unit.text + turn, id_slot=unit.index)
        written += len(answer.tokens)
        await asyncio.sleep(numbers["pause-ms"] / 1000)
        tokens = tokens + answer.tokens + texts.tokens(unit.text + turn, numbers["result"])
    return written


async def swarm(llama: Llama, numbers: Numbers, unit: Unit) -> int:
    """agents-swarm.cpp: a coroutine for each role, a queue for each topic."""
    roles = numbers["roles"]
    topics: list[asyncio.Queue[list[int]]] = [asyncio.Queue() for _ in range(roles + 1)]

    async def work(role: int) -> int:
        system = texts.tokens(unit.shared_text + role, numbers["shared"])
        task = await topics[role].get()
        answer = await llama.write(system + task, numbers["tokens"], unit.text + role, id_slot=unit.index)
        topics[role + 1].put_nowait(answer.tokens)
        return len(answer.tokens)

    topics[0].put_nowait(texts.tokens(unit.text, numbers["prompt"]))
    return sum(await asyncio.gather(*(work(role) for role in range(roles))))


async def prefix_tree(llama: Llama, numbers: Numbers, unit: Unit) -> int:
    """agents-tree.cpp: below the root each branch has a slot, whose leaves are asked for one after the
    other, so that each of them computes only what the one before it does not have."""
    fan_out = numbers["fan-out"]

    async def leaves(prompt: list[int], index: int, level: int, slot: int) -> int:
        if level == numbers["depth"]:
            answer = await llama.write(prompt, numbers["tokens"], unit.text + index, id_slot=slot)
            return len(answer.tokens)
        written = 0
        for child in range(index * fan_out + 1, (index + 1) * fan_out + 1):
            edge = texts.tokens(unit.text + child, numbers["prompt"])
            written += await leaves(prompt + edge, child, level + 1, slot)
        return written

    branches = [
        leaves(texts.tokens(unit.text + child, numbers["prompt"]), child, 1, unit.index * fan_out + child - 1)
        for child in range(1, fan_out + 1)
    ]
    return sum(await asyncio.gather(*branches))


async def tree_of_thought(llama: Llama, numbers: Numbers, unit: Unit) -> int:
    """agents-thoughts.cpp: the server chooses slots by what they hold already."""
    ask, branch = numbers["ask"], numbers["branch"]

    async def judged(prompt: list[int], index: int) -> int:
        question = prompt + texts.tokens(unit.text, ask)
        return len((await llama.write(question, numbers["judge"], unit.text + 500 + index)).tokens)

    async def below(prompt: list[int], thought: list[int], index: int, level: int) -> int:
        path = prompt + thought
        tasks = [judged(path, index)]
        if level < numbers["depth"]:
            tasks.append(thoughts(path, index, level + 1))
        return len(thought) + sum(await asyncio.gather(*tasks))

    async def thoughts(path: list[int], index: int, level: int) -> int:
        prompt = path + texts.tokens(unit.text + level, ask)
        children = range(index * branch + 1, (index + 1) * branch + 1)
        if llama.setting.forks:
            seed = unit.text + children[0]
            answers = await llama.ask(prompt, numbers["tokens"], seed=seed, n_cmpl=branch)
            written = [exactly(numbers["tokens"], answer).tokens for answer in answers]
            each = [below(prompt, thought, child, level)
                    for child, thought in zip(children, written, strict=True)]  # fmt: skip
            return sum(await asyncio.gather(*each))

        async def think(child: int) -> int:
            thought = (await llama.write(prompt, numbers["tokens"], unit.text + child)).tokens
            return await below(prompt, thought, child, level)

        return sum(await asyncio.gather(*(think(child) for child in children)))

    return await thoughts(unit.beginning(numbers), 0, 1)


async def graph_of_thought(llama: Llama, numbers: Numbers, unit: Unit) -> int:
    """agents-graph.cpp."""
    problem = unit.beginning(numbers)
    written = 0

    async def solve(first: int, count: int) -> list[int]:
        nonlocal written
        prompt = list(problem)
        if count > 1:
            half = count // 2
            for part in await asyncio.gather(solve(first, half), solve(first + half, half)):
                prompt += part
        index = first * numbers["parts"] + count
        prompt += texts.tokens(unit.text + index, numbers["ask"])
        answer = await llama.write(prompt, numbers["tokens"], unit.text + index)
        written += len(answer.tokens)
        return answer.tokens

    await solve(0, numbers["parts"])
    return written


async def recursion_of_thought(llama: Llama, numbers: Numbers, unit: Unit) -> int:
    """agents-recursion.cpp."""
    instructions = unit.shared(numbers)
    written = 0

    async def write(prompt: list[int], number: int) -> list[int]:
        nonlocal written
        answer = await llama.write(prompt, numbers["tokens"], unit.text + number)
        written += len(answer.tokens)
        return answer.tokens

    async def solve(question: list[int], index: int, level: int) -> list[int]:
        prompt = instructions + question + texts.tokens(unit.text + 2 * index, numbers["ask"])
        answer = await write(prompt, 2 * index)
        if level == numbers["depth"]:
            return answer
        parts = await asyncio.gather(solve(answer, 2 * index, level + 1),
                                     solve(answer, 2 * index + 1, level + 1))  # fmt: skip
        prompt += answer + parts[0] + parts[1]
        return await write(prompt + texts.tokens(unit.text + 2 * index + 1, numbers["ask"]), 2 * index + 1)

    await solve(texts.tokens(unit.text, numbers["prompt"]), 1, 0)
    return written


async def skeleton_of_thought(llama: Llama, numbers: Numbers, unit: Unit) -> int:
    """agents-skeleton.cpp."""
    prompt = unit.beginning(numbers)
    prompt += (await llama.write(prompt, numbers["outline"], unit.text)).tokens
    asked = [prompt + texts.tokens(unit.text + i, numbers["ask"]) for i in range(1, numbers["points"] + 1)]
    points = await asyncio.gather(*(
        llama.write(each, numbers["tokens"], unit.text + i) for i, each in enumerate(asked, 1)
    ))  # fmt: skip
    return numbers["outline"] + sum(len(point.tokens) for point in points)


async def json_schema(llama: Llama, numbers: Numbers, unit: Unit) -> int:
    """agents-call.cpp."""
    answer = await llama.ask(unit.beginning(numbers), numbers["limit"], seed=unit.text, id_slot=unit.index,
                             json_schema=json.loads(texts.call_schema()), ignore_eos=False)  # fmt: skip
    if len(answer["tokens"]) >= numbers["limit"]:
        raise RuntimeError(f"[llama-server] got no whole call: {answer['content']}")
    return len(answer["tokens"])


async def speculative_edit(llama: Llama, numbers: Numbers, unit: Unit) -> int:
    """agents-edit.cpp; drafts are the server's, by its setting."""
    file = texts.code(unit.text)
    answer = await llama.write(file, numbers["tokens"], unit.text, temperature=0, id_slot=unit.index)
    return len(answer.tokens)


async def beam(llama: Llama, numbers: Numbers, unit: Unit) -> int:
    """agents-beam.cpp: for each token one request with all beams, whose slots keep what they hold."""
    width = numbers["width"]
    prompt = unit.beginning(numbers)
    beams: list[tuple[float, list[int]]] = [(0.0, [])]
    for _ in range(numbers["tokens"]):
        answers = await llama.ask([prompt + tokens for _, tokens in beams], 1, temperature=0, n_probs=width)
        ranked = [exactly(1, each).ranked for each in (answers if isinstance(answers, list) else [answers])]
        candidates = (
            (score + log_probability, [*tokens, token])
            for (score, tokens), best in zip(beams, ranked, strict=True)
            for token, log_probability in best
        )
        beams = heapq.nlargest(width, candidates, key=lambda candidate: candidate[0])
    return len(beams[0][1])


async def attention_sink(llama: Llama, numbers: Numbers, unit: Unit) -> int:
    """agents-sink.cpp: the server shifts its context when that is full, and keeps the beginning."""
    answer = await llama.write(unit.beginning(numbers), numbers["tokens"], unit.text, id_slot=unit.index,
                               n_keep=numbers["sink"])  # fmt: skip
    return len(answer.tokens)
