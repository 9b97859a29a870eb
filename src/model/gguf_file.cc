#include "model/gguf_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gguf.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>

#include "model/ggml_log.h"

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

}  // namespace

struct GgufFile::Mapping {
  void* address = MAP_FAILED;
  size_t size = 0;

  Mapping() = default;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (address != MAP_FAILED) munmap(address, size);
  }
  Result<void> map(const std::filesystem::path& path);
  std::span<const std::byte> bytes() const {
    return {static_cast<const std::byte*>(address), size};
  }
};

Result<void> GgufFile::Mapping::map(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const ErrorCode code = errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kPermissionDenied;
    return Error{code, fmt::format("[open] got '{}', expected a readable file", strerror(errno))};
  }
  struct stat status = {};
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd);
    return Error{ErrorCode::kInvalidArgument, "[open] got no regular file, expected a GGUF file"};
  }
  size = static_cast<size_t>(status.st_size);
  if (size != 0) address = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  const int reason = errno;
  ::close(fd);
  if (size == 0) return corrupt("[open] got an empty file, expected a GGUF file");
  if (address == MAP_FAILED) {
    return Error{ErrorCode::kInternal,
                 fmt::format("[mmap] got '{}' for {} bytes", strerror(reason), size)};
  }
  return {};
}

void GgufFile::ContextDeleter::operator()(gguf_context* context) const { gguf_free(context); }

GgufFile::GgufFile() = default;
GgufFile::GgufFile(GgufFile&&) noexcept = default;
GgufFile& GgufFile::operator=(GgufFile&&) noexcept = default;
GgufFile::~GgufFile() = default;

uint64_t GgufFile::size_bytes() const { return mapping_->size; }

Result<GgufFile> GgufFile::open(const std::filesystem::path& path) {
  GgufFile file;
  file.mapping_ = std::make_unique<Mapping>();
  PIE_TRY(file.mapping_->map(path));
  const std::span<const std::byte> bytes = file.mapping_->bytes();
  if (bytes.size() < 4 || std::memcmp(bytes.data(), GGUF_MAGIC, 4) != 0) {
    return corrupt("[magic] got other bytes, expected 'GGUF': this is no GGUF model file");
  }
  GgmlErrorCapture said;
  try {
    file.context_.reset(gguf_init_from_buffer(bytes.data(), bytes.size(), {true, nullptr}));
  } catch (const std::exception& e) {
    return corrupt(fmt::format("[header] got '{}', expected readable metadata", e.what()));
  }
  if (!file.context_) {
    return corrupt(fmt::format(
        "[header] got unreadable metadata ({}), expected a whole GGUF file: fetch it again",
        said.text()));
  }
  PIE_TRY_ASSIGN(const uint32_t parts, file.integer_or("split.count", 0, 65535, 1));
  if (parts > 1) {
    return Error{
        ErrorCode::kUnsupported,
        fmt::format("[split.count] got {}, expected a model in one file: merge it", parts)};
  }
  PIE_TRY(file.list_tensors());
  return file;
}

Result<void> GgufFile::list_tensors() {
  const std::span<const std::byte> bytes = mapping_->bytes();
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
    const uint64_t room = bytes.size() < base ? 0 : bytes.size() - base;
    if (offset > room || size > room - offset) {
      return corrupt(fmt::format(
          "[{}] got a file of {} bytes, expected at least {}: it is cut off, fetch it again",
          tensor.name, bytes.size(), base + offset + size));
    }
    tensor.data = bytes.subspan(base + offset, size);
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
