#include "server/models.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <utility>

#include "base/log.h"
#include "exec/open_executor.h"
#include "model/architecture.h"
#include "model/model.h"
#include "server/installed_models.h"

namespace pie::server {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kPageTokens = 16;
constexpr uint64_t kPoolBytesMax = 2ULL << 30;
constexpr uint32_t kPagesMin = 64;

/// Memory that can be had without swapping (proc(5), MemAvailable); 0 when it is not known.
uint64_t available_bytes() {
  std::ifstream info("/proc/meminfo");
  std::string key;
  uint64_t kilobytes = 0;
  for (std::string unit; info >> key >> kilobytes; std::getline(info, unit))
    if (key == "MemAvailable:") return kilobytes << 10;
  return 0;
}

/// Pages of a pool that takes its share of a quarter of the memory that is left, at most 2 GiB.
uint32_t default_page_count(const model::Architecture& a, exec::KvFormat format,
                            size_t model_count) {
  const uint64_t token_bytes = uint64_t{a.layer_count} * a.kv_head_count *
                               exec::kv_head_token_bytes(format, a.key_size, a.value_size);
  const uint64_t page_bytes = std::max<uint64_t>(1, token_bytes * kPageTokens);
  const uint64_t pool_bytes = std::min(kPoolBytesMax, available_bytes() / 4 / model_count);
  return static_cast<uint32_t>(
      std::clamp<uint64_t>(pool_bytes / page_bytes, kPagesMin, UINT32_MAX));
}

Result<std::unique_ptr<engine::Engine>> open_engine(const Config& config, const std::string& source,
                                                    size_t model_count) {
  PIE_TRY_ASSIGN(const fs::path file, find_model(config, source));
  PIE_TRY_ASSIGN(auto model, model::Model::load(file));
  PIE_TRY_ASSIGN(const exec::KvFormat format, exec::parse_kv_format(config.kv_format));
  const exec::ExecutorConfig pool{
      .page_count = config.kv_pages
                        ? config.kv_pages
                        : default_page_count(model->architecture(), format, model_count),
      .page_size = kPageTokens,
      .step_tokens_max = config.step_tokens_max,
      .thread_count = config.model_threads,
      .kv_format = format};
  PIE_TRY_ASSIGN(const exec::ExecutorKind* const kind,
                 exec::find_executor_kind(*model, config.executor));
  PIE_TRY_ASSIGN(auto executor, kind->make(model, pool));
  log::info("model {}: {}, {} executor, {} KV pages of {}", model->info().id,
            model->info().description, kind->name, pool.page_count, exec::kv_format_name(format));
  const fs::path snapshots = config.home / "snapshots" / model->info().id;
  return engine::Engine::create(std::move(model), std::move(executor),
                                {.step_tokens_max = config.step_tokens_max,
                                 .seed = config.seed,
                                 .prefix_cache = config.prefix_cache,
                                 .prefix_cache_shared = config.prefix_cache_shared,
                                 .swap_folder = config.home / "run" / "swap",
                                 .swap_bytes_max = config.swap_bytes_max,
                                 .snapshot_folder = snapshots,
                                 .snapshot_user_bytes_max = config.snapshot_user_bytes_max});
}

Error twice(const std::string& name) {
  return {ErrorCode::kInvalidArgument,
          "[models] got two models of the name '" + name +
              "', expected different ones: programs ask for a model by its name"};
}

}  // namespace

std::vector<engine::Engine*> ServedModels::pointers() const {
  std::vector<engine::Engine*> all;
  for (const auto& engine : engines) all.push_back(engine.get());
  return all;
}

Result<ServedModels> open_models(const Config& config) {
  std::vector<std::string> wanted = {config.model.empty() ? kDefaultModel : config.model};
  wanted.insert(wanted.end(), config.models.begin(), config.models.end());
  ServedModels served;
  std::set<std::string> names;
  for (const std::string& text : wanted) {
    PIE_TRY_ASSIGN(const ModelSpec spec, parse_model_spec(text));
    PIE_TRY_ASSIGN(auto engine, open_engine(config, spec.source, wanted.size()));
    const std::string& id = engine->model().info().id;
    if (!names.insert(id).second) return twice(id);
    if (!spec.alias.empty() && spec.alias != id) {
      if (!names.insert(spec.alias).second) return twice(spec.alias);
      served.ids_of_aliases.emplace(spec.alias, id);
    }
    served.engines.push_back(std::move(engine));
  }
  return served;
}

}  // namespace pie::server
