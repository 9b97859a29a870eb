#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pie/handle.h"
#include "pie/poll.h"
#include "pie/result.h"

namespace inferlet {

/// Bytes kept by the host: what clients and programs send each other.
class Blob {
 public:
  explicit Blob(std::span<const uint8_t> bytes);
  explicit Blob(abi::Handle handle) : handle_(handle) {}
  uint64_t size() const { return abi::blob_size(handle_.get()); }
  /// Up to `count` bytes from `offset`; fewer at the end.
  std::vector<uint8_t> read(uint64_t offset, uint64_t count) const;
  std::vector<uint8_t> read_all() const { return read(0, size()); }
  abi::Handle handle() const { return handle_.get(); }
  abi::Handle release() { return handle_.release(); }

 private:
  OwnedHandle<abi::blob_drop> handle_;
};

enum class ResourceType : uint32_t { kKvPage = 0, kEmbedding = 1, kAdapter = 2 };
enum class Priority : int32_t { kLow = 0, kNormal = 1, kHigh = 2 };

/// A command queue of a model; its commands take effect in order.
class Queue {
 public:
  explicit Queue(abi::Handle handle) : handle_(handle) {}
  abi::Handle handle() const { return handle_.get(); }
  void set_priority(Priority priority) {
    abi::queue_set_priority(handle_.get(), static_cast<int32_t>(priority));
  }
  /// `count` numbers of resources; the program ends when the host can never give them.
  std::vector<uint32_t> allocate(ResourceType type, uint32_t count);
  void deallocate(ResourceType type, std::span<const uint32_t> pointers);
  /// Sleeps until every earlier command of this queue is completed.
  void synchronize();

 private:
  OwnedHandle<abi::queue_drop> handle_;
};

/// Text to token ids and back.
class Tokenizer {
 public:
  explicit Tokenizer(abi::Handle handle) : handle_(handle) {}
  /// Special tokens written in the text are recognised; no beginning-of-text token is added.
  std::vector<uint32_t> tokenize(std::string_view text) const;
  /// Bytes that are not UTF-8 become U+FFFD.
  std::string detokenize(std::span<const uint32_t> tokens) const;
  struct Entry {
    uint32_t id;
    std::vector<uint8_t> bytes;
  };
  /// The whole vocabulary: tens of thousands of entries, milliseconds.
  std::vector<Entry> vocabulary() const;
  std::vector<Entry> special_tokens() const;

 private:
  OwnedHandle<abi::tokenizer_drop> handle_;
};

/// What a model says of itself.
struct ModelInfo {
  uint32_t context_length;  ///< tokens that it was trained for; beyond, text makes less sense
  uint32_t vocab_size;
  std::optional<uint32_t> bos_token;  ///< begins a text
  bool adds_bos;                      ///< it expects that token before every text
};

class Model {
 public:
  explicit Model(abi::Handle handle) : handle_(handle) {}
  abi::Handle handle() const { return handle_.get(); }
  std::string name() const;
  std::string description() const;
  /// The chat template of the model file (Jinja).
  std::string prompt_template() const;
  std::vector<std::string> traits() const;
  /// The texts of the tokens that end a turn.
  std::vector<std::string> stop_tokens() const;
  ModelInfo info() const;
  uint32_t kv_page_size() const { return abi::model_get_kv_page_size(handle_.get()); }
  Queue create_queue() const { return Queue(abi::model_create_queue(handle_.get())); }
  Tokenizer tokenizer() const { return Tokenizer(abi::get_tokenizer(handle_.get())); }

 private:
  OwnedHandle<abi::model_drop> handle_;
};

std::vector<std::string> all_models();
std::optional<Model> find_model(std::string_view name);
/// The first of all_models().
Result<Model> default_model();

}  // namespace inferlet
