"""How a program gets an object of each resource, to call the functions that want one."""

from __future__ import annotations

import struct

from tests.reliability.call_program import RESULT, Case, Recipe

MODEL = b"smollm2-135m-instruct"
COMMON, FORWARD, MESSAGE = "inferlet:core/common", "inferlet:core/forward", "inferlet:core/message"
RUNTIME, TOKENIZE, HTTP = "inferlet:core/runtime", "inferlet:core/tokenize", "wasi:http/types"
LOGITS, GRAMMAR, DECODE = "pie:logits/logits", "pie:grammar/grammar", "pie:decode/generate"
CHAT, CHILDREN = "pie:chat/conversation", "pie:instance/children"
ADAPTER, EVOLVE = "inferlet:adapter/common", "inferlet:zo/evolve"
HANDLE, CONSUME = "wasi:http/outgoing-handler#handle", f"{HTTP}#[method]incoming-response.consume"
POLL, CLOCK, STREAMS = "wasi:io/poll", "wasi:clocks/monotonic-clock", "wasi:io/streams"


def queue(c: Case) -> str:
    """A queue with eight pages, as many embedding slots and adapters, of which the first evolves."""
    made = c.handle(f"{COMMON}#[method]model.create-queue", c.need(f"{COMMON}/model"))
    for type in (0, 1, 2):
        c.call(f"{COMMON}#allocate-resources", made, type, 8)
    one, half = "(f32.const 1)", "(f32.const 0.5)"
    c.call(f"{EVOLVE}#initialize-adapter", made, 0, 1, one, 8, half, half)
    return made


def forward_pass(c: Case) -> str:
    """A pass of one token that can be executed."""
    made = c.handle(f"{FORWARD}#create-forward-pass", c.need(f"{COMMON}/queue"))
    zero = c.static(bytes(4), 1)
    c.call(f"{FORWARD}#input-tokens", made, *zero, *zero)
    c.call(f"{FORWARD}#output-tokens", made, *zero, "(f32.const 0)")
    return made


def pass_result(c: Case) -> str:
    """A result that is there: a token with details, a row of logits and what else is told of it."""
    filled, zero = c.need(f"{FORWARD}/forward-pass"), c.static(bytes(4), 1)
    c.call(f"{LOGITS}#output-logits", filled, *zero, 0)
    c.call(f"{LOGITS}#output-entropies", filled, *zero)
    c.call(f"{LOGITS}#output-log-probabilities", filled, 0, *c.static(bytes(4_000), 1_000))
    made = c.handle(f"{FORWARD}#[method]forward-pass.execute", filled)
    wait_for(c, c.handle(f"{FORWARD}#[method]forward-pass-result.pollable", made))
    return made


def generation(c: Case) -> str:
    """A generation of four tokens."""
    sampling = (0.5, 0, 1, 0, 1, 0, 0.1, (0, None), (0, None), (0, None), [], (1, 7))
    request = (range(8), 0, [], [0], 0, (0, None), sampling, (4, 2, []), [], [], 4, 0, 0, 0)
    start = f"{DECODE}#[static]generation.start"
    return c.handle(start, c.parameters(start, c.need(f"{COMMON}/queue"), request))


def wait_for(c: Case, pollable: str) -> None:
    """Until it is ready."""
    c.call(f"{POLL}#[method]pollable.block", pollable)
    c.drop(pollable)


def request(c: Case, path: bytes = b"/endless") -> str:
    """A request that is allowed."""
    made = c.handle(f"{HTTP}#[constructor]outgoing-request", c.need(f"{HTTP}/fields"))
    c.call(f"{HTTP}#[method]outgoing-request.set-scheme", made, 1, 0, 0, 0)
    c.call(f"{HTTP}#[method]outgoing-request.set-authority", made, 1, *c.static(c.program.authority))
    c.call(f"{HTTP}#[method]outgoing-request.set-path-with-query", made, 1, *c.static(path))
    return made


def response(c: Case, path: bytes = b"/endless") -> str:
    """A response whose head is there."""
    future = c.handle(HANDLE, request(c, path), 0, 0)
    wait_for(c, c.handle(f"{HTTP}#[method]future-incoming-response.subscribe", future))
    return c.handle(f"{HTTP}#[method]future-incoming-response.get", future)


def stream_error(c: Case) -> str:
    """Why the body of a response broke off."""
    body = c.handle(CONSUME, response(c, b"/broken"))
    stream = c.handle(f"{HTTP}#[method]incoming-body.stream", body)
    kind, detail = c.wit.kind(c.wit.functions[f"{STREAMS}#[method]input-stream.blocking-read"].result)
    failure = c.wit.cases(kind, detail)[1][1]
    found = c.wit.cases(*c.wit.kind(failure))[0][1]
    offset = c.wit.payload_offset(failure) + 4
    c.sink.append("(loop $read")
    c.call(f"{STREAMS}#[method]input-stream.blocking-read", stream, "(i64.const 65536)")
    c.sink.append(f"(br_if $read (i32.eqz (i32.load8_u (i32.const {RESULT})))))")
    made = c.local("i32", f"(i32.load (i32.const {RESULT + offset}))")
    c.alive[made] = c.wit.resource(c.wit.kind(found)[1])[1]
    return made


def rendered(c: Case) -> str:
    """A prompt of one message."""
    texts = (c.program.static(b"user"), 4, c.program.static(b"Hi"), 2, *[0] * 8)
    message = c.static(struct.pack("<12I", *texts), 1)
    return c.handle(f"{CHAT}#render", c.need(f"{COMMON}/model"), *message, *[0] * 6, 1)


def launching(c: Case) -> str:
    """A launch of a program that waits for messages."""
    return c.handle(f"{CHILDREN}#launch", 0, *c.static(b"std/echo"), 0, 0)


def child(c: Case) -> str:
    """What came of one."""
    begun = c.need(f"{CHILDREN}/launching")
    wait_for(c, c.handle(f"{CHILDREN}#[method]launching.pollable", begun))
    return c.handle(f"{CHILDREN}#[method]launching.get", begun)


def adapter_file() -> bytes:
    """A GGUF adapter that adapts nothing."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    texts = {"general.type": "adapter", "general.architecture": "llama", "adapter.type": "lora"}
    keys = [text(key) + struct.pack("<I", 8) + text(value) for key, value in texts.items()]
    keys.append(text("adapter.lora.alpha") + struct.pack("<If", 6, 1))
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(keys)) + b"".join(keys)


def told(key: str, *arguments: str | int, of: str = "") -> Recipe:
    """An object that a function gives of another one, or of arguments."""
    return lambda c: c.handle(key, *([c.need(of)] if of else []), *arguments)


def of_text(key: str, text: bytes, *, of: str = "") -> Recipe:
    """An object that a function gives for a text."""
    return lambda c: c.handle(key, *([c.need(of)] if of else []), *c.static(text))


RECIPES: dict[str, Recipe] = {
    f"{COMMON}/model": of_text(f"{RUNTIME}#get-model", MODEL),
    f"{COMMON}/queue": queue,
    f"{COMMON}/blob": of_text(f"{COMMON}#[constructor]blob", b"blob" * 250),
    f"{COMMON}/blob-result": told(f"{MESSAGE}#receive-blob"),
    f"{COMMON}/synchronization-result": told(f"{COMMON}#[method]queue.synchronize", of=f"{COMMON}/queue"),
    f"{COMMON}/debug-query-result": of_text(f"{RUNTIME}#debug-query", b"x"),
    f"{FORWARD}/forward-pass": forward_pass,
    f"{FORWARD}/forward-pass-result": pass_result,
    f"{LOGITS}/token-set": of_text(f"{LOGITS}#[constructor]token-set", b"\x0f" * 6_144),
    f"{GRAMMAR}/grammar": of_text(f"{GRAMMAR}#[static]grammar.from-regex", b"([a-z]+ ?)*",
                                  of=f"{COMMON}/model"),
    f"{GRAMMAR}/matcher": told(f"{GRAMMAR}#[constructor]matcher", of=f"{GRAMMAR}/grammar"),
    f"{DECODE}/generation": generation,
    f"{TOKENIZE}/tokenizer": told(f"{TOKENIZE}#get-tokenizer", of=f"{COMMON}/model"),
    f"{MESSAGE}/subscription": of_text(f"{MESSAGE}#subscribe", b"a"),
    f"{MESSAGE}/receive-result": told(f"{MESSAGE}#receive"),
    f"{CHILDREN}/launching": launching,
    f"{CHILDREN}/child": child,
    f"{CHAT}/rendered": rendered,
    f"{CHAT}/parser": told(f"{CHAT}#[method]rendered.parse", of=f"{CHAT}/rendered"),
    f"{POLL}/pollable": told(f"{CLOCK}#subscribe-duration", f"(i64.const {2**63 - 1})"),
    f"{STREAMS}/input-stream": lambda c: c.handle(f"{HTTP}#[method]incoming-body.stream",
                                                  c.need(f"{HTTP}/incoming-body")),
    f"{STREAMS}/output-stream": told("wasi:cli/stdout#get-stdout"),
    "wasi:io/error/error": stream_error,
    f"{HTTP}/fields": told(f"{HTTP}#[constructor]fields"),
    f"{HTTP}/outgoing-request": request,
    f"{HTTP}/request-options": told(f"{HTTP}#[constructor]request-options"),
    f"{HTTP}/outgoing-response": told(f"{HTTP}#[constructor]outgoing-response", of=f"{HTTP}/fields"),
    f"{HTTP}/outgoing-body": told(f"{HTTP}#[method]outgoing-request.body", of=f"{HTTP}/outgoing-request"),
    f"{HTTP}/future-incoming-response": lambda c: c.handle(HANDLE, request(c), 0, 0),
    f"{HTTP}/incoming-response": response,
    f"{HTTP}/incoming-body": told(CONSUME, of=f"{HTTP}/incoming-response"),
    f"{HTTP}/future-trailers": told(f"{HTTP}#[static]incoming-body.finish", of=f"{HTTP}/incoming-body"),
    "wasi:sockets/network/network": told("wasi:sockets/instance-network#instance-network"),
}  # fmt: skip
HANDLER_RECIPES: dict[str, Recipe] = {
    f"{HTTP}/incoming-request": lambda c: "(global.get $request)",
    f"{HTTP}/response-outparam": lambda c: "(global.get $outparam)",
}
"""What only a program that serves HTTP has, one of each."""

STDIN: dict[str, Recipe] = {f"{STREAMS}/input-stream": told("wasi:cli/stdin#get-stdin")}
BODY: dict[str, Recipe] = {
    f"{STREAMS}/output-stream": told(f"{HTTP}#[method]outgoing-body.write", of=f"{HTTP}/outgoing-body")
}
ADAPTER_FILE: dict[str, Recipe] = {
    f"{COMMON}/blob": of_text(f"{COMMON}#[constructor]blob", adapter_file())
}
TIMER: dict[str, Recipe] = {f"{POLL}/pollable": told(f"{CLOCK}#subscribe-duration", "(i64.const 1000000)")}
