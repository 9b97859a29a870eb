"""Every host function with every kind of hostile argument."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.reliability.call_objects import (
    ADAPTER,
    ADAPTER_FILE,
    BODY,
    CLOCK,
    COMMON,
    EVOLVE,
    FORWARD,
    HANDLER_RECIPES,
    LOGITS,
    MESSAGE,
    POLL,
    RECIPES,
    STDIN,
    STREAMS,
    TIMER,
)
from tests.reliability.call_program import FLOATS, MIB, RESULT, Case, Program, Recipe, Shape, i32
from tests.reliability.wit_types import Function, Type, Wit

SMALL = Shape()
NUMBERS = {name: Shape(number=name, size=8) for name in FLOATS if name != "zero"}
LISTS = {
    "empty": Shape(size=0, pieces=0, piece_size=0),
    "1 MiB": Shape(size=MIB, pieces=1_024, piece_size=1_024),
    "16 MiB": Shape(size=16 * MIB, pieces=16, piece_size=MIB),
    "all memory": Shape(size=512 * MIB, pieces=1, piece_size=512 * MIB),
    "a million times": Shape(size=1_000_000, text=b"<|im_end|>", pieces=1_000_000),
    "a million times 1": Shape(number="one", size=4_000_000, text=b"!", pieces=1_000_000, piece_size=4),
    "a thousand times the same MiB": Shape(pieces=1_000, piece_size=MIB),
    "a million times the same MiB": Shape(pieces=1_000_000, piece_size=MIB),
    "newlines": Shape(size=MIB, text=b"\n", pieces=1_000, piece_size=1_000),
    "brackets": Shape(size=MIB, text=b"{[(", pieces=1, piece_size=MIB),
    "no text": Shape(number="no such", size=MIB, text=b"\xff", pieces=1_000, piece_size=1_000),
    "outside": Shape(size=4_096, pieces=4_096, place="outside"),
    "endless": Shape(size=MIB, place="endless"),
    "odd": Shape(size=64, pieces=8, place="odd"),
}
HANDLES = {name: Shape(handle=name) for name in ("dropped", "random", "of another kind")}


def is_list(wit: Wit, type: Type) -> bool:
    """Whether an argument of the type can be long."""
    kind, detail = wit.kind(type)
    if kind in ("enum", "variant", "option", "result"):
        return any(is_list(wit, one) for _, one in wit.cases(kind, detail) if one is not None)
    return kind in ("string", "list")


def is_number(wit: Wit, type: Type) -> bool:
    """Whether a shape's number matters."""
    return wit.kind(type)[0] not in ("string", "list", "handle")


def only(i: int, shape: Shape, count: int) -> list[Shape]:
    """One argument of a shape, all others small."""
    return [shape if k == i else SMALL for k in range(count)]


def shapes_of(wit: Wit, function: Function, rng: random.Random,
              mixed: int) -> Iterator[tuple[str, list[Shape]]]:  # fmt: skip
    """What the arguments of each case of a function are like."""
    types = [type for _, type in function.params]
    yield "small", [SMALL] * len(types)
    for group, matters in ((LISTS, is_list), (NUMBERS, is_number)):
        which = [i for i, type in enumerate(types) if matters(wit, type)]
        for name, shape in group.items() if which else ():
            yield name, [shape if i in which else SMALL for i in range(len(types))]
            for i in which if len(which) > 1 else ():
                yield f"{function.params[i][0]} {name}", only(i, shape, len(types))
    handles = [i for i, type in enumerate(types) if wit.kind(type)[0] == "handle"]
    for i in handles:
        for name, shape in HANDLES.items():
            yield f"{function.params[i][0]} {name}", only(i, shape, len(types))
    for number in range(mixed if len(types) > 1 else 0):
        choice = [rng.choice([SMALL, *LISTS.values(), *NUMBERS.values()]) for _ in types]
        yield f"mixed {number}", choice


@dataclass(frozen=True)
class How:
    """What is done around a call."""

    orphaned: bool = False  # everything is dropped that is no argument
    kept: bool = False  # results are not dropped
    executed: bool = False  # the first argument is a pass, which is executed after the call
    others: dict[str, Recipe] = field(default_factory=dict)  # in place of the program's recipes
    once: Callable[[Case, list[str]], None] | None = None  # with the arguments, before the first call
    each: Callable[[Case, list[str]], None] | None = None  # and before each


PLAIN = How()


def write(program: Program, function: Function, label: str, shapes: list[Shape], how: How = PLAIN) -> Case:
    """Adds one case."""
    case, wit = Case(program, function.key, label, how.others), program.wit
    kinds = [wit.kind(type) for _, type in function.params]
    owns = any(kind == "handle" and wit.resource(detail)[0] for kind, detail in kinds)
    if owns:  # the call takes them: they are made each time
        case.sink = case.body
    if wit.in_memory(function):
        arguments = case.stored(function, shapes)
    else:
        arguments = [value for (_, type), shape in zip(function.params, shapes, strict=True)
                     for value in case.flat(type, shape)]  # fmt: skip
    if how.once is not None:
        how.once(case, arguments)
    if how.orphaned:
        for one in [one for one in case.alive if one not in arguments and one not in case.lent]:
            case.drop(one)
    outside = set() if owns else set(case.alive)
    case.sink = case.body
    if how.each is not None:
        how.each(case, arguments)
    value = case.call(function.key, *arguments)
    if function.result is not None and not how.kept and case.has_handle(function.result):
        if value == i32(RESULT):
            case.drop_results(function.result)
        else:
            case.drop(value, wit.resource(wit.kind(function.result)[1])[1])
    if how.executed:
        case.call(EXECUTE, arguments[0])
        case.drop_results(wit.functions[EXECUTE].result)
    if not how.kept:
        for one in [one for one in case.alive if one not in outside]:
            case.drop(one)
    program.add(case)
    return case


EXECUTE = f"{FORWARD}#[method]forward-pass.execute"


def subscribed(case: Case, _: list[str]) -> None:
    """Subscribes as often as is allowed to the topic that is broadcast to."""
    count = case.local("i32", "(i32.const 256)")
    case.sink.append("(loop $subscribe")
    case.need(f"{MESSAGE}/subscription")
    name = count.split()[1][:-1]
    case.sink.append(f"(br_if $subscribe (local.tee {name} (i32.sub {count} (i32.const 1)))))")


def fires_last(case: Case, arguments: list[str]) -> None:
    """Puts a timer of a millisecond in the last place of a list of pollables."""
    pointer, count = arguments
    timer = case.handle(f"{CLOCK}#subscribe-duration", "(i64.const 1000000)")
    end = f"(i32.add {pointer} (i32.shl {count} (i32.const 2)))"
    case.sink.append(f"(i32.store (i32.sub {end} (i32.const 4)) {timer})")


def permitted(case: Case, arguments: list[str]) -> None:
    """Asks for the permit of a write."""
    case.call(f"{STREAMS}#[method]output-stream.check-write", arguments[0])


def exported(case: Case, arguments: list[str]) -> None:
    """Exports a page under the name that is the last argument."""
    queue, _, *name = arguments
    case.call(f"{COMMON}#export-resources", queue, 0, *case.static(bytes(4), 1), *name)


def busy(case: Case, arguments: list[str]) -> None:
    """Executes a long pass on the queue that is the first argument."""
    made = case.handle(f"{FORWARD}#create-forward-pass", arguments[0])
    zeros = case.static(bytes(4_000), 1_000)
    case.call(f"{FORWARD}#input-tokens", made, *zeros, *zeros)
    case.call(f"{FORWARD}#output-tokens", made, *case.static(bytes(4), 1), "(f32.const 0)")
    case.handle(EXECUTE, made)


def ruled(case: Case, arguments: list[str]) -> None:
    """Gives a thousand indices of the pass a rule of their own."""
    for number in range(1_000):
        index = case.static(number.to_bytes(4, "little"), 1)
        case.call(f"{LOGITS}#bias", arguments[0], *index, *index, *index)


def many_keys(case: Case, _: list[str]) -> None:
    """Keeps 200 keys of a kilobyte."""
    for number in range(200):
        key = case.static(f"{number:03}{'x' * 1_000}".encode())
        case.call("inferlet:core/kvs#store-set", *key, *key)


KVS = "inferlet:core/kvs"
STATEFUL: tuple[tuple[str, str, tuple[Shape, ...], How], ...] = (
    (f"{POLL}#poll", "a million and one that fires", (LISTS["a million times"],), How(each=fires_last)),
    (f"{POLL}#poll", "30,000 and one that fires", (Shape(pieces=30_000),), How(each=fires_last)),
    (f"{POLL}#poll", "one that fires", (SMALL,), How(others=TIMER)),
    (f"{POLL}#[method]pollable.block", "one that fires", (SMALL,), How(others=TIMER)),
    (f"{MESSAGE}#broadcast", "to 256 subscriptions", (SMALL, LISTS["1 MiB"]), How(once=subscribed)),
    (f"{STREAMS}#[method]output-stream.write", "permitted", (SMALL, SMALL), How(each=permitted)),
    (f"{COMMON}#import-resources", "that is there", (SMALL, SMALL, Shape(text=b"there", size=5)),
     How(once=exported)),
    (f"{COMMON}#[method]queue.set-priority", "behind a long pass", (SMALL, SMALL), How(once=busy)),
    (f"{COMMON}#[method]queue.synchronize", "behind a long pass", (SMALL,), How(once=busy, kept=True)),
    (
        f"{LOGITS}#forbid",
        "of a thousand rules",
        (SMALL, Shape(number="one", size=4_000), LISTS["1 MiB"]),
        How(once=ruled),
    ),
    (f"{LOGITS}#bias-set", "of a thousand rules", (SMALL, SMALL, SMALL, SMALL), How(once=ruled)),
    (f"{ADAPTER}#set-adapter", "executed", (SMALL, SMALL), How(executed=True)),
    (f"{ADAPTER}#upload-adapter", "of a file", (SMALL, SMALL, SMALL, SMALL), How(others=ADAPTER_FILE)),
    (f"{EVOLVE}#initialize-adapter", "of rank 1", (SMALL, SMALL, *[Shape(number="one")] * 5), PLAIN),
    (
        f"{EVOLVE}#update-adapter",
        "of two candidates",
        (SMALL, SMALL, Shape(size=8), Shape(size=16), Shape(number="one")),
        PLAIN,
    ),
    (f"{KVS}#store-list-keys", "of a kilobyte", (), How(once=many_keys)),
)  # fmt: skip
"""Function, kind, arguments: what needs more than arguments to be hostile."""

INSTRUCTIONS = {
    "memory.fill": "(memory.fill (i32.const 0x200000) (i32.const 7) (i32.const 0x1e000000))",
    "memory.copy": "(memory.copy (i32.const 0x200000) (i32.const 0x200001) (i32.const 0x1e000000))",
    "table.fill": "(drop (table.grow $big (ref.null func) (i32.const 100000)))"
                  "(table.fill $big (i32.const 0) (ref.null func) (table.size $big))",
}  # fmt: skip
"""What wasmtime does in one piece."""


def write_instruction(program: Program, name: str) -> None:
    """Adds a case that repeats an instruction."""
    case = Case(program, f"wasm#{name}", "all memory")
    case.at, case.chosen = 0x1E400000, True
    case.body.append(INSTRUCTIONS[name])
    program.add(case)


def write_drops(program: Program, resource: int) -> None:
    """Objects made and dropped, kept, dropped twice, and what never was one."""
    interface, name = program.wit.resources[resource]
    function = f"{interface.split('@')[0]}#[resource-drop]{name}"
    for label in ("small", "kept", "twice", "random"):
        case = Case(program, function, label)
        case.sink = case.body
        made = case.make(resource)
        if made is None or label == "random":
            case.body.clear()
            case.drop("(i32.const 77777)", resource)
        elif label != "kept":
            case.drop(made, resource)
            for one in list(case.alive):
                case.drop(one)
            if label == "twice":
                case.drop(made, resource)
        program.add(case)


def write_function(program: Program, function: Function, rng: random.Random, mixed: int) -> None:
    """Adds every case of a function; `mixed` ones with random arguments."""
    wit = program.wit
    small = [SMALL] * len(function.params)
    fills = function.key.split("#")[0] in (FORWARD, LOGITS) and len(function.params) > 1
    for label, shapes in shapes_of(wit, function, rng, mixed):
        write(program, function, label, shapes)
        if fills:
            write(program, function, f"{label}, executed", shapes, How(executed=True))
    write(program, function, "orphaned", small, How(orphaned=True))
    if function.result is not None:
        write(program, function, "kept", small, How(kept=True))
    for name, others in (("of a body", BODY), ("of stdin", STDIN)):
        write(program, function, name, small, How(others=others))


def every_case(wit: Wit, authority: str, rng: random.Random, mixed: int) -> Program:
    """Of every function but those of a handler alone."""
    program = Program(wit, RECIPES, authority)
    for function in wit.functions.values():
        write_function(program, function, rng, mixed)
    for resource in wit.resources:
        write_drops(program, resource)
    for key, label, shapes, how in STATEFUL:
        write(program, wit.functions[key], label, list(shapes), how).chosen = True
    for name in INSTRUCTIONS:
        write_instruction(program, name)
    return program


def handler_cases(wit: Wit, authority: str, rng: random.Random, mixed: int) -> Program:
    """Of the functions for which a program has to serve HTTP."""
    program = Program(wit, RECIPES | HANDLER_RECIPES, authority, handler=True)
    ours = [number for number in wit.resources if Case(program, "", "").name_of(number) in HANDLER_RECIPES]
    for function in wit.functions.values():
        kind, detail = wit.kind(function.params[0][1]) if function.params else ("", None)
        if kind == "handle" and wit.resource(detail)[1] in ours:
            write_function(program, function, rng, mixed)
    for resource in ours:
        write_drops(program, resource)
    return program
