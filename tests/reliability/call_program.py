"""Programs of many cases, each a call with hostile arguments, as WebAssembly text.

A case makes the objects that its function wants, says "ready" to its client, and calls the function over and
over, until it is terminated or the host ends it; after the first return it says "returned". The program's
argument is the number of the case. How an object of a resource is made, the program is told by its recipes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.reliability.wit_types import SIZES, Function, Type, Wit, align_to

RESULT = 1024
"""Where results lie that are not one core value."""
STATICS, DATA = 8_192, 1 << 20
MEMORY_BYTES_MAX = 504 << 20
MIB = 1 << 20
BITS = {"u8": 8, "s8": 8, "u16": 16, "s16": 16, "u32": 32, "s32": 32, "u64": 64, "s64": 64, "char": 32}
FLOATS = {"zero": "0", "one": "1", "max": "inf", "less": "nan", "million": "1e-30", "no such": "-1"}


def i32(value: int) -> str:
    """A constant expression."""
    return f"(i32.const {value})"


@dataclasses.dataclass(frozen=True)
class Shape:
    """What an argument is like, whatever its type."""

    number: str = "zero"  # a key of FLOATS; also says which case of a variant
    text: bytes = b"a"  # repeated up to the size
    size: int = 1  # bytes of a text or of a list of numbers
    pieces: int = 1  # items of any other list
    piece_size: int = 1  # the size of what is in those
    place: str = "right"  # or "odd", "outside" (of the memory), "endless"
    handle: str = "valid"  # or "dropped", "random", "of another kind"


class Case:
    """The code of one case while it is written."""

    def __init__(self, program: Program, function: str, label: str,
                 others: dict[str, Recipe] | None = None) -> None:  # fmt: skip
        self.program, self.wit = program, program.wit
        self.recipes = program.recipes | (others or {})
        self.function, self.label = function, label
        self.chosen = False  # written down, and not one of many
        self.before: list[str] = []
        self.body: list[str] = []
        self.sink = self.before
        self.locals: list[str] = []
        self.alive: dict[str, int] = {}  # handle -> resource
        self.lent: set[str] = set()  # handles among arguments in memory
        self.at = DATA
        self.regions: dict[object, tuple[int, int]] = {}

    # ---- calls

    def local(self, type: str, value: str) -> str:
        """Keeps a value; the expression that gives it."""
        name = f"$v{len(self.locals)}"
        self.locals.append(f"(local {name} {type})")
        self.sink.append(f"(local.set {name} {value})")
        return f"(local.get {name})"

    def call(self, key: str, *arguments: str | int) -> str:
        """Calls a function; the expression of its core result, or of its result's place."""
        function = self.wit.functions[key]
        params, result = self.wit.signature(function)
        values = [one if isinstance(one, str) else i32(one) for one in arguments]
        at = 0
        for _, type in function.params if not self.wit.in_memory(function) else ():
            kind, detail = self.wit.kind(type)
            end = at + len(self.wit.flat(type))
            if kind != "handle" or self.wit.resource(detail)[0]:  # what it owns is gone
                for one in values[at:end]:
                    self.alive.pop(one, None)
            at = end
        if len(params) == len(values) + 1:
            values.append(i32(RESULT))
        assert len(params) == len(values), (key, params, values)
        name = self.program.use(function.interface, function.name, params, result)
        code = f"(call {name} {' '.join(values)})"
        if result is not None:
            return self.local(result, code)
        self.sink.append(code)
        return i32(RESULT)

    def handle(self, key: str, *arguments: str | int) -> str:
        """Calls a function whose result has a handle, if all goes well."""
        value = self.call(key, *arguments)
        type = self.wit.functions[key].result
        offset = 0
        while True:
            kind, detail = self.wit.kind(type)
            if kind == "handle":
                break
            good = 1 if kind == "option" else 0
            found = f"(i32.load8_u {i32(RESULT + offset)})"
            self.sink.append(f"(if (i32.ne {found} {i32(good)}) (then (unreachable)))")
            offset += self.wit.payload_offset(type)
            type = self.wit.cases(kind, detail)[good][1]
        if value == i32(RESULT):
            value = self.local("i32", f"(i32.load {i32(RESULT + offset)})")
        self.alive[value] = self.wit.resource(detail)[1]
        return value

    def drop(self, handle: str, resource: int | None = None) -> None:
        """Drops a handle, alive or not."""
        known = self.alive.pop(handle, None)
        number = resource if resource is not None else known
        assert number is not None
        interface, name = self.wit.resources[number]
        drop = self.program.use(interface, f"[resource-drop]{name}", ["i32"], None)
        self.sink.append(f"(call {drop} {handle})")

    def make(self, resource: int | str) -> str | None:
        """A new object of a resource; none where a program can't have one."""
        recipe = self.recipes.get(resource if isinstance(resource, str) else self.name_of(resource))
        return recipe(self) if recipe is not None else None

    def name_of(self, resource: int) -> str:
        """interface/name, without the version."""
        interface, name = self.wit.resources[resource]
        return f"{interface.split('@')[0]}/{name}"

    def need(self, resource: str) -> str:
        """A new object that is there."""
        made = self.make(resource)
        assert made is not None
        return made

    def take(self, size: int, alignment: int) -> int:
        """The address of memory of this case's own."""
        address = align_to(self.at, alignment)
        self.at = address + size
        return address

    def parameters(self, key: str, *values: Any) -> str:
        """Writes what a function takes in memory; the pointer. Records and tuples are tuples, cases of a
        variant (number, value), handles expressions."""
        types = [type for _, type in self.wit.functions[key].params]
        offsets, size = self.wit.offsets(types)
        start = self.take(size, 8)
        for type, offset, value in zip(types, offsets, values, strict=True):
            self.put(type, value, start + offset)
        return i32(start)

    def put(self, type: Type, value: Any, at: int) -> None:
        """Writes a value that is told (parameters)."""
        kind, detail = self.wit.kind(type)
        place = i32(at)
        if kind == "handle":
            self.sink.append(f"(i32.store {place} {value})")
        elif kind in ("record", "tuple"):
            types = self.wit.fields(kind, detail)
            for one, offset, field in zip(types, self.wit.offsets(types)[0], value, strict=True):
                self.put(one, field, at + offset)
        elif kind == "list":
            unit, alignment = self.wit.layout(detail)
            start = self.take(unit * len(value), alignment)
            for i, one in enumerate(value):
                self.put(detail, one, start + i * unit)
            self.sink += [f"(i32.store {place} {i32(start)})",
                          f"(i32.store offset=4 {place} {i32(len(value))})"]  # fmt: skip
        elif kind in ("enum", "variant", "option", "result"):
            number, payload = value
            self.sink.append(f"(i32.store8 {place} {i32(number)})")
            if payload is not None:
                case = self.wit.cases(kind, detail)[number][1]
                self.put(case, payload, at + self.wit.payload_offset(type))
        else:
            self.sink.append(self.storing(kind, f"({self.wit.flat(type)[0]}.const {value})", place))

    @staticmethod
    def storing(kind: str, value: str, place: str) -> str:
        """The instruction that writes a constant of this kind."""
        size, core = SIZES[kind], value[1:4]
        narrow = "" if size == int(core[1:]) // 8 else str(size * 8)
        return f"({core}.store{narrow} {place} {value})"

    def static(self, data: bytes, count: int | None = None) -> tuple[str, str]:
        """Pointer and length of constant data."""
        return i32(self.program.static(data)), i32(len(data) if count is None else count)

    # ---- arguments

    def stored(self, function: Function, shapes: list[Shape]) -> list[str]:
        """The pointer to arguments that are handed over in memory."""
        types = [type for _, type in function.params]
        offsets, size = self.wit.offsets(types)
        start = self.take(size, 8)
        for type, offset, shape in zip(types, offsets, shapes, strict=True):
            self.store(type, shape, start + offset)
        self.lent = set(self.alive)
        return [i32(start)]

    def flat(self, type: Type, shape: Shape) -> list[str]:
        """The core values of an argument."""
        kind, detail = self.wit.kind(type)
        if kind in ("string", "list"):
            return list(self.sequence(kind, detail, shape))
        if kind == "handle":
            return [self.handle_argument(self.wit.resource(detail)[1], shape)]
        if kind in ("record", "tuple"):
            return [one for field in self.wit.fields(kind, detail) for one in self.flat(field, shape)]
        if kind in ("enum", "variant", "option", "result"):
            number, payload = self.which(kind, detail, shape)
            values = self.flat(payload, shape) if payload is not None else []
            types = self.wit.flat(payload) if payload is not None else []
            joined = self.wit.flat(type)[1:]
            return [i32(number), *(self.joined(value, have, want) for value, have, want
                    in zip(values, types, joined, strict=False)),
                    *(f"({one}.const 0)" for one in joined[len(values):])]  # fmt: skip
        return [self.number(kind, shape)]

    @staticmethod
    def joined(value: str, have: str, want: str) -> str:
        """A value of a variant's case as the type that all cases share."""
        return value if have == want else f"(i64.extend_i32_u {value})"

    def which(self, kind: str, detail: object, shape: Shape) -> tuple[int, Type | None]:
        """Which case of a variant."""
        cases = self.wit.cases(kind, detail)
        if shape.number == "no such":
            return len(cases) + 7, None
        number = {"zero": 0, "one": 1}.get(shape.number, len(cases) - 1)
        return number, cases[number][1]

    @staticmethod
    def number(kind: str, shape: Shape) -> str:
        """A constant."""
        if kind in ("f32", "f64"):
            return f"({kind}.const {FLOATS[shape.number]})"
        if kind == "bool":
            return i32(int(shape.number != "zero"))
        top = (1 << BITS[kind] - (kind[0] == "s")) - 1
        value = {"zero": 0, "one": 1, "max": top, "less": top - 1, "million": min(1_000_000, top)}.get(
            shape.number, 1 << BITS[kind] - 1
        )
        return f"({'i64' if BITS[kind] == 64 else 'i32'}.const {value})"

    def handle_argument(self, resource: int, shape: Shape) -> str:
        """A handle to an object, or to none."""
        if shape.handle == "of another kind":
            other = "inferlet:core/common/blob"
            return self.need("wasi:io/poll/pollable" if self.name_of(resource) == other else other)
        made = self.make(resource) if shape.handle != "random" else None
        if made is None:
            return "(i32.const 77777)"
        if shape.handle == "dropped":
            self.drop(made, resource)
        return made

    def sequence(self, kind: str, item: Type, shape: Shape) -> tuple[str, str]:
        """Pointer and length of a text or a list."""
        name = self.wit.kind(item)[0] if kind == "list" else "u8"
        if name == "u8":
            unit, count, alignment = len(shape.text), shape.size, 1
            address, bytes = self.region((shape.text, shape.size), unit, shape.size, alignment,
                                         lambda at: self.copy(shape.text, at))  # fmt: skip
            count = bytes
        else:
            unit, alignment = self.wit.layout(item)
            inner = replace(shape, size=shape.piece_size, pieces=1, place="right")
            count = -(-shape.size // unit) if name in BITS or name == "f32" else shape.pieces
            address, bytes = self.region((item, shape), unit, count * unit, alignment,
                                         lambda at: self.store(item, inner, at))  # fmt: skip
            count = bytes // unit
        address += shape.place == "odd"
        if shape.place == "outside":
            address = 0xFFFF_FFF0 // alignment * alignment
        if shape.place == "endless":
            count = 0xFFFF_FFFF
        return i32(address), i32(count)

    def region(self, key: object, unit: int, size: int, alignment: int,
               fill: Callable[[int], None]) -> tuple[int, int]:  # fmt: skip
        """Memory that repeats `unit` bytes, which `fill` writes; as much as there is room for."""
        if size and key not in self.regions:
            address = align_to(self.at, max(alignment, 8))
            self.at = address + unit
            fill(address)  # may take memory itself
            more = min(size, unit + max(0, MEMORY_BYTES_MAX - self.at)) if size > unit else size
            if self.at != address + unit:  # others came behind it: the items go behind them
                address = self.moved(address, unit)
                more = min(size, unit + max(0, MEMORY_BYTES_MAX - self.at))
            more = more // unit * unit if alignment > 1 else more
            self.at = max(self.at, address + more)
            self.before.append(f"(call $repeat {i32(address)} {i32(unit)} {i32(more)})")
            self.regions[key] = address, more
        return self.regions.get(key, (DATA, 0))

    def moved(self, address: int, unit: int) -> int:
        """Copies the first item behind everything."""
        to = align_to(self.at, 8)
        self.at = to + unit
        self.before.append(f"(memory.copy {i32(to)} {i32(address)} {i32(unit)})")
        return to

    def copy(self, data: bytes, at: int) -> None:
        """Writes constant data."""
        pointer, length = self.static(data)
        self.before.append(f"(memory.copy (i32.const {at}) {pointer} {length})")

    def store(self, type: Type, shape: Shape, at: int) -> None:
        """Writes a value to memory."""
        kind, detail = self.wit.kind(type)
        place = i32(at)
        if kind in ("string", "list"):
            pointer, length = self.sequence(kind, detail, shape)
            self.before += [f"(i32.store {place} {pointer})", f"(i32.store offset=4 {place} {length})"]
        elif kind == "handle":
            handle = self.handle_argument(self.wit.resource(detail)[1], shape)
            self.before.append(f"(i32.store {place} {handle})")
        elif kind in ("record", "tuple"):
            types = self.wit.fields(kind, detail)
            for field, offset in zip(types, self.wit.offsets(types)[0], strict=True):
                self.store(field, shape, at + offset)
        elif kind in ("enum", "variant", "option", "result"):
            number, payload = self.which(kind, detail, shape)
            self.before.append(f"(i32.store8 {place} {i32(number)})")
            if payload is not None:
                self.store(payload, shape, at + self.wit.payload_offset(type))
        else:
            self.before.append(self.storing(kind, self.number(kind, shape), place))

    # ---- the whole

    def drop_results(self, type: Type, offset: int = 0) -> None:
        """Drops the handles in a result that lies in memory (not those in lists)."""
        kind, detail = self.wit.kind(type)
        if kind == "handle":
            self.drop(f"(i32.load {i32(RESULT + offset)})", self.wit.resource(detail)[1])
        elif kind in ("option", "result", "variant"):
            for number, (_, payload) in enumerate(self.wit.cases(kind, detail)):
                if payload is None or not self.has_handle(payload):
                    continue
                place = f"(i32.load8_u {i32(RESULT + offset)})"
                self.sink.append(f"(if (i32.eq {place} {i32(number)}) (then")
                self.drop_results(payload, offset + self.wit.payload_offset(type))
                self.sink.append("))")

    def has_handle(self, type: Type) -> bool:
        """Whether drop_results would find one."""
        kind, detail = self.wit.kind(type)
        if kind in ("option", "result", "variant"):
            return any(self.has_handle(one) for _, one in self.wit.cases(kind, detail) if one is not None)
        return kind == "handle"

    def code(self, number: int) -> str:
        """The function of this case."""
        room = align_to(self.at, 8)
        return "\n".join([
            f"(func $case{number} ;; {self.function}: {self.label}", *self.locals,
            f"(call $room {i32(room + 65_536)}) (global.set $heap {i32(room)})",
            *self.before, "(call $say (i32.const 0))", "(loop $again",
            f"(global.set $heap {i32(room)})", *self.body, "(call $returned)", "(br $again)))",
        ])  # fmt: skip


Recipe = Callable[[Case], str]


class Program:
    """All cases, and the module that they make; `handler`: one that serves HTTP, a case for each request."""

    def __init__(self, wit: Wit, recipes: dict[str, Recipe], authority: str,
                 handler: bool = False) -> None:  # fmt: skip
        self.wit, self.recipes, self.handler = wit, recipes, handler
        self.authority = authority.encode()  # a server that may be asked
        self.cases: list[Case] = []
        self._imports: dict[tuple[str, str], str] = {}
        self._statics: dict[bytes, int] = {}
        self._static_end = STATICS
        self._seen: set[str] = set()

    def use(self, interface: str, name: str, params: list[str], result: str | None) -> str:
        """The name of an imported function."""
        typed = f"(param {' '.join(params)})" + (f" (result {result})" if result else "")
        key = interface, name
        if key not in self._imports:
            self._imports[key] = f'(import "{interface}" "{name}" (func $f{len(self._imports)} {typed}))'
        return f"$f{list(self._imports).index(key)}"

    def static(self, data: bytes) -> int:
        """The address of constant data."""
        if data not in self._statics:
            self._statics[data] = self._static_end
            self._static_end = align_to(self._static_end + len(data), 8)
            assert self._static_end < DATA
        return self._statics[data]

    def add(self, case: Case) -> None:
        """One more case, unless it does what an earlier one does."""
        code = "\n".join([case.function, *case.before, *case.body])
        if code not in self._seen:
            self._seen.add(code)
            self.cases.append(case)

    def wat(self) -> str:
        """The core module."""
        codes = [case.code(number) for number, case in enumerate(self.cases)]
        say = self.use("inferlet:core/message", "send", ["i32", "i32"], None)
        arguments = self.use("inferlet:core/runtime", "get-arguments", ["i32"], None)
        ready, returned = self.static(b"ready"), self.static(b"returned")
        data = "\n".join(f'(data (i32.const {at}) "{quoted(bytes)}")' for bytes, at in self._statics.items())
        names = " ".join(f"$case{number}" for number in range(len(codes)))
        entry = HANDLER if self.handler else RUN
        head = (HEAD + entry).format(say=say, arguments=arguments, ready=ready, returned=returned,
                                     result=RESULT)  # fmt: skip
        imports = "\n".join(self._imports.values())
        table = f"(table $cases funcref (elem {names}))"
        return f"(module\n{imports}\n{head}\n{table}\n{data}\n" + "\n".join(codes) + "\n)"


def quoted(data: bytes) -> str:
    """Bytes as WebAssembly text has them."""
    return "".join(f"\\{byte:02x}" for byte in data)


HEAD = """(memory (export "memory") 17)
(global $heap (mut i32) (i32.const 65536))
(global $calls (mut i32) (i32.const 0))
(table $big 0 funcref)
(func $room (param $end i32) (local $pages i32)
  (local.set $pages (i32.add (i32.shr_u (local.get $end) (i32.const 16)) (i32.const 1)))
  (local.set $pages (i32.sub (local.get $pages) (memory.size)))
  (if (i32.gt_s (local.get $pages) (i32.const 0)) (then
    (if (i32.eq (memory.grow (local.get $pages)) (i32.const -1)) (then (unreachable))))))
(func (export "cabi_realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32)
  (result i32) (local $at i32)
  (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
  (if (i32.gt_u (local.get $size) (i32.sub (i32.const 0x7fffffff) (local.get $at))) (then (unreachable)))
  (global.set $heap (i32.add (local.get $at) (local.get $size)))
  (call $room (global.get $heap))
  (memory.copy (local.get $at) (local.get $old) (local.get $old_size))
  (local.get $at))
(func $repeat (param $at i32) (param $unit i32) (param $size i32) (local $done i32) (local $next i32)
  (local.set $done (local.get $unit))
  (loop $more (if (i32.lt_u (local.get $done) (local.get $size)) (then
    (local.set $next (i32.sub (local.get $size) (local.get $done)))
    (if (i32.gt_u (local.get $next) (local.get $done)) (then (local.set $next (local.get $done))))
    (if (i32.gt_u (local.get $next) (i32.const 0x400000)) (then (local.set $next
      (i32.sub (i32.const 0x400000) (i32.rem_u (i32.const 0x400000) (local.get $unit))))))
    (memory.copy (i32.add (local.get $at) (local.get $done)) (local.get $at) (local.get $next))
    (local.set $done (i32.add (local.get $done) (local.get $next))) (br $more)))))
(func $say (param $what i32)
  (if (local.get $what) (then (call {say} (i32.const {returned}) (i32.const 8)))
  (else (call {say} (i32.const {ready}) (i32.const 5)))))
(func $returned
  (if (i32.eqz (global.get $calls)) (then (call $say (i32.const 1))))
  (global.set $calls (i32.const 1)))
(func $start (local $at i32) (local $end i32) (local $number i32)
  (call {arguments} (i32.const {result}))
  (local.set $at (i32.load (i32.load (i32.const {result}))))
  (local.set $end (i32.add (local.get $at) (i32.load offset=4 (i32.load (i32.const {result})))))
  (loop $digit (if (i32.lt_u (local.get $at) (local.get $end)) (then
    (local.set $number (i32.add (i32.mul (local.get $number) (i32.const 10))
      (i32.sub (i32.load8_u (local.get $at)) (i32.const 48))))
    (local.set $at (i32.add (local.get $at) (i32.const 1))) (br $digit))))
  (call_indirect $cases (local.get $number)))
"""
RUN = """(func (export "inferlet:core/run#run") (result i32) (call $start) (i32.const 0))"""
HANDLER = """(global $request (mut i32) (i32.const 0))
(global $outparam (mut i32) (i32.const 0))
(func (export "wasi:http/incoming-handler@0.2.4#handle") (param $one i32) (param $other i32)
  (global.set $request (local.get $one)) (global.set $outparam (local.get $other)) (call $start))"""
