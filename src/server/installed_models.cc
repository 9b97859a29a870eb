#include "server/installed_models.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <system_error>

#include "model/model.h"
#include "model/model_id.h"
#include "model/shard_paths.h"

namespace pie::server {
namespace {

namespace fs = std::filesystem;

/// Lower case, runs of other characters than letters and digits as one '-'.
std::string plain(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const bool word = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (word) out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (!word && !out.empty() && out.back() != '-') out += '-';
  }
  return out;
}

/// The number in NAME-00002-of-00003.gguf and how many there are; 1 of 1 for other names.
std::pair<uint32_t, uint32_t> shard_of(const std::string& name) {
  constexpr std::string_view kForm = "-00000-of-00000.gguf";
  if (name.size() <= kForm.size()) return {1, 1};
  const std::string tail = name.substr(name.size() - kForm.size());
  for (size_t i = 0; i < kForm.size(); ++i) {
    const bool is_digit = std::isdigit(static_cast<unsigned char>(tail[i])) != 0;
    if (kForm[i] == '0' ? !is_digit : tail[i] != kForm[i]) return {1, 1};
  }
  return {static_cast<uint32_t>(std::stoul(tail.substr(1, 5))),
          static_cast<uint32_t>(std::stoul(tail.substr(10, 5)))};
}

/// Adds what lies in `folder`, each as a copy of `kind`.
void list_folder(const fs::path& folder, const InstalledModel& kind,
                 std::vector<InstalledModel>& models) {
  std::error_code failed;
  for (fs::directory_iterator i(folder, failed), end; !failed && i != end; i.increment(failed)) {
    const fs::path file = i->path();
    const auto [number, count] = shard_of(file.filename().string());
    if (file.extension() != ".gguf" || number != 1) continue;
    InstalledModel one = kind;
    one.name = model::short_model_id(file, {});
    one.file = file;
    const auto shards = model::shard_paths(file, count);
    std::error_code ignored;
    for (const fs::path& part : count > 1 && shards.ok() ? *shards : std::vector{file})
      if (const auto size = fs::file_size(part, ignored); !ignored) one.size_bytes += size;
    const bool is_hidden = std::any_of(models.begin(), models.end(),
                                       [&](const auto& other) { return other.name == one.name; });
    if (!is_hidden) models.push_back(std::move(one));
  }
}

bool is_name(const std::string& name) {
  return !name.empty() && name.size() <= 100 && std::isalnum(static_cast<unsigned char>(name[0])) &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return std::isdigit(c) || std::islower(c) || c == '-' || c == '_' || c == '.';
         });
}

/// By a name of its own first, so that a copy that breaks off leaves no model.
Result<void> place(const fs::path& from, const fs::path& to, Placing placing) {
  std::error_code failed;
  fs::path half = to;
  half += ".part";
  fs::remove(half, failed);
  failed.clear();
  if (placing == Placing::kLinked)
    fs::create_symlink(fs::canonical(from, failed), half, failed);
  else
    fs::copy_file(from, half, failed);
  if (!failed) fs::rename(half, to, failed);
  if (!failed) return {};
  std::error_code ignored;
  fs::remove(half, ignored);
  return Error{ErrorCode::kInternal,
               "[" + to.string() + "] got '" + failed.message() + "', expected room for the model"};
}

}  // namespace

Result<ModelSpec> parse_model_spec(const std::string& text) {
  std::error_code failed;
  const size_t equals = text.find('=');
  if (equals == std::string::npos || fs::is_regular_file(text, failed)) return ModelSpec{text, ""};
  const std::string alias = text.substr(0, equals);
  const bool is_name = !alias.empty() && alias.size() <= 100 &&
                       std::all_of(alias.begin(), alias.end(), [](unsigned char c) {
                         return std::isalnum(c) || c == '-' || c == '_' || c == '.';
                       });
  if (is_name) return ModelSpec{text.substr(equals + 1), alias};
  return Error{ErrorCode::kInvalidArgument,
               "[model] got '" + text +
                   "', expected a file, a name, or ALIAS=FILE with an alias of letters, digits, "
                   "'-', '_' and '.'"};
}

fs::path models_folder(const Config& config) { return config.home / "models"; }

std::vector<InstalledModel> installed_models(const Config& config) {
  std::vector<InstalledModel> models;
  list_folder(models_folder(config), {.is_shipped = false}, models);
  list_folder(config.share / "models", {.is_shipped = true}, models);
  std::sort(models.begin(), models.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return models;
}

Result<fs::path> find_model(const Config& config, const std::string& wanted) {
  std::error_code failed;
  if (fs::is_regular_file(wanted, failed)) return fs::path(wanted);
  const auto installed = installed_models(config);
  for (const InstalledModel& one : installed)
    if (one.name == wanted) return one.file;
  std::string names;
  for (const InstalledModel& one : installed) {
    if (!wanted.empty() && plain(one.file.stem().string()).starts_with(plain(wanted)))
      return one.file;
    names += (names.empty() ? "" : ", ") + one.name;
  }
  return Error{ErrorCode::kNotFound,
               "[model] got '" + wanted + "', expected a GGUF file or the name of one in " +
                   models_folder(config).string() + " or " + (config.share / "models").string() +
                   " (" + (names.empty() ? "there is none" : names) +
                   "); name a file, add one by `pie model add`, or set PIE_SHARE to the "
                   "installation's share/pie"};
}

Result<InstalledModel> add_model(const Config& config, const fs::path& file,
                                 const std::string& name, Placing placing) {
  PIE_TRY_ASSIGN(const auto loaded, model::Model::load(file));
  const std::string used = name.empty() ? loaded->info().id : name;
  if (!is_name(used))
    return Error{ErrorCode::kInvalidArgument,
                 "[--name] got '" + used +
                     "', expected up to 100 lower-case letters, digits, '-', '_' and '.'"};
  for (const InstalledModel& one : installed_models(config))
    if (one.name == used && !one.is_shipped)
      return Error{ErrorCode::kAlreadyExists, "[" + used + "] got a name that " +
                                                  one.file.string() +
                                                  " has, expected a free one: pass --name"};
  const uint32_t count = loaded->info().shard_count;
  std::vector<fs::path> parts = {file};
  if (count > 1) {
    PIE_TRY_ASSIGN(parts, model::shard_paths(file, count));
  }
  std::error_code failed;
  fs::create_directories(models_folder(config), failed);
  // The first comes last: it is what makes the model known.
  for (size_t i = parts.size(); i-- > 0;) {
    char suffix[32] = ".gguf";
    if (count > 1) std::snprintf(suffix, sizeof suffix, "-%05zu-of-%05u.gguf", i + 1, count);
    PIE_TRY(place(parts[i], models_folder(config) / (used + suffix), placing));
  }
  for (InstalledModel& one : installed_models(config))
    if (one.name == used) return std::move(one);
  return Error{
      ErrorCode::kInvalidArgument,
      "[--name] got '" + used + "', expected a name that does not end like a quantisation"};
}

}  // namespace pie::server
