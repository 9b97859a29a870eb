"""The checks of tools/lint find what they are for, and leave alone what is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.lint import code_of, commits, declarations, includes, spec, tidy


@pytest.mark.parametrize(
    ("subject", "wrong"),
    [
        ("host: one thing", None),
        ("host: " + "x" * 66, None),
        ("host: " + "x" * 67, "got 73 characters"),
        ("host, wasm: two things", "expected one"),
        ("one thing", "got no area"),
        ("host:", "got no area"),
        ("elsewhere: one thing", 'the area "elsewhere"'),
    ],
)
def test_subjects(subject: str, wrong: str | None) -> None:
    found = list(commits.wrong_subject(subject, {"host", "wasm"}))
    assert len(found) == (wrong is not None) and (wrong is None or wrong in found[0])


def test_areas_are_the_folders() -> None:
    files = ["src/host/a.cc", "docs/A.md", ".ci/run", "Makefile"]
    assert commits.areas(files) == {"host", "docs", "ci", "build"}


@pytest.mark.parametrize(
    ("declaration", "functions"),
    [
        ("void set(bool on);", ["set"]),
        ("Thing(int a, const bool& b = true);", ["Thing"]),
        ("void a(\n    bool x, bool y);", ["a", "a"]),
        ("static Result<void> open(std::map<int, int> m, bool b);", ["open"]),
        ("void a(std::function<void(int)> f, bool b);", ["a"]),
        ("bool is_open() const { return a < b; }", []),
        ("std::function<void(bool alive)> done;", []),
        ("void probe(std::function<void(bool alive)> done);", []),
        ("void a(std::optional<bool> b, const std::vector<bool>& c);", []),
        ("bool a_ = false;  // not (bool x)", []),
        ('const char* text = "f(bool x)";', []),
        ("auto f = [](bool x) { return x; };", []),
        ("if (bool x = f()) g(static_cast<bool>(y));", []),
    ],
)
def test_bool_parameters(declaration: str, functions: list[str]) -> None:
    text = f"namespace pie {{\nclass A {{\n{declaration}\n}};\n}}\n"
    assert [function for _, function in declarations.bool_parameters(text)] == functions


def test_a_bool_is_told_with_its_line() -> None:
    assert list(declarations.bools("src/a/b.h", "\n\nvoid f(int, bool b);\n")) == [
        "src/a/b.h:3: f has a bool parameter, expected an enum class or two functions"
    ]


def test_types_at_namespace_scope() -> None:
    text = """
namespace pie {
class Forward;
struct A { struct Nested { int x; }; };
enum class B : uint8_t { kOne };
template <class T>
class C final : public std::vector<T> {};
namespace {
union D { int i; };
}
struct E* f() { struct Local {}; return nullptr; }
// struct Comment {
}
"""
    assert [name for _, name in declarations.types(text)] == ["A", "B", "C", "D"]


def test_types_that_share_a_name() -> None:
    files = {"src/a/a.h": "struct A {};\n", "src/b/b.cc": "namespace { class A {}; }\nstruct B {};\n"}
    assert list(declarations.same_names(files)) == [
        "src/a/a.h:1: the type A is also in src/b/b.cc:1, expected a name of its own"
    ]


def test_third_party_headers_are_named_and_used() -> None:
    files = {
        "src/a/a.cc": "#include <fmt/format.h>\n#include <vector>\n#include <sys/mman.h>\n",
        "src/a/a_test.cc": '#include <gtest/gtest.h>\nR"(\n#include <strange/thing.h>\n)";\n',
        "src/a/b.cc": "#include <strange/thing.h>\n",
    }
    assert list(includes.wrong_includes("a", {"openssl"}, files)) == [
        "src/a/a.cc: includes <fmt/format.h>, expected fmt in pie_layer(a ... THIRD_PARTY ...)",
        "src/a/b.cc: includes <strange/thing.h>, expected a header that tools/lint/includes.py knows",
        "src/a/CMakeLists.txt: names openssl, expected only what the layer's files include",
    ]
    assert includes.declared("pie_layer(a DEPS base\n  THIRD_PARTY boost fmt)\nb(x)") == {"boost", "fmt"}
    assert includes.declared("pie_layer(a DEPS base)") == set()


def test_layers_that_are_seen_are_named() -> None:
    files = {
        "src/a/a.cc": '#include "a/a.h"\n#include <vector>\n',
        "src/a/a.h": '#include "b/b.h"\n',
        "src/b/b.h": '#include "c/c.h"\n',
        "src/c/c.h": '#include "a/a.h"\n',
    }
    assert includes.seen_layers("a", files) == {"b", "c"}
    assert includes.seen_layers("c", files) == {"a", "b"}
    assert includes.declared("pie_layer(a DEPS b c THIRD_PARTY fmt)", "DEPS") == {"b", "c"}
    assert includes.declared("pie_layer(a DEPS b INTERFACES c THIRD_PARTY fmt)", "INTERFACES") == {"c"}
    assert includes.allowed('set(PIE_ALLOWED_a b c)\nset(PIE_ALLOWED_b "")') == {"a": {"b", "c"}, "b": set()}


def test_a_source_includes_its_own_header_first() -> None:
    files = {"src/a/b.h", "sdk/include/pie/c.h"}
    assert not includes.own_header_is_late("src/a/b.cc", '#include "a/b.h"\n#include <vector>\n', files)
    assert includes.own_header_is_late("src/a/b.cc", '#include <vector>\n#include "a/b.h"\n', files)
    assert includes.own_header_is_late("src/a/b.cc", "int x;\n", files)
    assert not includes.own_header_is_late("src/a/main.cc", "#include <vector>\n", files)
    assert not includes.own_header_is_late("sdk/src/c.cc", "#include <pie/c.h>\n", files)


def test_code_keeps_its_lines() -> None:
    text = '#define A \\\n  (bool x)\nint a; /* b\nc */ const char* d = "//"; int e = 1\'000;\n'
    assert code_of(text).count("\n") == text.count("\n")
    assert code_of(text).split() == ["int", "a;", "const", "char*", "d", "=", ";", "int", "e", "=", "1'000;"]


def test_rows_and_clauses_are_the_same() -> None:
    table = "| 1.1 | a | `x` |\n| 1.3 | a | words |\n| 1.4 | a | none: why |\n"
    assert list(spec.wrong_rows(table, ["1.1", "1.2", "1.4"], {"y"})) == [
        "tests/PROTOCOL.md: the table has no 1.2, expected the same clauses in both",
        "tests/PROTOCOL.md: docs/spec/protocol.md has no 1.3, expected the same clauses in both",
        "tests/PROTOCOL.md: 1.1 names x, expected a test that exists",
        "tests/PROTOCOL.md: 1.3 names no test, expected one or `none: why`",
    ]


def test_citations_lead_somewhere() -> None:
    places = {"protocol": {"1", "7", "7.8"}, "inferlet-host": {"2"}}
    text = "// (protocol.md,\n/// section 9), inferlet-host.md sections 1 to 2; protocol.md, 7.8\n"
    assert [line.split(", expected")[0] for line in spec.wrong_citations("a.h", text, places)] == [
        "a.h: cites protocol.md, 9",
        "a.h: cites inferlet-host.md, 1",
    ]


def test_every_function_is_in_the_page() -> None:
    wit = "interface a {\n  resource thing {\n    get-one: func() -> u32;\n  }\n  other: func(x: u32);\n}\n"
    assert spec.missing_functions(wit, "`thing` has get-one-more and other") == ["get-one"]


def test_links_lead_somewhere() -> None:
    text = "[a](STATUS.md#x) [b](https://x) [c](#d) [e](missing.md)\n```\n[f](code.md)\n```\n"
    found = list(spec.dead_links("docs/A.md", text))
    assert len(found) == 1 and found[0].startswith("docs/A.md: links to missing.md")


def test_a_result_of_tidy_is_named_by_what_it_depends_on(tmp_path: Path) -> None:
    def key(checkout: str, header: str = "a", command: str = "c++ {root}/src/a.cc", tool: str = "1") -> str:
        root = tmp_path / checkout
        root.mkdir(exist_ok=True)
        (root / "a.h").write_text(header)
        tidy.digest.cache_clear()
        files = [str(root / "a.h"), "/usr/include/stdio.h"]
        return tidy.key_of(command.format(root=root), files, tool.encode(), root)

    assert key("one") == key("two")
    others = [key("one", header="b"), key("one", command="c++ -O3"), key("one", tool="2")]
    assert len({key("one"), *others}) == 4
    assert tidy.key_of("c++", [str(tmp_path / "gone.h")], b"1", tmp_path) == ""


def test_objects_know_what_they_include() -> None:
    listing = "a.o: #deps 2, deps mtime 1 (VALID)\n    ../a.cc\n    /usr/x.h\n\nb.o: #deps 1\n    ../b.cc\n"
    assert tidy.includes(listing, Path("/x/y")) == {"a.o": ["/x/a.cc", "/usr/x.h"], "b.o": ["/x/b.cc"]}
