"""inferlet-host.md sections 1 to 3, through a program that calls the ABI itself (tests/programs/probe)."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.conftest import Server
from tests.probe import Probe, hexed, numbers, unhexed, with_probe
from tests.wire import Peer

COMPLETED, EXCEPTION, OUT_OF_RESOURCES = 1, 3, 5
VOCABULARY = 49_152
TEXT = "The quick brown fox jumps over the lazy dog and runs away from the big bad"
# Logits of one text differ in the last bits when the batch or the split differs (docs/NUMERICS.md);
# probabilities then differ by less than this.
CLOSE = 0.02


def close(a: dict[int, float], b: dict[int, float]) -> bool:
    """Two distributions agree on every token that matters."""
    return all(abs(p - b.get(id, 0.0)) < CLOSE for id, p in a.items() if p > CLOSE)


def distance(a: dict[int, float], b: dict[int, float]) -> float:
    """Total variation between two distributions, as far as they are listed."""
    return sum(abs(a.get(id, 0.0) - b.get(id, 0.0)) for id in a.keys() | b.keys()) / 2


# ---- runtime and model


def test_runtime_and_model_say_what_they_are(server: Server) -> None:
    async def test(probe: Probe) -> None:
        assert unhexed(await probe("id")).decode() == probe.instance
        args = (await probe("args")).replace(",", " ").split()
        assert [unhexed(a).decode() for a in args] == ["--one", "two words"]
        assert unhexed(await probe("version"))
        models = (await probe("models")).replace(",", " ").split()
        assert b"smollm2-135m-instruct" in [unhexed(m) for m in models]
        assert unhexed(await probe("name")) == b"smollm2-135m-instruct"
        assert unhexed(await probe("description"))
        assert b"<|im_start|>" in unhexed(await probe("template"))
        stops = (await probe("stop-tokens")).replace(",", " ").split()
        assert b"<|im_end|>" in [unhexed(s) for s in stops]
        traits = (await probe("traits")).replace(",", " ").split()
        assert traits and await probe(f"models-with {traits[0]}") == await probe("models")
        assert await probe(f"models-with {hexed('no such trait')}") == ""
        assert await probe(f"get-model {hexed('no such model')}") == "none"
        assert int(await probe("page-size")) > 0
        assert int(await probe("service-id")) == int(await probe("queue-service-id"))
        assert await probe(f"debug-query {hexed('x')}") and await probe(f"queue-debug-query {hexed('x')}")

    with_probe(server, test, arguments=["--one", "two words"])


@pytest.mark.parametrize(
    ("command", "event", "text"),
    [
        (f"return {hexed('the value')}", COMPLETED, "the value"),
        ("return -", COMPLETED, "kept"),
        (f"fail {hexed('why not')}", EXCEPTION, "Runtime error: why not"),
    ],
)
def test_how_run_ends_is_what_the_client_hears(server: Server, command: str, event: int, text: str) -> None:
    async def test(probe: Probe) -> None:
        await probe(f"set-return {hexed('kept')}")
        end = await probe.ends(command)
        assert (end.event, end.message) == (event, text)

    with_probe(server, test)


def test_a_trap_and_an_exit_end_the_instance(server: Server) -> None:
    async def trap(probe: Probe) -> None:
        end = await probe.ends("trap")
        assert end.event == EXCEPTION and "unreachable" in end.message

    async def exit_3(probe: Probe) -> None:
        end = await probe.ends("exit 3")
        assert end.event == EXCEPTION and "exit with code" in end.message

    with_probe(server, trap)
    with_probe(server, exit_3)


# ---- tokenizer and template


def test_tokenizer_round_trips_and_knows_special_tokens(server: Server) -> None:
    async def test(probe: Probe) -> None:
        for text in ("Hello, world!", "Grüße aus Köln", "日本語", "x = [1, 2]\n\tif x:\n", "🙂🙃", " "):
            ids = await probe.tokenize(text)
            assert unhexed(await probe(f"detokenize {numbers(ids)}")).decode() == text
        assert await probe.tokenize("<|im_start|>") == [1]
        assert await probe("tokenize -") in ("", "-")
        count, total, _ = map(int, (await probe("vocab")).split())
        assert count == VOCABULARY and total == VOCABULARY * (VOCABULARY - 1) // 2
        assert unhexed(await probe("vocab-at 1")) == b"<|im_start|>"
        assert f"2:{hexed('<|im_end|>')}" in (await probe("special")).split()
        assert unhexed(await probe("regex"))

    with_probe(server, test)


def test_detokenize_of_half_a_character_replaces_it(server: Server) -> None:
    async def test(probe: Probe) -> None:
        ids = await probe.tokenize("🙂")
        assert len(ids) > 1
        text = unhexed(await probe(f"detokenize {ids[0]}")).decode()
        assert "\ufffd" in text
        assert unhexed(await probe(f"detokenize {VOCABULARY + 5}")) == b""

    with_probe(server, test)


def test_the_chat_template_is_the_model_files(server: Server) -> None:
    async def test(probe: Probe) -> None:
        turn = f"{hexed('system')}:{hexed('Be brief.')} {hexed('user')}:{hexed('Hi')}"
        text = unhexed(await probe(f"render 1 {turn}")).decode()
        assert text == (
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
        )
        assert not unhexed(await probe(f"render 0 {turn}")).decode().endswith("assistant\n")

    with_probe(server, test)


# ---- resources


def test_pointers_are_the_smallest_free_numbers_per_type(server: Server) -> None:
    async def test(probe: Probe) -> None:
        assert await probe("alloc 0 3") == "0,1,2"
        assert await probe("alloc 1 2") == "0,1"
        assert await probe("alloc 0 0") in ("", "-")
        assert await probe("dealloc 0 1") == ""
        assert await probe("alloc 0 2") == "1,3"

    with_probe(server, test)


@pytest.mark.parametrize(
    ("setup", "command", "words"),
    [
        ([], "alloc 9 1", ["9"]),
        ([], "dealloc 0 7", ["7"]),
        (["alloc 0 1", "dealloc 0 0"], "dealloc 0 0", ["0"]),
        (["pass", "tokens 1 @0", "kv 5 1", "out greedy 0"], "execute", ["5"]),
        (["pass", "tokens 49152 @0", "out greedy 0"], "execute", ["49152"]),
        (["pass", "tokens 1,2 @0,1", "out greedy 2"], "execute", ["2"]),
        (["pass", "tokens 1 @0", "dist 7 1 -"], "execute", ["7"]),
        (["alloc 0 1", "pass", f"tokens {numbers([1] * 17)} @{numbers(range(17))}", "kv 0 16",
          "out greedy 0"], "execute", ["17"]),
        (["alloc 0 1", "pass", "tokens 1 @0", "kv 0 17", "out greedy 0"], "execute", ["17"]),
        (["alloc 0 1", "pass", "tokens 1 @0", "kv 0 0", "out greedy 0"], "execute", ["0"]),
        (["pass", "tokens 1,2 @0,1", "mask 0,1", "out greedy 0"], "execute", ["1", "2"]),
        (["pass", "out greedy 0"], "execute", []),
        (["pass", "emb-in 3 @0", "out greedy 0"], "execute", ["3"]),
        (["pass"], "tokens 1,2 @0", ["2", "1"]),
        ([], "poll-none", []),
    ],
)  # fmt: skip
def test_a_programs_mistake_ends_it_with_the_call_the_value_and_the_bound(
    server: Server, setup: list[str], command: str, words: list[str]
) -> None:
    async def main() -> None:
        async with Peer(server.url) as peer:
            neighbour = await Probe.launch(peer)
            await neighbour.ready()
            async with await Probe.launch(peer) as probe:
                await probe.ready()
                await probe.all(*setup)
                end = await probe.ends(command)
                assert end.event == EXCEPTION, end
                assert all(word in end.message for word in words), end
                call = {"alloc": "allocate-resources", "dealloc": "deallocate-resources",
                        "execute": "execute", "tokens": "input-tokens",
                        "poll-none": "poll"}[command.split()[0]]  # fmt: skip
                assert call in end.message, end
            assert await neighbour("alloc 0 1") == "0"  # nobody else noticed
            await peer.call("terminate_instance", instance_id=neighbour.instance)

    asyncio.run(main())


# ---- forward passes


async def whole(probe: Probe, ids: list[int], pages: str) -> dict[int, float]:
    """The next-token distribution after `ids`, computed in one pass over fresh pages."""
    last = (len(ids) - 1) % 16 + 1
    await probe.forward(f"tokens {numbers(ids)} @{numbers(range(len(ids)))}", f"kv {pages} {last}",
                        f"dist {len(ids) - 1} 1 -")  # fmt: skip
    return await probe.distribution()


def test_distributions_are_the_k_best_descending_and_tokens_their_argmax(server: Server) -> None:
    async def test(probe: Probe) -> None:
        ids = await probe.tokenize(TEXT)
        await probe(f"alloc 0 {-(-len(ids) // 16)}")
        last = len(ids) - 1
        await probe.forward(f"tokens {numbers(ids)} @{numbers(range(len(ids)))}",
                            f"kv {numbers(range(-(-len(ids) // 16)))} {last % 16 + 1}",
                            f"dist {last} 1 -", f"dist {last} 0.5 5", f"dist {last} 0 3",
                            f"out greedy {last}", f"out top-k {last} 1 1",
                            f"out min-p {last} 1 1", f"out top-p {last} 1 0.0001",
                            f"out top-k-top-p {last} 1 1 1", f"out plain {last} 1")  # fmt: skip
        words = (await probe("get-dist")).split()
        rows = [[(int(i), float(p)) for i, p in (q.split(":") for q in w.split(","))] for w in words]
        assert [len(row) for row in rows] == [32, 5, 3]
        for row in rows:
            assert [p for _, p in row] == sorted((p for _, p in row), reverse=True)
        assert rows[1][0][1] > rows[0][0][1]  # T = 0.5 sharpens
        assert rows[2] == rows[0][:3]  # T < 1e-5 ranks the untempered probabilities
        assert sum(p for _, p in rows[0]) <= 1.0001
        tokens = [int(t) for t in (await probe("get-tokens")).split(",")]
        assert len(tokens) == 6 and tokens[:5] == [rows[0][0][0]] * 5
        # Each get takes.
        assert await probe("get-tokens") in ("", "-") and await probe("get-dist") == ""

    with_probe(server, test)


def test_chunked_equals_whole_and_pages_in_any_order_give_the_same(server: Server) -> None:
    async def test(probe: Probe) -> None:
        ids = await probe.tokenize(TEXT + ". " + TEXT)
        await probe("alloc 0 8")
        expected = await whole(probe, ids, numbers(range(-(-len(ids) // 16))))
        pages = [7, 4, 6, 5][: -(-len(ids) // 16)]
        done = 0
        for chunk in (1, 15, 3, len(ids) - 19):
            done += chunk
            used = pages[: -(-done // 16)]
            await probe("pass")
            await probe(f"tokens {numbers(ids[done - chunk : done])} @{numbers(range(done - chunk, done))}")
            await probe(f"kv {numbers(used)} {(done - 1) % 16 + 1}")
            await probe(f"dist {chunk - 1} 1 -")
            await probe("execute")
        await probe("wait")
        assert close(expected, await probe.distribution())

    with_probe(server, test)


def test_masked_tokens_are_as_if_they_had_not_been_there(server: Server) -> None:
    async def test(probe: Probe) -> None:
        ids = await probe.tokenize(TEXT)
        await probe("alloc 0 4")
        without = ids[:3] + ids[6:]
        positions = list(range(3)) + list(range(6, len(ids)))
        count = len(without)
        await probe.forward(f"tokens {numbers(without)} @{numbers(positions)}",
                            f"kv 0,1 {count - 16}" if count > 16 else f"kv 0 {count}",
                            f"dist {count - 1} 1 -")  # fmt: skip
        expected = await probe.distribution()
        rows = ";".join(numbers([3, 3, 999]) if i >= 6 else numbers([i + 1]) for i in range(len(ids)))
        pages = "2,3" if len(ids) > 16 else "2"
        last = (len(ids) - 1) % 16 + 1
        await probe.forward(f"tokens {numbers(ids)} @{numbers(range(len(ids)))}",
                            f"kv {pages} {last}", f"mask {rows}", f"dist {len(ids) - 1} 1 -")  # fmt: skip
        masked = await probe.distribution()
        assert close(expected, masked)
        await probe.forward(f"tokens {numbers(ids)} @{numbers(range(len(ids)))}",
                            f"kv {pages} {last}", f"dist {len(ids) - 1} 1 -")  # fmt: skip
        assert not close(await probe.distribution(), masked)

    with_probe(server, test)


def test_a_mask_holds_for_a_single_token_beside_a_busy_neighbour(server: Server) -> None:
    async def test(probe: Probe) -> None:
        ids = await probe.tokenize("one two three four five six seven eight")
        await probe("alloc 0 2")
        n = len(ids)
        await probe.forward(f"tokens {numbers(ids[:-1])} @{numbers(range(n - 1))}", f"kv 0 {n - 1}",
                            "dist 0 1 -")  # fmt: skip
        first = await probe.distribution()
        # The last token sees itself alone: the same as a pass of it with nothing before it.
        await probe.forward(f"tokens {ids[-1]} @{n - 1}", f"kv 0 {n}", f"mask 0,{n - 1},1", "dist 0 1 -")
        alone = await probe.distribution()
        await probe.forward(f"tokens {ids[-1]} @{n - 1}", "dist 0 1 -")
        assert close(alone, await probe.distribution()) and not close(alone, first)

    with_probe(server, test)


def test_positions_feed_the_rotary_embedding_alone(server: Server) -> None:
    async def test(probe: Probe) -> None:
        ids = (await probe.tokenize(TEXT))[:16]
        await probe("alloc 0 2")
        n = len(ids)
        await probe.forward(f"tokens {numbers(ids)} @{numbers(range(n))}", f"kv 0 {n}", f"dist {n - 1} 1 -")
        at_zero = await probe.distribution()
        # Rotary attention depends on differences: shifting all positions changes nothing but the
        # rounding of the rotated keys to F16.
        await probe.forward(f"tokens {numbers(ids)} @{numbers(range(500, 500 + n))}", f"kv 1 {n}",
                            f"dist {n - 1} 1 -")  # fmt: skip
        assert distance(at_zero, await probe.distribution()) < 0.15
        # They may repeat: slots, not positions, say who comes first.
        await probe.forward(f"tokens {numbers(ids)} @{numbers([3] * n)}", f"kv 1 {n}", f"dist {n - 1} 1 -")
        assert distance(at_zero, await probe.distribution()) > 0.3

    with_probe(server, test)


def test_embedding_slots_carry_hidden_states_out_and_in(server: Server) -> None:
    async def test(probe: Probe) -> None:
        ids = await probe.tokenize("hello there")
        assert await probe("alloc 1 2") == "0,1"
        await probe("pass")
        await probe.all(f"tokens {numbers(ids)} @{numbers(range(len(ids)))}", f"emb-out 0 @{len(ids) - 1}")
        assert await probe("execute") == "none"  # no tokens or distributions were asked for
        assert await probe("sync") == "true"
        await probe.forward("emb-in 0 @0", "dist 0 1 4")
        first = await probe("get-dist")
        await probe.forward("emb-in 1 @0", "dist 0 1 4")
        assert first and first != await probe("get-dist")

    with_probe(server, test)


def test_a_hidden_row_is_the_same_however_it_was_computed(server: Server) -> None:
    async def test(probe: Probe) -> None:
        ids = (await probe.tokenize(TEXT))[:12]
        last = len(ids) - 1
        assert await probe("alloc 0 2") == "0,1" and await probe("alloc 1 4") == "0,1,2,3"
        # Slot 0: of one pass. Slot 1: of two, over a page. Slot 2: of another text.
        await probe.all("pass", f"tokens {numbers(ids)} @{numbers(range(len(ids)))}", f"emb-out 0 @{last}",
                        "execute")  # fmt: skip
        await probe.all("pass", f"tokens {numbers(ids[:last])} @{numbers(range(last))}", f"kv 0 {last}",
                        "execute")  # fmt: skip
        await probe.all("pass", f"tokens {ids[last]} @{last}", f"kv 0 {len(ids)}", "emb-out 1 @0", "execute")
        await probe.all("pass", f"tokens {numbers(ids[:last])} @{numbers(range(last))}",
                        f"emb-out 2 @{last - 1}", "execute")  # fmt: skip

        async def after(*commands: str) -> str:
            await probe.forward(*commands)
            return await probe("get-dist")

        of_one_pass = await after("emb-in 0 @0", "dist 0 1 8")
        assert of_one_pass == await after("emb-in 1 @0", "dist 0 1 8")
        assert of_one_pass != await after("emb-in 2 @0", "dist 0 1 8")
        # An input attends like a token: two in one pass are what they are one after the other.
        together = await after("emb-in 0,2 @0,1", "dist 1 1 8")
        await probe.all("pass", "emb-in 0 @0", "kv 1 1", "execute")
        assert together == await after("emb-in 2 @1", "kv 1 2", "dist 0 1 8")
        assert together != await after("emb-in 2 @0", "dist 0 1 8")

    with_probe(server, test)


def test_execute_takes_everything_and_the_pass_can_be_filled_again(server: Server) -> None:
    async def test(probe: Probe) -> None:
        await probe.forward("tokens 1,2 @0,1", "out greedy 0", "out greedy 1")
        assert len((await probe("get-tokens")).split(",")) == 2
        await probe.all("tokens 5 @0", "out greedy 0", "execute", "wait")
        assert len((await probe("get-tokens")).split(",")) == 1

    with_probe(server, test)


def test_a_result_is_none_until_it_is_ready_and_polls_with_others(server: Server) -> None:
    async def test(probe: Probe) -> None:
        ids = numbers([7] * 600)
        await probe("alloc 0 38")
        await probe.all("pass", f"tokens {ids} @{numbers(range(600))}",
                        f"kv {numbers(range(38))} 8", "out greedy 599", "execute")  # fmt: skip
        await probe.all("pass", "tokens 1 @0", "out greedy 0", "execute")
        assert set((await probe("wait-any 0,1")).split(",")) <= {"0", "1"}
        await probe.all("use-result 0", "wait", "use-result 1", "wait")
        assert await probe("ready?") == "true"

    with_probe(server, test)


def test_a_long_prompt_is_accepted_and_split(server: Server) -> None:
    async def test(probe: Probe) -> None:
        ids = (await probe.tokenize(TEXT * 120))[:1500]
        pages = -(-len(ids) // 16)
        await probe(f"alloc 0 {pages}")
        await probe.forward(f"tokens {numbers(ids)} @{numbers(range(len(ids)))}",
                            f"kv {numbers(range(pages))} {(len(ids) - 1) % 16 + 1}",
                            f"out greedy 3,{len(ids) - 1}")  # fmt: skip
        assert len((await probe("get-tokens")).split(",")) == 2

    with_probe(server, test)


def test_a_fresh_page_reads_as_empty_whoever_had_it_before(server: Server) -> None:
    async def main() -> None:
        async with Peer(server.url) as peer:
            results = []
            for round in range(2):
                async with await Probe.launch(peer) as probe:
                    await probe.ready()
                    await probe("alloc 0 4")
                    if round == 1:  # dirty every page before it goes back
                        ids = await probe.tokenize(TEXT)
                        await whole(probe, ids[:16], "0")
                        await whole(probe, ids[:16], "1")
                    # A context of 16 slots that were never written by this pass's sequence.
                    await probe.forward("tokens 5 @16", "kv 2,3 1", "dist 0 1 8")
                    results.append(await probe("get-dist"))
            assert results[0] == results[1]

    asyncio.run(main())


def test_queues_keep_order_have_priorities_and_synchronize(server: Server) -> None:
    async def test(probe: Probe) -> None:
        await probe("alloc 0 40")
        for level in ("low", "high", "normal"):
            await probe(f"priority {level}")
        await probe.all("pass", f"tokens {numbers([9] * 400)} @{numbers(range(400))}",
                        f"kv {numbers(range(25))} 16", "out greedy 399", "execute")  # fmt: skip
        assert await probe("sync") == "true"
        assert await probe("ready?") == "true"  # everything before it is completed
        await probe("queue")
        assert await probe("sync") == "true"

    with_probe(server, test)


# ---- messages, topics, kvs, blobs


def test_a_receive_that_is_dropped_swallows_no_message(server: Server) -> None:
    async def test(probe: Probe) -> None:
        await probe("drop-receive")
        await probe("drop-receive")
        assert await probe("receive-now") == "none"
        for command in ("id", "id", "id"):
            await probe.send(command)
        assert [await probe.answer() for _ in range(3)] == [f"ok {hexed(probe.instance)}"] * 3

    with_probe(server, test)


def test_topics_are_per_user_and_deliver_until_unsubscribed(server: Server) -> None:
    async def main() -> None:
        async with Peer(server.url, "ann") as ann, Peer(server.url, "bob") as bob:
            a, b, c = await Probe.launch(ann), await Probe.launch(ann), await Probe.launch(bob)
            topic = hexed("news")
            for probe in (a, c):
                await probe(f"subscribe {topic}")
            assert await a("sub-get") == "none" and await a("sub-ready?") == "false"
            for text in ("one", "two"):
                await b(f"broadcast {topic} {hexed(text)}")
            assert await a("sub-wait") == hexed("one")
            assert await a("sub-get") == hexed("two")
            assert await a("sub-get") == "none"
            assert await c("sub-get") == "none"  # another user's topic of the same name
            await a("unsubscribe")
            await b(f"broadcast {topic} {hexed('three')}")
            assert await a("sub-get") == "none"
            for probe in (a, b, c):
                await probe.ends("return -")

    asyncio.run(main())


def test_a_slow_subscriber_is_bounded_and_told_what_was_dropped(server: Server) -> None:
    async def main() -> None:
        async with Peer(server.url, "flood") as peer:
            slow, fast = await Probe.launch(peer), await Probe.launch(peer)
            await slow(f"subscribe {hexed('t')}")
            for n in range(1500):
                await fast.send(f"broadcast {hexed('t')} {hexed(str(n))}")
            for _ in range(1500):
                await fast.answer()
            got = []
            while (word := await slow("sub-get")) != "none":
                got.append(unhexed(word).decode())
            assert len(got) < 1500 and got[-1] == "1499"
            assert any("dropped" in text for text in got)
            for probe in (slow, fast):
                await probe.ends("return -")

    asyncio.run(main())


def test_kvs_is_per_user_and_survives_kill_9(own_server: Server) -> None:
    async def write(probe: Probe) -> None:
        assert await probe(f"kvs-get {hexed('k')}") == "none"
        await probe(f"kvs-set {hexed('k')} {hexed('värde')}")
        await probe(f"kvs-set {hexed('gone')} {hexed('x')}")
        await probe(f"kvs-delete {hexed('gone')}")
        assert await probe(f"kvs-exists {hexed('k')}") == "true"
        assert await probe(f"kvs-exists {hexed('gone')}") == "false"
        own_server.kill()

    async def read(probe: Probe) -> None:
        assert await probe(f"kvs-get {hexed('k')}") == hexed("värde")
        assert await probe("kvs-list") == hexed("k")

    async def other(probe: Probe) -> None:
        assert await probe(f"kvs-get {hexed('k')}") == "none"
        assert await probe("kvs-list") == ""

    try:
        with_probe(own_server, write, "me", ready=False)
    except ConnectionError:
        pass
    own_server.start()
    with_probe(own_server, read, "me", ready=False)
    with_probe(own_server, other, "you", ready=False)


def test_blobs_are_read_in_pieces_and_sent_back(server: Server) -> None:
    async def test(probe: Probe) -> None:
        await probe(f"blob {hexed('0123456789')}")
        assert await probe("blob-size") == "10"
        assert await probe("blob-read 3 4") == hexed("3456")
        assert await probe("blob-read 8 100") == hexed("89")
        assert await probe("blob-read 10 1") in ("-", "")
        await probe("send-blob")
        data = bytes(range(256)) * 4096
        await probe.peer.upload_blob(probe.instance, data)
        await probe("receive-blob")
        assert await probe("blob-sum") == f"{len(data)} {sum(data)}"

    with_probe(server, test, ready=False)


def test_a_blob_too_large_for_one_call_is_a_clear_error_and_a_large_one_is_not(
    server: Server,
) -> None:
    async def small_enough(probe: Probe) -> None:
        await probe(f"blob-fill {2 << 20} 7")
        assert await probe("blob-sum") == f"{2 << 20} {7 * (2 << 20)}"
        await probe("send-blob")

    async def too_large(probe: Probe) -> None:
        end = await probe.ends(f"blob-fill {64 << 20} 7")
        assert end.event == OUT_OF_RESOURCES and "host call" in end.message

    with_probe(server, small_enough, ready=False)
    with_probe(server, too_large, ready=False)


# ---- what links and is not served


@pytest.mark.parametrize(
    ("setup", "command", "text"),
    [
        ([], "image-size", "not supported yet: inferlet:image/image#calculate-embed-size"),
        (["queue"], "image-embed", "not supported yet: inferlet:image/image#embed-image"),
        ([], "actor", "inferlet:actor is not served"),
    ],
)
def test_what_comes_later_says_so_when_called(
    server: Server, setup: list[str], command: str, text: str
) -> None:
    async def test(probe: Probe) -> None:
        await probe.all(*setup)
        end = await probe.ends(command)
        assert end.event == EXCEPTION and text in end.message

    with_probe(server, test)


def test_clocks_and_timers_work(server: Server) -> None:
    async def test(probe: Probe) -> None:
        before = int(await probe("now-ns"))
        await probe("sleep-ms 30")
        assert int(await probe("now-ns")) - before >= 30_000_000

    with_probe(server, test, ready=False)


def test_kv_pages_used_is_the_true_figure(server: Server) -> None:
    async def test(probe: Probe) -> None:
        ids = await probe.tokenize(TEXT * 3)
        pages = -(-len(ids) // 16)
        await probe(f"alloc 0 {pages}")
        await whole(probe, ids, numbers(range(pages)))
        rows = (await probe.peer.call("list_instances"))["instances"]
        row = next(row for row in rows if row["id"] == probe.instance)
        assert row["kv_pages_used"] == pages
        await probe(f"dealloc 0 {numbers(range(1, pages))}")
        await probe("sync")
        rows = (await probe.peer.call("list_instances"))["instances"]
        assert next(row for row in rows if row["id"] == probe.instance)["kv_pages_used"] == 1
        status = json.loads((await probe.peer.call("query", subject="model_status", record=""))["result"])
        assert status[f"smollm2-135m-instruct.instance.{probe.instance}.kv_pages"] == "1"

    with_probe(server, test)
