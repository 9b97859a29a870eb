#include "pie/program.h"

#include "pie/lift.h"
#include "pie/program_abi.h"

namespace inferlet::program {
namespace {

std::string text_of(abi::Bytes bytes) {
  return lift::text({reinterpret_cast<char*>(bytes.data), bytes.size});
}

}  // namespace

std::string source() {
  abi::Bytes out;
  abi::source_bytes(&out);
  return text_of(out);
}

std::optional<std::string> load(std::string_view key) {
  abi::Option<abi::Bytes> out;
  abi::cache_load(key.data(), lift::size(key), &out);
  if (out.has == 0) return std::nullopt;
  return text_of(out.value);
}

Result<void> store(std::string_view key, std::string_view value) {
  abi::TextResult out;
  abi::cache_store(key.data(), lift::size(key), value.data(), lift::size(value), &out);
  if (out.is_error != 0) return fail(lift::text(out.text));
  return {};
}

}  // namespace inferlet::program
