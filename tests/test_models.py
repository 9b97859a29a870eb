"""Several models in one server, and `pie model`: real files, the real command, programs of two models."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import BUILD, MODEL, PIE, Server
from tests.probe import Probe, hexed, numbers, unhexed, with_probe

DEFAULT = "smollm2-135m-instruct"
TINY_GGUF = BUILD / "cmake" / "release" / "tests" / "pie_tiny_gguf"
REFERENCE = BUILD / "cmake" / "release" / "tests" / "pie_reference"
GEMMA_MARGIN = 1.52  # docs/NUMERICS.md
GEMMA = Path(os.environ.get("PIE_TEST_GEMMA", ""))


def tiny(family: str, name: str, folder: Path, *shards: str) -> Path:
    """A model of random weights; of a split one the first shard."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [str(TINY_GGUF), family, name, str(folder), *shards]
    return Path(subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout.strip())


def pie(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`pie model ...` with a PIE_HOME of its own."""
    return subprocess.run([str(PIE), "model", *arguments], env=dict(os.environ, PIE_HOME=str(home)),
                          text=True, capture_output=True, check=False, timeout=170)  # fmt: skip


@pytest.fixture(scope="module")
def two_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The default model, a tiny qwen3 in shards and a tiny gemma3 under an alias."""
    folder = tmp_path_factory.mktemp("models")
    qwen = tiny("qwen3", "tiny-qwen", folder, "3")
    gemma = tiny("gemma3", "tiny-gemma", folder)
    one = Server(folder / "home", "--model", DEFAULT, "--model", str(qwen), "--model", f"small={gemma}",
                 "--kv-pages", "256").start()  # fmt: skip
    yield one
    assert one.stop() == 0, one.log.read_text()[-4000:]


async def next_token(probe: Probe, model: str, text: str) -> int:
    """The greedy token after a text, by a pass without a cache."""
    await probe(f"get-model {hexed(model)}")
    await probe("queue")
    ids = await probe.tokenize(text)
    await probe("pass")
    await probe(f"tokens {numbers(ids)} @{numbers(range(len(ids)))}")
    await probe(f"out greedy {len(ids) - 1}")
    await probe("execute")
    await probe("wait")
    return int(await probe("get-tokens"))


def test_programs_find_every_model_by_id_and_alias(two_models: Server) -> None:
    async def test(probe: Probe) -> None:
        names = [unhexed(w).decode() for w in (await probe("models")).replace(",", " ").split()]
        assert names == [DEFAULT, "tiny-qwen", "tiny-gemma"]
        with_traits = (await probe(f"models-with {hexed('input_text')}")).replace(",", " ").split()
        assert [unhexed(w).decode() for w in with_traits] == names
        assert await probe(f"models-with {hexed('sees_images')}") == ""
        service_ids = []
        for name in (*names, "small"):
            await probe(f"get-model {hexed(name)}")
            assert unhexed(await probe("name")).decode() == name
            service_ids.append(await probe("service-id"))
        assert len(set(service_ids)) == 3 and service_ids[2] == service_ids[3]
        assert await probe(f"get-model {hexed('tiny')}") == "none"

    with_probe(two_models, test)


def test_each_model_has_its_own_tokenizer_and_template(two_models: Server) -> None:
    async def test(probe: Probe) -> None:
        await probe(f"get-model {hexed('tiny-gemma')}")
        await probe("queue")
        assert b"<start_of_turn>" in unhexed(await probe("template"))
        count, _, _ = (int(word) for word in (await probe("vocab")).split())
        assert count == 298 and await probe("regex") == "-"
        special = [unhexed(w.split(":")[1]) for w in (await probe("special")).split()]
        assert b"<end_of_turn>" in special and b"he" not in special
        stops = [unhexed(w) for w in (await probe("stop-tokens")).replace(",", " ").split()]
        assert b"<end_of_turn>" in stops
        ids = await probe.tokenize("hello<end_of_turn>")
        assert len(ids) == 2
        assert unhexed(await probe(f"detokenize {numbers(ids)}")) == b"hello<end_of_turn>"
        await probe(f"get-model {hexed('tiny-qwen')}")
        await probe("queue")
        assert b"(?i:" in unhexed(await probe("regex"))
        assert len(await probe.tokenize("he<|end|>")) == 2

    with_probe(two_models, test)


def test_one_instance_uses_several_models_at_once(two_models: Server) -> None:
    async def test(probe: Probe) -> None:
        first = [await next_token(probe, m, "hello he") for m in (DEFAULT, "tiny-qwen", "small")]
        # The same again, with passes on all three in flight together.
        results = []
        for model in (DEFAULT, "tiny-qwen", "small"):
            await probe(f"get-model {hexed(model)}")
            await probe("queue")
            ids = await probe.tokenize("hello he")
            await probe("pass")
            await probe(f"tokens {numbers(ids)} @{numbers(range(len(ids)))}")
            await probe(f"out greedy {len(ids) - 1}")
            results.append(await probe("execute"))
        again = []
        for result in results:
            await probe(f"use-result {result}")
            await probe("wait")
            again.append(int(await probe("get-tokens")))
        assert again == first

    with_probe(two_models, test)


def test_kv_pages_are_each_models_own_and_status_lists_every_model(two_models: Server) -> None:
    async def test(probe: Probe) -> None:
        for model, count in ((DEFAULT, 3), ("tiny-qwen", 5)):
            await probe(f"get-model {hexed(model)}")
            await probe("queue")
            assert await probe(f"alloc 0 {count}") == numbers(range(count))
            ids = await probe.tokenize("hello he")
            await probe("pass")
            await probe(f"tokens {numbers(ids)} @{numbers(range(len(ids)))}")
            await probe(f"kv 0 {len(ids)}")
            await probe(f"out greedy {len(ids) - 1}")
            await probe("execute")
            await probe("wait")
        answer = await probe.peer.call("query", subject="model_status", record="")
        status = json.loads(answer["result"])
        for model in (DEFAULT, "tiny-qwen", "tiny-gemma"):
            assert status[f"{model}.model.name"] == model
            assert int(status[f"{model}.resource.g0.kv_page.capacity"]) == 256
        mine = f"instance.{probe.instance}.kv_pages"
        used = [int(status[f"{m}.{mine}"]) for m in (DEFAULT, "tiny-qwen", "tiny-gemma")]
        assert used[2] == 0 and used[0] > 0 and used[1] > 0

    with_probe(two_models, test)


def test_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    model = tiny("llama", "one", tmp_path / "a")
    other = tiny("qwen2", "one", tmp_path / "b")
    for second in (str(other), f"smollm2-135m-instruct={other}", f"a b={other}"):
        first = str(model) if second == str(other) else DEFAULT
        done = subprocess.run([str(PIE), "serve", "--port", "0", "--model", first, "--model", second],
                              env=dict(os.environ, PIE_HOME=str(tmp_path / "home")), text=True,
                              capture_output=True, check=False, timeout=60)  # fmt: skip
        assert done.returncode == 1
        assert "two models" in done.stderr or "ALIAS=FILE" in done.stderr


def test_models_come_from_the_config_and_the_environment(tmp_path: Path) -> None:
    home = tmp_path / "home"
    added = pie(home, "add", str(tiny("qwen2", "from-file", tmp_path)), "--name", "other")
    assert added.returncode == 0 and added.stdout == "other\n", added.stderr
    (home / "config.toml").write_text('models = ["nick=other"]\nkv_pages = 128\n')
    rows = {row["name"]: row for row in json.loads(pie(home, "list", "--json").stdout)}
    assert rows[DEFAULT]["served"] == "default" and rows[DEFAULT]["origin"] == "shipped"
    assert rows["other"] | {"file": "", "size_bytes": 0} == {
        "name": "other", "file": "", "size_bytes": 0, "origin": "added", "served": "also",
        "alias": "nick"}  # fmt: skip
    server = Server(home).start()

    async def test(probe: Probe) -> None:
        await probe(f"get-model {hexed('nick')}")
        assert unhexed(await probe("name")) == b"nick"

    with_probe(server, test)
    assert server.stop() == 0
    (home / "config.toml").write_text("models = [1]\n")
    done = pie(home, "list")
    assert done.returncode == 1 and "a list of texts" in done.stderr


def test_add_validates_copies_and_links(tmp_path: Path) -> None:
    home = tmp_path / "home"
    shards = tiny("gemma3", "split", tmp_path, "3")
    done = pie(home, "add", str(shards), "--link")
    assert done.returncode == 0 and done.stdout == "split\n", done.stderr
    assert sorted(f.name for f in (home / "models").iterdir()) == [
        f"split-{i:05}-of-00003.gguf" for i in (1, 2, 3)]  # fmt: skip
    assert all(f.is_symlink() for f in (home / "models").iterdir())
    again = pie(home, "add", str(shards))
    assert again.returncode == 1 and "split" in again.stderr and "--name" in again.stderr
    copied = pie(home, "add", str(shards), "--name", "copied")
    assert copied.returncode == 0
    assert not (home / "models" / "copied-00001-of-00003.gguf").is_symlink()
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF" + b"\0" * 100)
    for arguments in ((str(bad),), (str(shards), "--name", "../up"), (str(tmp_path / "no.gguf"),)):
        done = pie(home, "add", *arguments)
        assert done.returncode == 1 and done.stderr.startswith("pie model add"), done.stderr
    assert {m["name"] for m in json.loads(pie(home, "list", "--json").stdout)} == {DEFAULT, "split", "copied"}
    os.rename(shards.with_name("split-00002-of-00003.gguf"), tmp_path / "hidden")
    done = pie(home, "info", "split")
    assert done.returncode == 1 and "split-00002-of-00003.gguf" in done.stderr


def test_info_describes_a_model(tmp_path: Path) -> None:
    report = json.loads(pie(tmp_path, "info", DEFAULT, "--json").stdout)
    assert report["family"] == "llama" and report["context"] == 8192 and report["chat_template"] is True
    assert report["file"] == str(MODEL) and report["tied_output"] is True
    assert report["tensor_types"]["q4_1"]["tensors"] > 100 and report["executor"]
    gemma = pie(tmp_path, "info", str(tiny("gemma3", "g", tmp_path)))
    assert gemma.returncode == 0
    assert "gemma3" in gemma.stdout and "24 tokens in 2 of the layers" in gemma.stdout
    missing = pie(tmp_path, "info", "no-such-model")
    assert missing.returncode == 1 and DEFAULT in missing.stderr


def test_bench_measures_prefill_and_decode(tmp_path: Path) -> None:
    model = tiny("llama", "fast", tmp_path)
    done = pie(tmp_path, "bench", str(model), "--prompt", "64", "--decode", "16", "--repetitions", "3",
               "--threads", "1", "--threads", "2", "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [row["threads"] for row in report["results"]] == [1, 2]
    assert all(row["prefill_tokens_per_second"] > 0 and row["decode_tokens_per_second"] > 0
               for row in report["results"])  # fmt: skip
    done = pie(tmp_path, "bench", str(model), "--prompt", "4096")
    assert done.returncode == 1 and "context of 256" in done.stderr


def test_gemma_3_serves_beside_the_default_model(tmp_path: Path) -> None:
    server = Server(tmp_path / "home", "--model", DEFAULT, "--model", f"gemma={GEMMA}", "--kv-pages", "256")
    server.start()
    texts = ["<bos>The capital of France is", "<bos>1, 2, 3, 4, 5, 6,", "<bos>Roses are red, violets are"]
    answer = subprocess.run([str(REFERENCE), str(GEMMA), "1"], input=json.dumps(texts), text=True,
                            check=True, stdout=subprocess.PIPE)  # fmt: skip
    expected = json.loads(answer.stdout)["results"]
    assert any(steps["margins"][0] > GEMMA_MARGIN for steps in expected), "no clear choice among them"

    async def test(probe: Probe) -> None:
        await probe(f"get-model {hexed('gemma')}")
        assert unhexed(await probe("name")) == b"gemma", "the name that the program asked for"
        await probe("queue")
        count, _, size = (int(word) for word in (await probe("vocab")).split())
        assert count == 262_144 and size > 1_000_000
        for text, steps in zip(texts, expected, strict=True):
            token = await next_token(probe, "gemma", text)
            assert token == steps["tokens"][0] or steps["margins"][0] <= GEMMA_MARGIN, text

    with_probe(server, test)
    assert server.stop() == 0
