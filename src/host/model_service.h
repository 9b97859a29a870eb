#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "base/work_queue.h"
#include "engine/engine.h"
#include "grammar/grammar_cache.h"
#include "host/program_cache.h"
#include "ports/bus.h"
#include "ports/key_values.h"
#include "wasm/wit_type.h"

namespace pie::host {

/// Token ids, and the bytes of each.
using TokenTable = std::tuple<std::vector<uint32_t>, std::vector<wasm::ByteString>>;

/// One served model as programs see it: its engine, and what is built from its files once.
/// Thread-safe.
class ModelService {
 public:
  ModelService(engine::Engine& engine, uint32_t service_id);

  engine::Engine& engine() const { return engine_; }
  const model::Model& model() const { return engine_.model(); }
  const model::ModelInfo& info() const { return engine_.model().info(); }
  uint32_t service_id() const { return service_id_; }

  /// Every token. Built at the first call (tens of milliseconds for a vocabulary of 49k).
  const TokenTable& vocabulary() const;
  /// The same of special tokens alone.
  const TokenTable& special_tokens() const;
  /// Grammars over its vocabulary, those of late; to be used where work may take seconds.
  grammar::GrammarCache& grammars() const { return grammars_; }

 private:
  engine::Engine& engine_;
  const uint32_t service_id_;
  mutable std::once_flag vocabulary_once_, special_once_;
  mutable TokenTable vocabulary_, special_tokens_;
  mutable grammar::GrammarCache grammars_;
};

/// What all instances of a host share. Its own members are immutable after start.
struct Services {
  std::vector<std::unique_ptr<ModelService>> models;  ///< the first is the default one
  std::map<std::string, std::string> model_aliases;   ///< further names -> ids
  KeyValues& kvs;
  Bus& bus;
  std::string version;
  WorkQueue& background;  ///< for what takes longer than a worker may be held
  WorkQueue& disk;        ///< for reads of files
  ProgramCache& program_cache;

  /// The model of this id or alias; null for an unknown one.
  const ModelService* find_model(std::string_view name) const;
};

}  // namespace pie::host
