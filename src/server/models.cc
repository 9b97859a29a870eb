#include "server/models.h"

#include <algorithm>
#include <fstream>
#include <system_error>
#include <utility>
#include <vector>

#include "base/log.h"
#include "exec/ggml_executor.h"
#include "model/architecture.h"
#include "model/model.h"

namespace pie::server {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kPageTokens = 16;
constexpr uint64_t kPoolBytesMax = 2ULL << 30;
constexpr uint32_t kPagesMin = 64;

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

/// Memory that can be had without swapping (proc(5), MemAvailable); 0 when it is not known.
uint64_t available_bytes() {
  std::ifstream info("/proc/meminfo");
  std::string key;
  uint64_t kilobytes = 0;
  for (std::string unit; info >> key >> kilobytes; std::getline(info, unit))
    if (key == "MemAvailable:") return kilobytes << 10;
  return 0;
}

/// Pages of a pool that takes a quarter of the memory that is left, at most 2 GiB.
uint32_t default_page_count(const model::Architecture& a) {
  const uint64_t token_bytes = 2ULL * a.layer_count * a.kv_head_count * (a.key_size + a.value_size);
  const uint64_t page_bytes = std::max<uint64_t>(1, token_bytes * kPageTokens);
  const uint64_t pool_bytes = std::min(kPoolBytesMax, available_bytes() / 4);
  return static_cast<uint32_t>(std::max<uint64_t>(kPagesMin, pool_bytes / page_bytes));
}

}  // namespace

Result<fs::path> find_model(const Config& config) {
  const std::string wanted = config.model.empty() ? kDefaultModel : config.model;
  std::error_code failed;
  if (!config.model.empty() && fs::is_regular_file(wanted, failed)) return fs::path(wanted);
  std::vector<fs::path> shipped;
  for (fs::directory_iterator i(config.share / "models", failed), end; !failed && i != end;
       i.increment(failed))
    if (i->path().extension() == ".gguf") shipped.push_back(i->path());
  std::sort(shipped.begin(), shipped.end());
  for (const auto& file : shipped)
    if (plain(file.stem().string()).rfind(plain(wanted), 0) == 0) return file;
  return Error{ErrorCode::kNotFound,
               "[model] got '" + wanted + "', expected a GGUF file or the name of one in " +
                   (config.share / "models").string() +
                   "; name a file with --model, or set PIE_SHARE to the installation's share/pie"};
}

Result<std::unique_ptr<engine::Engine>> open_engine(const Config& config) {
  PIE_TRY_ASSIGN(const fs::path file, find_model(config));
  PIE_TRY_ASSIGN(auto model, model::Model::load(file));
  const exec::ExecutorConfig pool{
      .page_count = config.kv_pages ? config.kv_pages : default_page_count(model->architecture()),
      .page_size = kPageTokens,
      .step_tokens_max = config.step_tokens_max,
      .thread_count = config.model_threads};
  PIE_TRY_ASSIGN(auto executor, exec::make_ggml_executor(model, pool));
  log::info("model {}: {}, {} KV pages", model->info().id, model->info().description,
            pool.page_count);
  return engine::Engine::create(std::move(model), std::move(executor),
                                {.step_tokens_max = config.step_tokens_max, .seed = config.seed});
}

}  // namespace pie::server
