#include "pie/grammar.h"

#include "pie/lift.h"

namespace inferlet {
namespace {

Result<void> lifted(const abi::TextResult& out) {
  if (out.is_error != 0) return fail(lift::text(out.text));
  return {};
}

Result<std::vector<uint32_t>> lifted(const abi::U32sResult& out) {
  if (out.is_error != 0) return fail(lift::text(out.of.error));
  return lift::numbers(out.of.numbers);
}

}  // namespace

Result<Grammar> Grammar::lifted(const abi::GrammarResult& out) {
  if (out.is_error != 0) return fail(lift::text(out.of.error));
  return Grammar(out.of.grammar);
}

Result<Grammar> Grammar::json_schema(const Model& model, std::string_view schema) {
  abi::GrammarResult out;
  abi::grammar_from_json_schema(model.handle(), schema.data(), lift::size(schema), &out);
  return lifted(out);
}

Result<Grammar> Grammar::regex(const Model& model, std::string_view expression) {
  abi::GrammarResult out;
  abi::grammar_from_regex(model.handle(), expression.data(), lift::size(expression), &out);
  return lifted(out);
}

Result<Grammar> Grammar::lark(const Model& model, std::string_view text) {
  abi::GrammarResult out;
  abi::grammar_from_lark(model.handle(), text.data(), lift::size(text), &out);
  return lifted(out);
}

Result<Grammar> Grammar::gbnf(const Model& model, std::string_view text) {
  abi::GrammarResult out;
  abi::grammar_from_gbnf(model.handle(), text.data(), lift::size(text), &out);
  return lifted(out);
}

Result<std::vector<uint32_t>> Matcher::mask() const {
  abi::U32sResult out;
  abi::matcher_mask(handle_.get(), &out);
  return lifted(out);
}

Result<void> Matcher::constrain(const ForwardPass& pass, uint32_t index) const {
  abi::TextResult out;
  abi::matcher_constrain(handle_.get(), pass.handle(), index, &out);
  return lifted(out);
}

Result<uint32_t> Matcher::validate(std::span<const uint32_t> tokens) const {
  abi::CountResult out;
  abi::matcher_validate(handle_.get(), tokens.data(), static_cast<uint32_t>(tokens.size()), &out);
  if (out.is_error != 0) return fail(lift::text(out.of.error));
  return out.of.count;
}

Result<void> Matcher::accept(std::span<const uint32_t> tokens) {
  abi::TextResult out;
  abi::matcher_accept(handle_.get(), tokens.data(), static_cast<uint32_t>(tokens.size()), &out);
  return lifted(out);
}

Result<void> Matcher::rollback(uint32_t count) {
  abi::TextResult out;
  abi::matcher_rollback(handle_.get(), count, &out);
  return lifted(out);
}

Result<std::vector<uint32_t>> Matcher::forced_tokens() const {
  abi::U32sResult out;
  abi::matcher_forced_tokens(handle_.get(), &out);
  return lifted(out);
}

}  // namespace inferlet
