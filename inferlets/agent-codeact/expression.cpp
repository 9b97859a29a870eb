#include "expression.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <span>

namespace {

constexpr size_t kDepthMax = 64;
constexpr int64_t kPowerMax = 1'000;

bool is_part_of_word(char one) {
  return std::isalnum(static_cast<unsigned char>(one)) != 0 || one == '_';
}

}  // namespace

bool is_name(std::string_view text) {
  return !text.empty() && std::isdigit(static_cast<unsigned char>(text.front())) == 0 &&
         std::ranges::all_of(text, is_part_of_word);
}

inferlet::Result<int64_t> calculated(int64_t a, std::string_view op, int64_t b) {
  int64_t result = 0;
  bool is_too_big = false;
  if (op == "+") is_too_big = __builtin_add_overflow(a, b, &result);
  if (op == "-") is_too_big = __builtin_sub_overflow(a, b, &result);
  if (op == "*") is_too_big = __builtin_mul_overflow(a, b, &result);
  if (op == "//" || op == "%") {
    if (b == 0) return inferlet::fail("division by zero");
    const bool is_inexact = b != -1 && a % b != 0 && (a % b < 0) != (b < 0);
    const int64_t rest = b == -1 ? 0 : a % b + (is_inexact ? b : 0);
    is_too_big = op == "//" && b == -1 && __builtin_sub_overflow(int64_t{0}, a, &result);
    if (b != -1) result = a / b - (is_inexact ? 1 : 0);
    if (op == "%") result = rest;
  }
  if (op == "**") {
    if (b < 0 || b > kPowerMax) return inferlet::fail("got a power of " + std::to_string(b));
    result = 1;
    for (int64_t i = 0; i < b && !is_too_big; ++i)
      is_too_big = __builtin_mul_overflow(result, a, &result);
  }
  if (op == "==") result = a == b ? 1 : 0;
  if (op == "!=") result = a != b ? 1 : 0;
  if (op == "<=") result = a <= b ? 1 : 0;
  if (op == ">=") result = a >= b ? 1 : 0;
  if (op == "<") result = a < b ? 1 : 0;
  if (op == ">") result = a > b ? 1 : 0;
  if (is_too_big) return inferlet::fail("the number is too big");
  return result;
}

inferlet::Result<int64_t> Expression::value() {
  const int64_t result = at(Level::kOr);
  check_end();
  if (!error_.empty()) return inferlet::fail(error_);
  return result;
}

inferlet::Result<std::vector<int64_t>> Expression::values() {
  std::vector<int64_t> result = list();
  check_end();
  if (!error_.empty()) return inferlet::fail(error_);
  return result;
}

void Expression::check_end() {
  (void)take("");
  if (!rest_.empty()) fail("got '" + std::string(rest_) + "', expected the end of the line");
}

/// The first error counts; nothing is read any more.
int64_t Expression::fail(const std::string& what) {
  if (error_.empty()) error_ = what;
  rest_ = {};
  return 0;
}

/// Spaces, and the token where it comes next.
bool Expression::take(std::string_view token) {
  while (rest_.starts_with(' ')) rest_.remove_prefix(1);
  if (token.empty() || !rest_.starts_with(token)) return false;
  const std::string_view after = rest_.substr(token.size());
  if (is_name(token) && !after.empty() && is_part_of_word(after.front())) return false;
  rest_ = after;
  return true;
}

int64_t Expression::at(Level level) {
  switch (level) {
    case Level::kOr: return either(level, "or");
    case Level::kAnd: return either(level, "and");
    case Level::kNot: return take("not") ? static_cast<int64_t>(at(level) == 0) : comparison();
    case Level::kComparison: return comparison();
    case Level::kSum:
    case Level::kProduct: return chain_of(level);
    case Level::kSign: return sign();
  }
  return 0;
}

/// What decides is read alone: `x != 0 and 10 // x`.
int64_t Expression::either(Level level, std::string_view op) {
  const Level next = level == Level::kOr ? Level::kAnd : Level::kNot;
  int64_t left = at(next);
  while (take(op)) {
    const bool is_decided = (left != 0) == (op == "or");
    skipped_ += is_decided ? 1 : 0;
    const int64_t right = at(next);
    if (is_decided) {
      --skipped_;
    } else {
      left = right;
    }
  }
  return left;
}

/// `a < b < c` is `a < b and b < c`.
int64_t Expression::comparison() {
  constexpr std::array<std::string_view, 6> kOps = {"==", "!=", "<=", ">=", "<", ">"};
  int64_t left = at(Level::kSum);
  bool is_true = true, is_comparison = false;
  for (;;) {
    const auto op = std::ranges::find_if(kOps, [&](std::string_view one) { return take(one); });
    if (op == kOps.end()) return is_comparison ? static_cast<int64_t>(is_true) : left;
    const int64_t right = at(Level::kSum);
    is_true = apply(left, *op, right) != 0 && is_true;
    is_comparison = true;
    left = right;
  }
}

int64_t Expression::chain_of(Level level) {
  constexpr std::array<std::string_view, 2> kSums = {"+", "-"};
  constexpr std::array<std::string_view, 3> kProducts = {"//", "%", "*"};
  const bool is_sum = level == Level::kSum;
  const Level next = is_sum ? Level::kProduct : Level::kSign;
  int64_t left = at(next);
  for (;;) {
    std::string_view op;
    const auto is_next = [&](std::string_view one) {
      if (op.empty() && take(one)) op = one;
    };
    std::ranges::for_each(is_sum ? std::span<const std::string_view>(kSums) : kProducts, is_next);
    if (op.empty()) return left;
    left = apply(left, op, at(next));
  }
}

/// A sign is weaker than a power: -2 ** 2 is -4.
int64_t Expression::sign() {
  if (++depth_ > kDepthMax) fail("expressions are too deep");
  int64_t result = 0;
  if (take("-")) {
    result = apply(0, "-", sign());
  } else {
    result = primary();
    if (take("**")) result = apply(result, "**", sign());
  }
  --depth_;
  return result;
}

int64_t Expression::primary() {
  if (--steps_left_ < 0) return fail("it runs for too long");
  if (take("(")) {
    const int64_t inner = at(Level::kOr);
    return take(")") ? inner : fail("got no ')'");
  }
  const std::string name = word();
  if (name.empty()) return fail("got '" + std::string(rest_) + "', expected a number or a name");
  if (!is_name(name)) return number(name);
  if (rest_.starts_with('(')) {
    const std::vector<int64_t> of = list();
    if (name == "min" && !of.empty()) return std::ranges::min(of);
    if (name == "max" && !of.empty()) return std::ranges::max(of);
    if (name == "abs" && of.size() == 1) return of[0] < 0 ? apply(0, "-", of[0]) : of[0];
    return fail("function '" + name + "' of " + std::to_string(of.size()) + " is not defined");
  }
  const auto found = names_.find(name);
  if (found != names_.end()) return found->second;
  return skipped_ > 0 ? 0 : fail("name '" + name + "' is not defined");
}

int64_t Expression::number(const std::string& digits) {
  int64_t result = 0;
  const char* const end = digits.data() + digits.size();
  const auto read = std::from_chars(digits.data(), end, result);
  if (read.ec == std::errc::result_out_of_range) return fail("the number is too big");
  if (read.ptr != end) return fail("got '" + digits + "', expected a number or a name");
  return result;
}

std::vector<int64_t> Expression::list() {
  std::vector<int64_t> values;
  if (!take("(")) fail("got no '('");
  if (take(")")) return values;
  do values.push_back(at(Level::kOr));
  while (take(","));
  if (!take(")")) fail("got no ')'");
  return values;
}

/// A name or a number.
std::string Expression::word() {
  (void)take("");
  const auto end = std::ranges::find_if_not(rest_, is_part_of_word);
  std::string out(rest_.begin(), end);
  rest_.remove_prefix(out.size());
  return out;
}

int64_t Expression::apply(int64_t a, std::string_view op, int64_t b) {
  if (skipped_ > 0 || !error_.empty()) return 0;
  const auto result = calculated(a, op, b);
  return result ? *result : fail(result.error());
}
