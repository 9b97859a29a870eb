#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include <pie/result.h>

/// Runs a program of a very small part of Python, and gives what it prints: whole numbers;
/// `name = ...` and `+= -= *= //= %=`, `print(...)`, `for name in range(...):`, `while ...:`,
/// `if ...:` and `else:` with indented lines below; expressions as expression.h has them. Nothing
/// else: no files, no network, no strings; bounds on how long it runs, how deep, what it prints.
/// The error names the line.
inferlet::Result<std::string> run_script(std::string_view text, int64_t steps_max = 200'000);

/// Texts that run_script takes, in a fenced block, as GBNF from `root`.
std::string_view script_grammar();
