#include "cli/new_project.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/file.h"

namespace pie::cli {
namespace {

namespace fs = std::filesystem;

/// One file of a template; NAME stands for the program's name in both.
struct TemplateFile {
  const char* path;
  const char* text;
};

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

bool is_name(std::string_view name) {
  constexpr size_t kSizeMax = 64;
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !name.empty() && name.size() <= kSizeMax && is_letter(name.front()) &&
         std::ranges::all_of(name, [&](char c) { return is_letter(c) || c == '-' || c == '_'; });
}

std::string with_name(std::string text, const std::string& name) {
  constexpr std::string_view kPlace = "NAME";
  for (size_t at = text.find(kPlace); at != std::string::npos;
       at = text.find(kPlace, at + name.size()))
    text.replace(at, kPlace.size(), name);
  return text;
}

Error failed(const fs::path& path, const std::error_code& why) {
  return Error{ErrorCode::kInternal, "[new] " + path.string() + ": " + why.message()};
}

}  // namespace

Result<void> new_project(const NewOptions& options) {
  fs::path folder = options.folder;
  if (!folder.has_filename()) folder = folder.parent_path();  // "name/"
  const std::string name = folder.filename().string();
  if (!is_name(name))
    return Error{
        ErrorCode::kInvalidArgument,
        "[new] got the name '" + name +
            "', expected small letters, digits, - and _, beginning with a letter or digit"};
  if (options.language != "cpp")
    return Error{ErrorCode::kInvalidArgument,
                 "[new] got --lang " + options.language + ", expected cpp"};
  std::error_code why;
  if (fs::exists(fs::symlink_status(folder, why)))
    return Error{ErrorCode::kAlreadyExists,
                 "[new] " + folder.string() + " is there already, expected a name that is free"};
  fs::create_directories(folder, why);
  if (why) return failed(folder, why);
  for (const TemplateFile& file : kCppFiles)
    PIE_TRY(write_file_atomically(folder / with_name(file.path, name), with_name(file.text, name)));
  return {};
}

}  // namespace pie::cli
