#include "model/gguf_file.h"

#include <fmt/format.h>
#include <gguf.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <unordered_set>

#include "model/ggml_log.h"
#include "model/shard_paths.h"

namespace pie::model {
namespace {

Error corrupt(std::string message) { return {ErrorCode::kCorrupt, std::move(message)}; }

Error wrong_type(const std::string& key, const char* got, std::string_view expected) {
  return corrupt(fmt::format("[{}] got a value of type {}, expected {}", key,
                             got == nullptr ? "unknown" : got, expected));
}

Error missing(const std::string& key) {
  return corrupt(fmt::format("[{}] got nothing, expected this key in the model file", key));
}

/// The integer of a key, whatever its width; nothing when it is no integer.
std::optional<int64_t> any_integer(const gguf_context* context, int64_t id) {
  switch (gguf_get_kv_type(context, id)) {
    case GGUF_TYPE_UINT8: return gguf_get_val_u8(context, id);
    case GGUF_TYPE_INT8: return gguf_get_val_i8(context, id);
    case GGUF_TYPE_UINT16: return gguf_get_val_u16(context, id);
    case GGUF_TYPE_INT16: return gguf_get_val_i16(context, id);
    case GGUF_TYPE_UINT32: return gguf_get_val_u32(context, id);
    case GGUF_TYPE_INT32: return gguf_get_val_i32(context, id);
    case GGUF_TYPE_INT64: return gguf_get_val_i64(context, id);
    case GGUF_TYPE_UINT64:
      return static_cast<int64_t>(
          std::min<uint64_t>(gguf_get_val_u64(context, id), std::numeric_limits<int64_t>::max()));
    default: return std::nullopt;
  }
}

Error unsupported(std::string message) { return {ErrorCode::kUnsupported, std::move(message)}; }

/// Whether this is a GGUF file that can be read at all: bytes 4 to 8 are its version, in the byte
/// order of the machine that it is for.
Result<void> check_version(std::span<const std::byte> bytes) {
  if (bytes.size() < 4 || std::memcmp(bytes.data(), GGUF_MAGIC, 4) != 0)
    return corrupt("[magic] got other bytes, expected 'GGUF': this is no GGUF model file");
  uint32_t version = 0;
  if (bytes.size() < 8) return {};  // cut off: the parser says so
  std::memcpy(&version, bytes.data() + 4, sizeof version);
  constexpr uint32_t kOldest = 2, kLowHalf = 0xFFFF;
  if (version >= kOldest && version <= GGUF_VERSION) return {};
  if (version != 0 && (version & kLowHalf) == 0)
    return unsupported(
        "[version] got a big-endian file, expected a little-endian one: convert it "
        "with gguf_convert_endian.py, or fetch the file for this machine");
  if (version == 1)
    return unsupported("[version] got GGUF version 1, expected 2 or 3: convert the model anew");
  return unsupported(
      fmt::format("[version] got GGUF version {}, expected {} or {}: it is from a "
                  "newer tool, fetch it in version {}",
                  version, kOldest, GGUF_VERSION, GGUF_VERSION));
}

/// For ggml's parser, which asks for a few bytes at a time.
class HeaderReader {
 public:
  explicit HeaderReader(const SourceFile& file) : file_(file), piece_(kPiece) {}

  static size_t read(void* self, void* output, uint64_t offset, size_t size) {
    return static_cast<HeaderReader*>(self)->copy(offset, {static_cast<std::byte*>(output), size});
  }

 private:
  static constexpr size_t kPiece = size_t{64} << 10;

  size_t copy(uint64_t offset, std::span<std::byte> out) {
    if (out.size() > kPiece) return file_.read_some(offset, out);
    if (offset < begin_ || offset + out.size() > begin_ + count_) {
      begin_ = offset;
      count_ = file_.read_some(offset, piece_);
    }
    const size_t count = std::min<uint64_t>(out.size(), begin_ + count_ - offset);
    std::memcpy(out.data(), piece_.data() + (offset - begin_), count);
    return count;
  }

  const SourceFile& file_;
  std::vector<std::byte> piece_;
  uint64_t begin_ = 0, count_ = 0;  // of the file: what piece_ holds
};

}  // namespace

void GgufFile::ContextDeleter::operator()(gguf_context* context) const { gguf_free(context); }

GgufFile::GgufFile(GgufFile&&) noexcept = default;
GgufFile& GgufFile::operator=(GgufFile&&) noexcept = default;
GgufFile::~GgufFile() = default;

uint64_t GgufFile::size_bytes() const {
  uint64_t sum = 0;
  for (const auto& file : files_) sum += file->size();
  return sum;
}

Result<ContentHash> GgufFile::content_hash() const {
  ContentHasher hasher;
  for (const auto& file : files_) PIE_TRY(file->hash(hasher));
  return hasher.hash();
}

Result<Mapping> FileBytes::load() const {
  Mapping memory(size);
  PIE_TRY(read({memory.get(), size}));
  return memory;
}

Result<GgufFile> GgufFile::open(const std::filesystem::path& path) {
  PIE_TRY_ASSIGN(GgufFile file, open_shard(path));
  PIE_TRY_ASSIGN(const uint32_t count, file.integer_or("split.count", 0, UINT16_MAX, 1));
  if (count <= 1) return file;
  PIE_TRY_ASSIGN(const auto paths, shard_paths(path, count));
  PIE_TRY_ASSIGN(GgufFile first, open_shard(paths[0]));
  PIE_TRY(first.add_shards(paths));
  return first;
}

Result<GgufFile> GgufFile::open_shard(const std::filesystem::path& path) {
  GgufFile file;
  PIE_TRY_ASSIGN(SourceFile opened, SourceFile::open(path));
  const auto source = std::make_shared<const SourceFile>(std::move(opened));
  file.files_.push_back(source);
  std::array<std::byte, 8> beginning{};
  const auto bytes = std::span(beginning).first(source->read_some(0, beginning));
  PIE_TRY(check_version(bytes));
  HeaderReader reader(*source);
  GgmlErrorCapture said;
  try {
    file.context_.reset(
        gguf_init_from_callback(HeaderReader::read, &reader, 0, source->size(), {true, nullptr}));
  } catch (const std::exception& e) {
    return corrupt(fmt::format("[header] got '{}', expected readable metadata", e.what()));
  }
  if (!file.context_) {
    return corrupt(fmt::format(
        "[header] got unreadable metadata ({}), expected a whole GGUF file: fetch it again",
        said.text()));
  }
  PIE_TRY(file.list_tensors());
  return file;
}

/// Whether this is shard `number` of `count`.
Result<void> GgufFile::check_shard(uint32_t number, uint32_t count) const {
  PIE_TRY_ASSIGN(const uint32_t got_number, integer("split.no", 0, UINT16_MAX));
  PIE_TRY_ASSIGN(const uint32_t got_count, integer("split.count", 0, UINT16_MAX));
  if (got_number == number && got_count == count) return {};
  return corrupt(
      fmt::format("[split.no] got shard {} of {}, expected {} of {} (counted from 0): "
                  "these files do not belong together",
                  got_number, got_count, number, count));
}

Result<void> GgufFile::add_shards(const std::vector<std::filesystem::path>& paths) {
  const auto count = static_cast<uint32_t>(paths.size());
  PIE_TRY(check_shard(0, count));
  for (uint32_t number = 1; number < count; ++number) {
    const auto add = [&]() -> Result<void> {
      PIE_TRY_ASSIGN(GgufFile shard, open_shard(paths[number]));
      PIE_TRY(shard.check_shard(number, count));
      std::move(shard.tensors_.begin(), shard.tensors_.end(), std::back_inserter(tensors_));
      files_.push_back(shard.files_[0]);
      return {};
    };
    if (auto done = add(); !done.ok())
      return std::move(done).error().within("shard " + paths[number].filename().string());
  }
  std::unordered_set<std::string_view> names;
  for (const GgufTensor& tensor : tensors_) {
    if (!names.insert(tensor.name).second)
      return corrupt(fmt::format("[{}] got it in two shards, expected one", tensor.name));
  }
  PIE_TRY_ASSIGN(const uint32_t total, integer_or("split.tensors.count", 0, INT32_MAX,
                                                  static_cast<uint32_t>(tensors_.size())));
  if (total == tensors_.size()) return {};
  return corrupt(
      fmt::format("[split.tensors.count] got {}, expected the {} tensors of the shards: these "
                  "files do not belong together",
                  total, tensors_.size()));
}

Result<void> GgufFile::list_tensors() {
  const uint64_t file_size = files_[0]->size();
  const uint64_t base = gguf_get_data_offset(context_.get());
  const int64_t count = gguf_get_n_tensors(context_.get());
  for (int64_t id = 0; id < count; ++id) {
    GgufTensor tensor;
    tensor.name = gguf_get_tensor_name(context_.get(), id);
    tensor.type = static_cast<uint32_t>(gguf_get_tensor_type(context_.get(), id));
    const int64_t* ne = gguf_get_tensor_ne(context_.get(), id);
    size_t dims = GGML_MAX_DIMS;
    while (dims > 1 && ne[dims - 1] == 1) --dims;
    for (size_t i = dims; i-- > 0;) tensor.shape.push_back(static_cast<uint64_t>(ne[i]));
    const uint64_t offset = gguf_get_tensor_offset(context_.get(), id);
    const uint64_t size = gguf_get_tensor_size(context_.get(), id);
    const uint64_t room = file_size < base ? 0 : file_size - base;
    if (offset > room || size > room - offset) {
      return corrupt(fmt::format(
          "[{}] got a file of {} bytes, expected at least {}: it is cut off, fetch it again",
          tensor.name, file_size, base + offset + size));
    }
    tensor.data = {files_[0], base + offset, size};
    tensors_.push_back(std::move(tensor));
  }
  return {};
}

bool GgufFile::has(const std::string& key) const {
  return gguf_find_key(context_.get(), key.c_str()) >= 0;
}

Result<uint32_t> GgufFile::integer(const std::string& key, uint32_t least, uint32_t most) const {
  const int64_t id = gguf_find_key(context_.get(), key.c_str());
  if (id < 0) return missing(key);
  const std::optional<int64_t> value = any_integer(context_.get(), id);
  if (!value) {
    return wrong_type(key, gguf_type_name(gguf_get_kv_type(context_.get(), id)), "one integer");
  }
  if (*value < int64_t{least} || *value > int64_t{most}) {
    return corrupt(fmt::format("[{}] got {}, expected {} to {}", key, *value, least, most));
  }
  return static_cast<uint32_t>(*value);
}

Result<float> GgufFile::number(const std::string& key) const {
  const int64_t id = gguf_find_key(context_.get(), key.c_str());
  if (id < 0) return missing(key);
  const gguf_type type = gguf_get_kv_type(context_.get(), id);
  if (type != GGUF_TYPE_FLOAT32) return wrong_type(key, gguf_type_name(type), "a float");
  const float value = gguf_get_val_f32(context_.get(), id);
  if (!std::isfinite(value))
    return corrupt(fmt::format("[{}] got {}, expected a finite number", key, value));
  return value;
}

Result<std::string> GgufFile::text(const std::string& key) const {
  const int64_t id = gguf_find_key(context_.get(), key.c_str());
  if (id < 0) return missing(key);
  const gguf_type type = gguf_get_kv_type(context_.get(), id);
  if (type != GGUF_TYPE_STRING) return wrong_type(key, gguf_type_name(type), "a text");
  return std::string(gguf_get_val_str(context_.get(), id));
}

Result<uint32_t> GgufFile::integer_or(const std::string& key, uint32_t least, uint32_t most,
                                      uint32_t otherwise) const {
  if (!has(key)) return otherwise;
  return integer(key, least, most);
}

Result<float> GgufFile::number_or(const std::string& key, float otherwise) const {
  if (!has(key)) return otherwise;
  return number(key);
}

Result<std::string> GgufFile::text_or(const std::string& key, std::string otherwise) const {
  if (!has(key)) return otherwise;
  return text(key);
}

Result<std::optional<bool>> GgufFile::flag(const std::string& key) const {
  const int64_t id = gguf_find_key(context_.get(), key.c_str());
  if (id < 0) return std::optional<bool>();
  const gguf_type type = gguf_get_kv_type(context_.get(), id);
  if (type != GGUF_TYPE_BOOL) return wrong_type(key, gguf_type_name(type), "a truth value");
  return std::optional(gguf_get_val_bool(context_.get(), id));
}

Result<std::vector<std::string_view>> GgufFile::texts(const std::string& key) const {
  std::vector<std::string_view> elements;
  const int64_t id = gguf_find_key(context_.get(), key.c_str());
  if (id < 0) return elements;
  const gguf_type type = gguf_get_kv_type(context_.get(), id);
  if (type != GGUF_TYPE_ARRAY || gguf_get_arr_type(context_.get(), id) != GGUF_TYPE_STRING) {
    return wrong_type(key, gguf_type_name(type), "a list of texts");
  }
  const size_t count = gguf_get_arr_n(context_.get(), id);
  elements.reserve(count);
  for (size_t i = 0; i < count; ++i) elements.push_back(gguf_get_arr_str(context_.get(), id, i));
  return elements;
}

Result<std::vector<bool>> GgufFile::flags(const std::string& key) const {
  std::vector<bool> elements;
  const int64_t id = gguf_find_key(context_.get(), key.c_str());
  if (id < 0 || gguf_get_kv_type(context_.get(), id) != GGUF_TYPE_ARRAY) return elements;
  const gguf_type type = gguf_get_arr_type(context_.get(), id);
  if (type != GGUF_TYPE_BOOL) {
    return wrong_type(key, gguf_type_name(type), "a list of truth values");
  }
  const auto* values = static_cast<const int8_t*>(gguf_get_arr_data(context_.get(), id));
  const size_t count = gguf_get_arr_n(context_.get(), id);
  for (size_t i = 0; i < count; ++i) elements.push_back(values[i] != 0);
  return elements;
}

Result<std::optional<size_t>> GgufFile::word_count(const std::string& key) const {
  const int64_t id = gguf_find_key(context_.get(), key.c_str());
  if (id < 0) return std::optional<size_t>();
  const gguf_type type = gguf_get_kv_type(context_.get(), id);
  const gguf_type element =
      type == GGUF_TYPE_ARRAY ? gguf_get_arr_type(context_.get(), id) : GGUF_TYPE_COUNT;
  if (element != GGUF_TYPE_INT32 && element != GGUF_TYPE_UINT32 && element != GGUF_TYPE_FLOAT32) {
    return wrong_type(key, gguf_type_name(type), "a list of 32-bit numbers");
  }
  return std::optional<size_t>(gguf_get_arr_n(context_.get(), id));
}

}  // namespace pie::model
