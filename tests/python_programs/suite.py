"""What tests/test_python_programs.py asks of the SDK inside of a program: one check for each name.

`main` runs the one that it is given; an exception is a failure, with its traceback.
"""

import asyncio
import json
import math
from dataclasses import dataclass
from typing import Annotated, Literal

import inferlet
from inferlet import (
    Chat,
    Context,
    Draft,
    Drafter,
    Grammar,
    InferletError,
    Message,
    Model,
    PromptLookup,
    Sampler,
    Stop,
    ToolError,
    Tools,
    beam_search,
)

PROMPT = "Write one sentence about the sea."


def filled(prompt: str = PROMPT) -> Context:
    context = Context()
    context.fill_user(prompt)
    return context


async def refuses(kind: type[BaseException], action, words: str = "") -> None:
    """The call, or what it gives to await, raises this."""
    try:
        value = action()
        if hasattr(value, "__await__"):
            await value
    except kind as error:
        assert words in str(error), (words, str(error))
        return
    raise AssertionError(f"expected {kind.__name__} {words!r}")


async def wrong_types() -> None:
    context = filled()
    for action in (
        lambda: context.fill(5),
        lambda: context.fill_user(None),
        lambda: context.fill_tokens(["a"]),
        lambda: context.fill_tokens("text"),
        lambda: context.fill_tokens([1.5]),
        lambda: Sampler.top_k(0.5, "40"),
        lambda: Sampler.greedy().with_seed(1.5),
        lambda: Sampler.greedy().with_bias([1]),
        lambda: Stop.max_len("5"),
        lambda: Stop.ends_with_any([["x"]]),
        lambda: context.generate("greedy"),
        lambda: context.generate(stop=5),
        lambda: context.generate(max_tokens=2.5),
        lambda: context.generate(grammar="x"),
        lambda: context.decode_step(5),
        lambda: context.mask_token_range("a", 2),
        lambda: context.model.tokenizer.tokenize(b"bytes"),
        lambda: context.model.tokenizer.detokenize(["a"]),
        lambda: Model(5),
        lambda: inferlet.send(5),
        lambda: inferlet.send_blob("text"),
        lambda: inferlet.kvs.set("key", 5),
        lambda: inferlet.broadcast(5, "x"),
        lambda: Grammar.regex(5),
        lambda: inferlet.render(["text"]),
        lambda: context.save(5),
        lambda: inferlet.http.fetch(5),
    ):
        await refuses(TypeError, action, "got")
    for action in (
        lambda: context.fill("\ud800"),
        lambda: context.fill_tokens([-1]),
        lambda: context.fill_tokens([1 << 32]),
        lambda: context.fill_tokens([context.model.info.vocab_size]),
        lambda: Sampler.multinomial(float("nan")),
        lambda: Sampler.top_p(1.0, 1.5),
        lambda: Sampler.greedy().with_seed(-1),
        lambda: Stop.max_len(-1),
    ):
        await refuses(ValueError, action, "got")
    for action in (
        lambda: Model("nobody"),
        lambda: Context().decode_step(),
        lambda: Context.load("nothing"),
        lambda: Context.import_from("nothing"),
        lambda: Grammar.json_schema({"not": {}}),
        lambda: Grammar.regex("("),
        lambda: filled().generate(Sampler.greedy().with_bias({1 << 31: 1.0}), max_tokens=1),
        lambda: inferlet.http.fetch("http://127.0.0.1:1/"),
    ):
        await refuses(InferletError, action)
    assert await context.generate(max_tokens=3)


async def cancelled_steps() -> None:
    """A step that is cancelled is as if it had not been asked for, wherever it is cancelled."""
    whole = filled()
    expected = await whole.generate(max_tokens=12)
    context = filled()
    for delay in (0, 0, 0.002, 0.01):
        task = asyncio.create_task(context.decode_step())
        await asyncio.sleep(delay)
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert context.tokens == filled_tokens()[: len(context.tokens)], "nothing is left of it"
        else:
            context._sequence.keep(len(filled_tokens()))
    assert await context.generate(max_tokens=12) == expected
    streaming = filled()
    pieces = []
    answer = streaming.generate(max_tokens=12)
    async for piece in answer:
        pieces.append(piece)
        if len(answer.tokens) >= 4:
            break
    await refuses(InferletError, lambda: streaming.fill("more"), "under way")
    answer.close()
    rest = await streaming.generate(max_tokens=12 - len(answer.tokens))
    assert "".join(pieces) + rest == expected or answer.text + rest == expected, (pieces, rest, expected)
    async for piece in streaming.generate(max_tokens=4):  # noqa: B007
        break
    streaming.fill("free again")
    task = asyncio.ensure_future(whole.generate(max_tokens=100))
    await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    whole.fill_user("And one about the sky.")
    assert await whole.generate(max_tokens=5)


def filled_tokens() -> list[int]:
    context = filled()
    context.open_answer()
    return context.tokens


async def forks_and_masks() -> None:
    context = filled("Say a word. " * 12)
    await context.flush()
    first = await asyncio.gather(*(context.fork().generate(max_tokens=8) for _ in range(3)))
    assert len(set(first)) == 1
    assert await context.fork().generate(max_tokens=8) == first[0]
    pages = context.kv_page_count
    size = context.model.kv_page_size
    context.mask_token_range(0, 2 * size)
    assert context.drop_masked_pages() == 2 and context.kv_page_count == pages - 2
    await refuses(InferletError, lambda: context.save("masked"), "masked")
    assert await context.decode_step() >= 0
    hidden = filled("Say a word. " * 12)
    hidden.open_answer()
    hidden.mask_token_range(0, 2 * size)
    assert await hidden.decode_step() >= 0
    # Every length, a page's end included, can be forked, flushed and continued.
    for length in range(size - 1, size + 2):
        one = Context()
        one.fill_tokens([100 + i for i in range(length)])
        await one.flush()
        both = await one.fork().decode_step(), await one.decode_step()
        assert both[0] == both[1]
    one.close()


async def saved_and_exported() -> None:
    context = filled()
    expected = await context.fork().generate(max_tokens=6)
    context.open_answer()
    context.save("sdk-test")
    assert await Context.load("sdk-test").generate(max_tokens=6) == expected
    assert [entry.name for entry in inferlet.list_snapshots()] == ["sdk-test"]
    inferlet.remove_snapshot("sdk-test")
    context.export_as("sdk-export")
    await refuses(InferletError, lambda: context.export_as("sdk-export"), "in use")
    assert await Context.import_from("sdk-export").generate(max_tokens=6) == expected
    inferlet.release_export("sdk-export")
    assert inferlet.list_exports() == []


async def scores() -> None:
    context = filled()
    distribution = await context.next_distribution(top_k=4)
    assert distribution.probabilities == sorted(distribution.probabilities, reverse=True)
    values = await context.log_probabilities(distribution.ids)
    for value, probability in zip(values, distribution.probabilities, strict=True):
        assert math.isclose(value, math.log(probability), abs_tol=1e-3)
    answer = context.fork().generate(max_tokens=6, log_probabilities=True)
    await answer
    by_steps = context.fork().generate(stop=Stop.when(lambda tokens: len(tokens) == 6), log_probabilities=True)
    await by_steps
    assert all(
        math.isclose(*pair, abs_tol=1e-3)
        for pair in zip(answer.log_probabilities, by_steps.log_probabilities, strict=True)
    )
    scored = await context.score(answer.tokens)
    assert all(math.isclose(a, b, abs_tol=0.05) for a, b in zip(scored, answer.log_probabilities, strict=True))


async def samplers() -> None:
    def text(sampler: Sampler):
        return filled().generate(sampler, max_tokens=8)

    greedy = await text(Sampler.greedy())
    best = Sampler.custom(lambda distribution: distribution.ids[0])
    assert await text(best) == greedy
    assert await text(Sampler.over_logits(lambda row: max(range(len(row)), key=row.__getitem__))) == greedy
    seeded = Sampler.top_k(1.0, 40).with_seed(7)
    assert await text(seeded) == await text(seeded)
    stop = Stop.end_of_turn() | Stop.max_len(8) | Stop.when(lambda tokens: False)
    for one in (seeded, seeded.with_penalties(presence=0.5, frequency=0.3)):
        assert await filled().generate(one, stop) == await text(one), "the engine's loop draws what steps draw"
    assert await text(Sampler.top_p(0.9, 0.9) & Sampler.min_p(0.9, 0.05)) is not None
    first = filled_tokens()
    forbidden = await filled().fork().decode_step()
    other = await filled().decode_step(Sampler.greedy().with_forbidden([forbidden]))
    assert other != forbidden and first
    assert await filled().decode_step(Sampler.greedy().with_allowed([42])) == 42
    assert await text(Sampler.mirostat(0.8).with_seed(1))


async def stops() -> None:
    tokenizer = inferlet.default_model().tokenizer
    whole = await filled().generate(max_tokens=12)
    word = tokenizer.tokenize(whole)[4:6]
    cut = await filled().generate(stop=Stop.ends_with_any([word]) | Stop.max_len(12))
    assert whole.startswith(cut) and len(cut) < len(whole)
    assert await filled().generate(max_tokens=0) == ""
    counted = filled().generate(stop=Stop.when(lambda tokens: len(tokens) == 3))
    await counted
    assert len(counted.tokens) == 3
    both = Stop.max_len(2) & Stop.when(lambda tokens: len(tokens) >= 4)
    answer = filled().generate(stop=both)
    await answer
    assert len(answer.tokens) == 4
    pieces: list[str] = []
    assert await filled().generate(max_tokens=12, on_text=pieces.append) == whole == "".join(pieces)
    assert "".join([piece async for piece in filled().generate(max_tokens=12)]) == whole


@dataclass
class Place:
    """A place."""

    city: str
    country: str | None = None


async def tools() -> None:
    box = Tools()

    @box.add
    async def weather(place: Place, unit: Literal["c", "f"] = "c", days: Annotated[int, "How many"] = 1) -> dict:
        """What the weather is like.

        Args:
            place: Where it is asked for.
        """
        return {"city": place.city, "unit": unit, "days": days}

    (described,) = box.schema
    parameters = described["function"]["parameters"]
    assert described["function"]["description"] == "What the weather is like."
    assert parameters["required"] == ["place"]
    assert parameters["properties"]["place"]["description"] == "Where it is asked for."
    assert parameters["properties"]["unit"] == {"enum": ["c", "f"]}
    assert parameters["properties"]["days"]["description"] == "How many"
    got = await box.call("weather", '{"place": {"city": "Bern"}, "days": 2}')
    assert json.loads(got) == {"city": "Bern", "unit": "c", "days": 2}
    for arguments, words in (
        ('{"place": {"city": 5}}', "[weather.place.city] got a number, expected a string"),
        ("{}", "[weather.place] got nothing"),
        ('{"place": {"city": "x"}, "unit": "k"}', "expected one of 'c', 'f'"),
        ('{"place": {"city": "x"}, "more": 1}', "got 'more'"),
        ("{", "no JSON"),
    ):
        await refuses(ToolError, lambda a=arguments: box.call("weather", a), words)
    await refuses(ToolError, lambda: box.call("nothing"), "expected one of 'weather'")
    Grammar.json_schema(parameters)
    prompt = inferlet.render([Message.user("Weather in Bern?")], box)
    assert "weather" in prompt.text
    answer = prompt.read('{"name": "weather", "arguments": {"place": {"city": "Bern"}}}')
    assert [call.name for call in answer.tool_calls] == ["weather"]
    assert await box.call(answer.tool_calls[0].name, answer.tool_calls[0].arguments)
    chat = Chat("Be brief.", tools=box)
    assert isinstance(await chat.ask("Say hello.", max_tokens=16, turns_max=2), str)
    assert [message.role for message in chat.messages[:2]] == ["system", "user"]


async def grammars() -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer"}},
              "required": ["name", "age"], "additionalProperties": False}  # fmt: skip
    for sampler in (Sampler.greedy(), Sampler.top_k(0.7, 5).with_seed(1)):
        text = await filled("Describe a person as JSON.").generate(
            sampler, max_tokens=400, grammar=Grammar.json_schema(schema)
        )
        value = json.loads(text)
        assert set(value) == {"name", "age"} and type(value["age"]) is int and len(value["name"]) <= 12
    yes = Grammar.regex("(yes|no)")
    assert await filled().generate(max_tokens=8, grammar=yes) in ("yes", "no")
    by_steps = filled().generate(Sampler.custom(lambda d: d.ids[0]), max_tokens=8, grammar=yes)
    assert await by_steps in ("yes", "no")
    matcher = yes.matcher()
    tokens = inferlet.default_model().tokenizer.tokenize("yes")
    assert matcher.validate(tokens) == len(tokens) and any(matcher.mask())
    matcher.accept(tokens)
    assert matcher.can_stop and matcher.is_complete
    matcher.rollback(len(tokens))
    assert not matcher.can_stop and not matcher.fork().is_complete


class Known(Drafter):
    """Drafts that are right, wrong, or both, of an answer that is known."""

    def __init__(self, answer: list[int], begin: int) -> None:
        self.answer, self.begin = [*answer, 7, 7, 7], begin
        self.rounds = self.accepted = 0

    async def draft(self, tokens) -> Draft:
        """By turns of four kinds."""
        done = len(tokens) - self.begin
        first, second, third = self.answer[done : done + 3]
        self.rounds += 1
        return (
            Draft([first, second, third]),
            Draft([first, 5, third]),
            Draft([5, 6, first, second, 9], [-1, 0, -1, 2, 2]),  # the right branch is the second
            Draft([first, second, 5, third], [-1, 0, 1, 1]),  # the first, which is left late
        )[self.rounds % 4]

    def learn(self, proposed: int, accepted: int) -> None:
        """Counts what was right."""
        self.accepted += accepted


async def drafts() -> None:
    stop = Stop.max_len(30)
    for sampler in (Sampler.greedy(), Sampler.top_p(0.8, 0.9).with_penalties(repetition=1.2).with_seed(5)):
        plain, drafted, looked = (filled("Say: red green blue red green blue.") for _ in range(3))
        plain.open_answer()
        begin = len(plain)
        text = await plain.generate(sampler, stop)
        known = Known(plain.tokens[begin:], begin)
        pieces = []
        assert await drafted.generate(sampler, stop, drafter=known, on_text=pieces.append) == text
        assert "".join(pieces) == text and drafted.tokens == plain.tokens
        assert known.accepted >= 10, known.accepted
        assert await looked.generate(sampler, stop, drafter=PromptLookup(4, 1)) == text
        # And the contexts go on as one another, their conversation included.
        for one in (plain, drafted):
            one.fill_user("Thanks.")
            one.open_answer()
        assert drafted.tokens == plain.tokens
        assert await drafted.decode_step() == await plain.decode_step()
    # A cancelled step leaves nothing of its draft behind.
    context = filled()
    context.open_answer()
    before = context.tokens
    task = asyncio.create_task(context.decode_draft(Sampler.greedy(), Draft([1, 2, 3])))
    await asyncio.sleep(0)
    task.cancel()
    await refuses(asyncio.CancelledError, lambda: task)
    assert context.tokens == before
    chosen = await context.decode_draft(Sampler.custom(lambda d: d.ids[0]), Draft([1, 2, 3]))
    assert len(chosen) == 1 and chosen[0] == context.tokens[-1]
    await refuses(ValueError, lambda: Draft([1, 2], [-1, 1]), "[draft] got the parent 1 of token 1")
    await refuses(TypeError, lambda: context.generate(drafter=lambda tokens: []), "[drafter]")
    await refuses(InferletError, lambda: context.generate(drafter=PromptLookup(), log_probabilities=True), "[generate]")


async def beams() -> None:
    start = filled("Name a colour.")
    stop = Stop.max_len(6) | Stop.end_of_turn()
    start.open_answer()
    before = start.tokens
    one = await beam_search(start, 1, stop)
    greedy = start.fork()
    assert one.text == await greedy.generate(stop=stop)
    found = await beam_search(start, 4, stop)
    assert start.tokens == before
    assert found.log_probability >= one.log_probability - 1e-4, (found, one)
    assert found.text == start.model.tokenizer.detokenize(found.tokens)
    ended = greedy.tokens[len(before) :] if found.tokens == one.tokens else found.tokens
    told = sum(await start.score(ended))
    assert found.log_probability <= told + 1e-3, (found, told)
    await refuses(ValueError, lambda: beam_search(start, 0, stop), "[width] got 0")
    await refuses(TypeError, lambda: beam_search(start, 2, 5), "[stop] got int")


async def messages_and_store() -> None:
    assert inferlet.kvs.get("python") is None
    inferlet.kvs.set("python", "snake")
    assert inferlet.kvs.get("python") == "snake" and inferlet.kvs.exists("python")
    assert "python" in set(inferlet.kvs.keys())
    inferlet.kvs.delete("python")
    with inferlet.Subscription("topic") as topic:
        inferlet.broadcast("topic", "first")
        inferlet.broadcast("topic", "second")
        assert [await topic.next(), await topic.next()] == ["first", "second"]
    assert inferlet.try_receive() is None
    try:
        await asyncio.wait_for(inferlet.receive(), 0.01)
    except TimeoutError:
        pass
    inferlet.send("ready")
    assert await inferlet.receive() == "one"
    assert input("ask> ") == "two"
    inferlet.send_blob(await inferlet.receive_blob())
    assert inferlet.instance_id() and inferlet.server_version() and inferlet.models()


async def main(args: list[str]) -> str:
    await globals()[args[0]]()
    return "passed"
