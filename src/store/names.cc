#include "store/names.h"

#include <algorithm>
#include <charconv>

namespace pie::store {
namespace {

constexpr size_t kPartBytesMax = 64;

bool is_word(std::string_view text, std::string_view extra) {
  return !text.empty() && text.size() <= kPartBytesMax &&
         std::all_of(text.begin(), text.end(), [extra](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  extra.find(c) != std::string_view::npos;
         });
}

bool is_number(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_name_part(std::string_view text) { return is_word(text, "_-") && text.front() != '-'; }

std::vector<std::string> split(std::string_view text, char at) {
  std::vector<std::string> parts;
  for (size_t start = 0;;) {
    const size_t end = text.find(at, start);
    parts.emplace_back(text.substr(start, end - start));
    if (end == std::string_view::npos) return parts;
    start = end + 1;
  }
}

std::strong_ordering compare_identifiers(const std::string& a, const std::string& b) {
  const bool number_a = is_number(a);
  const bool number_b = is_number(b);
  if (number_a != number_b)
    return number_a ? std::strong_ordering::less : std::strong_ordering::greater;
  if (number_a && a.size() != b.size()) return a.size() <=> b.size();
  return a <=> b;
}

}  // namespace

Result<Version> Version::parse(std::string_view text) {
  const auto wrong = [&] {
    return Error{ErrorCode::kInvalidArgument, "[version] got '" + std::string(text.substr(0, 80)) +
                                                  "', expected numbers as in 1.2.3 or 1.2.3-rc.1"};
  };
  if (!is_word(text, ".-+")) return wrong();
  Version version;
  version.text_ = text;
  std::string_view rest = text.substr(0, text.find('+'));
  const size_t dash = rest.find('-');
  const auto numbers = split(rest.substr(0, dash), '.');
  if (numbers.size() > 3) return wrong();
  for (size_t i = 0; i < numbers.size(); ++i) {
    const std::string& one = numbers[i];
    if (!is_number(one) || one.size() > 9) return wrong();
    std::from_chars(one.data(), one.data() + one.size(), version.numbers_[i]);
  }
  if (dash != std::string_view::npos) {
    version.pre_release_ = split(rest.substr(dash + 1), '.');
    for (const auto& one : version.pre_release_)
      if (one.empty()) return wrong();
  }
  return version;
}

std::strong_ordering Version::operator<=>(const Version& other) const {
  for (int i = 0; i < 3; ++i)
    if (numbers_[i] != other.numbers_[i]) return numbers_[i] <=> other.numbers_[i];
  if (pre_release_.empty() != other.pre_release_.empty())
    return pre_release_.empty() ? std::strong_ordering::greater : std::strong_ordering::less;
  for (size_t i = 0; i < std::min(pre_release_.size(), other.pre_release_.size()); ++i)
    if (const auto order = compare_identifiers(pre_release_[i], other.pre_release_[i]); order != 0)
      return order;
  return pre_release_.size() <=> other.pre_release_.size();
}

Result<ProgramName> ProgramName::parse(std::string_view text) {
  ProgramName name;
  std::string_view path = text;
  if (const size_t at = text.find('@'); at != std::string_view::npos) {
    PIE_TRY_ASSIGN(const Version version, Version::parse(text.substr(at + 1)));
    name.version = version.text();
    path = text.substr(0, at);
  }
  const size_t slash = path.find('/');
  name.ns = slash == std::string_view::npos ? kDefaultNamespace : path.substr(0, slash);
  name.name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  if (!is_name_part(name.ns) || !is_name_part(name.name))
    return Error{ErrorCode::kInvalidArgument,
                 "[program name] got '" + std::string(text.substr(0, 160)) +
                     "', expected name, namespace/name or namespace/name@version, of letters, "
                     "digits, '-' and '_'"};
  return name;
}

bool VersionChoice::offer(const Version& version) {
  if (name_.version && version.text() != *name_.version) return false;
  const bool is_passed_over = !name_.version && version.is_pre_release();
  std::optional<Version>& best = is_passed_over ? passed_over_ : chosen_;
  if (best && version < *best) return false;
  best = version;
  return !is_passed_over;
}

Error VersionChoice::not_found() const {
  std::string text = "Program not found";
  if (passed_over_)
    text += ": " + name_.text() + " has pre-releases only; name one, " + name_.text() + "@" +
            passed_over_->text();
  return {ErrorCode::kNotFound, std::move(text)};
}

std::string ProgramName::text() const {
  std::string text = ns;
  text.append("/").append(name);
  if (version) text.append("@").append(*version);
  return text;
}

}  // namespace pie::store
