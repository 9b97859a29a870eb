#include "pie/export.h"

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "pie/context.h"
#include "pie/lift.h"
#include "pie/runtime.h"

namespace inferlet {
namespace {

constexpr auto kKvPages = static_cast<uint32_t>(ResourceType::kKvPage);

/// The ABI exports pages alone. Which tokens are in them, programs of the user find here.
std::string key_of(std::string_view name) { return "pie:context/" + std::string(name); }

/// The first token's position stands before them where it is not 0.
std::string written(size_t begin, std::span<const uint32_t> tokens) {
  std::string text = begin == 0 ? "" : "@" + std::to_string(begin) + " ";
  for (const uint32_t token : tokens) {
    text += std::to_string(token);
    text += ' ';
  }
  return text;
}

struct Exported {
  size_t begin = 0;  ///< position of the first
  std::vector<uint32_t> tokens;
};

/// None for a text that written() did not make.
std::optional<Exported> read(const std::string& text) {
  Exported out;
  for (const char* at = text.c_str(); *at != '\0';) {
    const bool is_begin = *at == '@';
    if (is_begin) ++at;
    char* end = nullptr;
    const auto number = static_cast<uint32_t>(std::strtoul(at, &end, 10));
    if (end == at || *end != ' ') return std::nullopt;
    at = end + 1;
    if (is_begin) {
      out.begin = number;
    } else {
      out.tokens.push_back(number);
    }
  }
  return out;
}

bool is_exported(const Queue& queue, std::string_view name) {
  return std::ranges::contains(list_exports(queue), name, &ExportEntry::name);
}

}  // namespace

std::vector<ExportEntry> list_exports(const Queue& queue) {
  abi::Slice<abi::NamedCount> out;
  abi::get_all_exported_resources(queue.handle(), kKvPages, &out);
  std::vector<ExportEntry> entries;
  for (uint32_t i = 0; i < out.size; ++i)
    entries.push_back({lift::text(out.data[i].name), out.data[i].count});
  if (out.size != 0) std::free(out.data);
  return entries;
}

Result<void> release_export(const Queue& queue, std::string_view name) {
  if (!is_exported(queue, name))
    return fail("[export] got '" + std::string(name) + "', which is not exported");
  abi::release_exported_resources(queue.handle(), kKvPages, name.data(), lift::size(name));
  kvs::remove(key_of(name));
  return {};
}

Result<void> Context::export_as(std::string_view name) {
  if (auto flushed = flush(); !flushed) return flushed;
  const size_t begin = slots_.empty() ? 0 : slots_.front().position;
  if (auto whole = check_whole("export", begin); !whole) return whole;
  if (is_exported(queue(), name))
    return fail("[export] got '" + std::string(name) +
                "', which is in use: release_export gives it up");
  constexpr size_t kTextMax = 1 << 20;  // what the key-value store takes
  const std::string text = written(begin, tokens());
  if (text.size() > kTextMax)
    return fail("[export] got " + std::to_string(size()) + " tokens, expected fewer: save it");
  kvs::set(key_of(name), text);
  abi::export_resources(queue().handle(), kKvPages, page_numbers_.data(),
                        static_cast<uint32_t>(page_numbers_.size()), name.data(), lift::size(name));
  return {};
}

Result<Context> Context::import(std::string_view name) {
  Result<Context> context = create();
  if (!context) return context;
  if (!is_exported(context->queue(), name))
    return fail("[import] got '" + std::string(name) + "', which is not exported");
  const std::optional<std::string> text = kvs::get(key_of(name));
  const auto exported = text ? read(*text) : std::nullopt;
  if (!exported)
    return fail("[import] got '" + std::string(name) + "' without its tokens, expected an export " +
                "of Context::export_as");
  abi::U32s out;
  abi::import_resources(context->queue().handle(), kKvPages, name.data(), lift::size(name), &out);
  const std::vector<uint32_t> numbers = lift::numbers(out);
  const size_t page_size = context->shared_->pages->page_size();
  const std::vector<uint32_t>& tokens = exported->tokens;
  const bool fits = (tokens.size() + page_size - 1) / page_size == numbers.size();
  context->set_position(exported->begin);
  context->adopt(numbers, fits ? std::span(tokens) : std::span<const uint32_t>());
  if (!fits)
    return fail("[import] got '" + std::string(name) + "' with " + std::to_string(numbers.size()) +
                " pages of another context, expected those of its tokens");
  return context;
}

/// Takes pages over that hold these tokens.
void Context::adopt(std::span<const uint32_t> page_numbers, std::span<const uint32_t> tokens) {
  for (const uint32_t number : page_numbers) {
    pages_.push_back(std::make_shared<KvPage>(shared_->pages, number));
    page_numbers_.push_back(number);
  }
  append_pending(tokens);
  slots_ = std::move(pending_);
  pending_.clear();
}

/// All of it is there, from the position `begin` on.
Result<void> Context::check_whole(std::string_view what, size_t begin) const {
  const std::string call = "[" + std::string(what) + "] ";
  if (slots_.empty()) return fail(call + "got an empty context, expected at least one token");
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].masked || window_ || slots_[i].position != begin + i)
      return fail(call +
                  "got a context with masked, dropped or moved tokens, expected a whole one");
  }
  return {};
}

}  // namespace inferlet
