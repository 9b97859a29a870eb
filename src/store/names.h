#pragma once
#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace pie::store {

inline constexpr std::string_view kDefaultNamespace = "std";

/// A version as semver.org 2.0.0 orders it; build metadata is kept in the text and ignored.
class Version {
 public:
  /// "1.2.3", "1.2.3-rc.1", "1.2.3+build"; missing minor or patch numbers count as 0.
  static Result<Version> parse(std::string_view text);
  const std::string& text() const { return text_; }
  /// Whether it is one like 2.0.0-rc.1, which nobody gets who does not name it.
  bool is_pre_release() const { return !pre_release_.empty(); }
  std::strong_ordering operator<=>(const Version& other) const;
  bool operator==(const Version& other) const { return (*this <=> other) == 0; }

 private:
  std::string text_;
  unsigned long numbers_[3] = {0, 0, 0};
  std::vector<std::string> pre_release_;
};

/// What a program is called. Names come from clients: they hold no path parts.
struct ProgramName {
  std::string ns;
  std::string name;
  std::optional<std::string> version;  ///< none: the newest release

  /// "name", "ns/name", either with "@version". The namespace defaults to "std".
  static Result<ProgramName> parse(std::string_view text);
  /// "ns/name" or "ns/name@version".
  std::string text() const;
  bool operator==(const ProgramName&) const = default;
};

/// Which of a program's versions a name means: the one that it names, else the newest release.
class VersionChoice {
 public:
  explicit VersionChoice(ProgramName name) : name_(std::move(name)) {}
  /// Looks at one version; true when it is the one so far.
  bool offer(const Version& version);
  const std::optional<Version>& chosen() const { return chosen_; }
  /// kNotFound, for when nothing was chosen; where there are pre-releases alone it says how to name
  /// one.
  Error not_found() const;

 private:
  ProgramName name_;
  std::optional<Version> chosen_;
  std::optional<Version> passed_over_;  ///< the newest pre-release
};

}  // namespace pie::store
