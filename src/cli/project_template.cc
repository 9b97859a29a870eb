#include "cli/project_template.h"

#include <array>

namespace pie::cli {
namespace {

constexpr std::array kCppFiles = {
    TemplateFile{"answer.h", R"(#pragma once
#include <pie/inferlet.h>

/// The answer to one question. What the program does is here, and main.cpp and test.cpp call it.
inferlet::Task<inferlet::Result<std::string>> answer(std::string question, size_t max_tokens);
)"},
    TemplateFile{"answer.cpp", R"(#include "answer.h"

inferlet::Task<inferlet::Result<std::string>> answer(std::string question, size_t max_tokens) {
  auto context = inferlet::Context::create();
  if (!context) co_return inferlet::fail(context.error());
  context->fill_system("You are a helpful assistant. Answer in one sentence.");
  context->fill_user(std::move(question));
  const auto stop = inferlet::Stop::max_len(max_tokens) |
                    inferlet::Stop::end_of_turn(context->model());
  co_return co_await context->generate(inferlet::Sampler::greedy(), stop);
}
)"},
    TemplateFile{"main.cpp", R"(#include "answer.h"

inferlet::Task<inferlet::Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string prompt = "What is the capital of France?";
  int64_t max_tokens = 64;
  inferlet::ArgumentParser parser;
  parser.option("prompt", 'p', &prompt).option("max-tokens", 'n', &max_tokens);
  if (auto parsed = parser.parse(arguments); !parsed) co_return inferlet::fail(parsed.error());

  auto text = co_await answer(prompt, static_cast<size_t>(max_tokens));
  if (text) inferlet::print(*text + "\n");
  co_return text;
}
)"},
    TemplateFile{
        "test.cpp",
        R"(// A program, too: it fails, and `pie run` with it, when an answer is not what is expected.
#include "answer.h"

inferlet::Task<inferlet::Result<std::string>> inferlet_main(std::vector<std::string>) {
  auto text = co_await answer("What is the capital of France?", 32);
  if (!text) co_return text;
  if (!text->contains("Paris"))
    co_return inferlet::fail("[test] got '" + *text + "', expected the word Paris");
  inferlet::print("passed\n");
  co_return "passed";
}
)"},
    TemplateFile{"NAME.toml", R"([package]
name = "NAME"
version = "0.1.0"
description = "Answers a question."
)"},
    TemplateFile{"README.md", R"(# NAME

A program for Pie. `answer.cpp` is what it does, `main.cpp` how it is called, `test.cpp` what is expected of it.

```
pie build main.cpp answer.cpp -o NAME.wasm
pie run ./NAME.wasm -- --prompt "What is the capital of France?"
```

The test is a program of its own; `pie run` fails when it does:
```
pie build test.cpp answer.cpp -o test.wasm
pie run ./test.wasm
```

To a server that runs (`pie serve`): `pie submit ./NAME.wasm -- --prompt "Hello"`, or `pie upload` with the manifest
`NAME.toml`, and it is known by its name.
)"},
    TemplateFile{".gitignore", "*.wasm\n"},
};

constexpr std::array kPythonFiles = {
    TemplateFile{"agent.py", R"("""What the program does; __main__.py and test_agent.py call it."""

from inferlet import Chat


async def answer(question: str, max_tokens: int) -> str:
    """The answer to one question."""
    chat = Chat("You are a helpful assistant. Answer in one sentence.")
    return await chat.ask(question, max_tokens=max_tokens)
)"},
    TemplateFile{"__main__.py", R"("""How the program is called."""

import argparse

import test_agent
from agent import answer


async def main(arguments: list[str]) -> str:
    """What it returns is what its launcher gets."""
    parser = argparse.ArgumentParser("NAME")
    parser.add_argument("-p", "--prompt", default="What is the capital of France?")
    parser.add_argument("-n", "--max-tokens", type=int, default=64)
    parser.add_argument("--test", action="store_true", help="looks whether its answers are right, instead")
    options = parser.parse_args(arguments)
    if options.test:
        await test_agent.main()
        return "passed"
    return await answer(options.prompt, options.max_tokens)
)"},
    TemplateFile{"test_agent.py",
                 R"("""What is expected of the program, in the server and with its model, too."""

from agent import answer


async def main() -> None:
    """Fails, and `pie run` with it, when an answer is not what is expected."""
    text = await answer("What is the capital of France?", 32)
    assert "Paris" in text, f"[test] got {text!r}, expected the word Paris"
)"},
    TemplateFile{"README.md", R"(# NAME

A program for Pie: this folder, as it is; nothing is built. `agent.py` is what it does, `__main__.py` how it is called,
`test_agent.py` what is expected of it.

```
pie run . -- --prompt "What is the capital of France?"
```

`pie run` fails when the test does:
```
pie run . -- --test
```

To a server that runs (`pie serve`): `pie submit . -- --prompt "Hello"`.
)"},
    TemplateFile{".gitignore", "__pycache__/\n"},
};

}  // namespace

std::span<const TemplateFile> project_template(std::string_view language) {
  if (language == "cpp") return kCppFiles;
  if (language == "python") return kPythonFiles;
  return {};
}

}  // namespace pie::cli
