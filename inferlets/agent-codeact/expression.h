#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <pie/result.h>

/// The variables of a script.
using Names = std::map<std::string, int64_t>;

bool is_name(std::string_view text);

/// `a op b` for an operator of whole numbers, as Python has it but for their size: 64 bits. What is
/// true is 1, what is not 0.
inferlet::Result<int64_t> calculated(int64_t a, std::string_view op, int64_t b);

/// Reads an expression of whole numbers, and says what it is worth: `or and not`, comparisons (also
/// in chains), `+ - * // % **`, brackets, `min max abs`. Takes from `steps_left`, one for each
/// operand; `names` and it outlive this.
class Expression {
 public:
  Expression(std::string_view text, const Names& names, int64_t& steps_left)
      : rest_(text), names_(names), steps_left_(steps_left) {}
  inferlet::Result<int64_t> value();
  /// Of several in brackets, with commas.
  inferlet::Result<std::vector<int64_t>> values();

 private:
  enum class Level { kOr, kAnd, kNot, kComparison, kSum, kProduct, kSign };
  int64_t at(Level level);
  int64_t either(Level level, std::string_view op);
  int64_t comparison();
  int64_t chain_of(Level level);
  int64_t sign();
  int64_t primary();
  int64_t number(const std::string& digits);
  std::vector<int64_t> list();
  std::string word();
  bool take(std::string_view token);
  int64_t apply(int64_t a, std::string_view op, int64_t b);
  int64_t fail(const std::string& what);
  void check_end();

  std::string_view rest_;
  const Names& names_;
  int64_t& steps_left_;
  std::string error_;
  size_t depth_ = 0;
  size_t skipped_ = 0;  ///< read, and worth nothing: behind `and`, `or`
};
