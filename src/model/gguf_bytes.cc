#include "model/gguf_bytes.h"

#include <fmt/format.h>
#include <ggml.h>

#include <bit>
#include <cstring>
#include <utility>

namespace pie::model {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr uint32_t kAlignment = 32;
constexpr uint64_t kNameBytesMax = 1024;
constexpr uint32_t kDimensionsMax = 4;
/// What is listed takes memory beside its bytes.
constexpr uint64_t kKeysMax = 4096, kTensorsMax = 65'536;

/// Types of values (GGUF specification, "gguf_metadata_value_type").
enum GgufValueType : uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kText,
  kList,
  kUint64,
  kInt64,
  kFloat64
};  // fmt: in the specification's order

Error corrupt(std::string message) { return Error{ErrorCode::kCorrupt, std::move(message)}; }

/// Bytes of a value of a fixed size; 0 for others.
size_t value_bytes(uint32_t type) {
  switch (type) {
    case kUint8:
    case kInt8:
    case kBool: return 1;
    case kUint16:
    case kInt16: return 2;
    case kUint32:
    case kInt32:
    case kFloat32: return 4;
    case kUint64:
    case kInt64:
    case kFloat64: return 8;
    default: return 0;
  }
}

template <class T>
T value_of(std::span<const std::byte> bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

double number_of(uint32_t type, std::span<const std::byte> bytes) {
  switch (type) {
    case kUint8:
    case kBool: return value_of<uint8_t>(bytes);
    case kInt8: return value_of<int8_t>(bytes);
    case kUint16: return value_of<uint16_t>(bytes);
    case kInt16: return value_of<int16_t>(bytes);
    case kUint32: return value_of<uint32_t>(bytes);
    case kInt32: return value_of<int32_t>(bytes);
    case kFloat32: return double{value_of<float>(bytes)};
    case kUint64: return static_cast<double>(value_of<uint64_t>(bytes));
    case kInt64: return static_cast<double>(value_of<int64_t>(bytes));
    default: return value_of<double>(bytes);
  }
}

}  // namespace

class GgufParser {
 public:
  explicit GgufParser(std::span<const std::byte> bytes) : bytes_(bytes) {}

  Result<GgufBytes> parse() {
    PIE_TRY_ASSIGN(const uint32_t magic, read<uint32_t>("magic"));
    if (magic != kMagic) return corrupt("[gguf] got no magic, expected the bytes 'GGUF'");
    PIE_TRY_ASSIGN(const uint32_t version, read<uint32_t>("version"));
    if (version != 2 && version != 3)
      return corrupt(fmt::format("[gguf] got version {}, expected 2 or 3", version));
    PIE_TRY_ASSIGN(const uint64_t tensors, read<uint64_t>("tensor count"));
    PIE_TRY_ASSIGN(const uint64_t keys, read<uint64_t>("key count"));
    if (keys > kKeysMax || tensors > kTensorsMax)
      return corrupt(fmt::format("[gguf] got {} keys and {} tensors, expected at most {} and {}",
                                 keys, tensors, kKeysMax, kTensorsMax));
    for (uint64_t i = 0; i < keys; ++i) PIE_TRY(read_key());
    for (uint64_t i = 0; i < tensors; ++i) PIE_TRY(read_tensor());
    PIE_TRY(find_data());
    return std::move(file_);
  }

 private:
  Result<std::span<const std::byte>> take(uint64_t count, std::string_view what) {
    if (count > bytes_.size() - at_)
      return corrupt(fmt::format("[gguf] got {} bytes for the {} at byte {}, expected {}",
                                 bytes_.size() - at_, what, at_, count));
    const auto taken = bytes_.subspan(at_, count);
    at_ += count;
    return taken;
  }
  template <class T>
  Result<T> read(std::string_view what) {
    PIE_TRY_ASSIGN(const auto bytes, take(sizeof(T), what));
    return value_of<T>(bytes);
  }
  Result<std::string> read_text(std::string_view what) {
    PIE_TRY_ASSIGN(const uint64_t size, read<uint64_t>(what));
    PIE_TRY_ASSIGN(const auto bytes, take(size, what));
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  Result<std::string> read_name(std::string_view what) {
    PIE_TRY_ASSIGN(std::string name, read_text(what));
    if (name.size() > kNameBytesMax)
      return corrupt(fmt::format("[gguf] got a {} of {} bytes, expected at most {}", what,
                                 name.size(), kNameBytesMax));
    return name;
  }

  Result<void> read_list(const std::string& key) {
    PIE_TRY_ASSIGN(const uint32_t type, read<uint32_t>("list type"));
    PIE_TRY_ASSIGN(const uint64_t count, read<uint64_t>("list length"));
    if (type == kText) {
      for (uint64_t i = 0; i < count; ++i) PIE_TRY(read_text("text of a list"));
      return {};
    }
    const size_t size = value_bytes(type);
    if (size == 0)
      return corrupt(
          fmt::format("[{}] got a list of type {}, expected numbers or texts", key, type));
    if (count > bytes_.size() / size)
      return corrupt(
          fmt::format("[{}] got a list of {} elements, expected no more than the file "
                      "has bytes for",
                      key, count));
    PIE_TRY_ASSIGN(const auto values, take(count * size, "list"));
    if (type == kFloat32) file_.floats_[key] = values;
    return {};
  }

  Result<void> read_key() {
    PIE_TRY_ASSIGN(const std::string key, read_name("key"));
    PIE_TRY_ASSIGN(const uint32_t type, read<uint32_t>("value type"));
    if (type == kList) return read_list(key);
    if (type == kText) {
      PIE_TRY_ASSIGN(file_.texts_[key], read_text("text"));
      return {};
    }
    const size_t size = value_bytes(type);
    if (size == 0)
      return corrupt(fmt::format("[{}] got a value of type {}, expected one of GGUF", key, type));
    PIE_TRY_ASSIGN(const auto value, take(size, "value"));
    file_.numbers_[key] = number_of(type, value);
    return {};
  }

  Result<void> read_tensor() {
    PIE_TRY_ASSIGN(const std::string name, read_name("tensor name"));
    PIE_TRY_ASSIGN(const uint32_t dimensions, read<uint32_t>("number of dimensions"));
    if (dimensions == 0 || dimensions > kDimensionsMax)
      return corrupt(fmt::format("[{}] got {} dimensions, expected 1 to {}", name, dimensions,
                                 kDimensionsMax));
    GgufBytes::Tensor tensor;
    for (uint32_t i = 0; i < dimensions; ++i) {
      PIE_TRY_ASSIGN(const uint64_t size, read<uint64_t>("dimension"));
      tensor.shape.insert(tensor.shape.begin(), size);
    }
    PIE_TRY_ASSIGN(tensor.type, read<uint32_t>("tensor type"));
    PIE_TRY_ASSIGN(const uint64_t offset, read<uint64_t>("tensor offset"));
    if (!file_.tensors_.emplace(name, std::move(tensor)).second)
      return corrupt(fmt::format("[{}] got this tensor twice, expected it once", name));
    offsets_.emplace_back(name, offset);
    return {};
  }

  /// The bytes of all tensors, behind the metadata.
  Result<void> find_data() {
    const double alignment = file_.number("general.alignment").value_or(kAlignment);
    if (!(alignment >= 1 && alignment <= 65536) || alignment != static_cast<uint32_t>(alignment))
      return corrupt(fmt::format("[general.alignment] got {}, expected an integer from 1 to 65536",
                                 alignment));
    const auto unit = static_cast<uint64_t>(alignment);
    const uint64_t begin = (at_ + unit - 1) / unit * unit;
    for (const auto& [name, offset] : offsets_) {
      GgufBytes::Tensor& tensor = file_.tensors_.find(name)->second;
      PIE_TRY_ASSIGN(const uint64_t size, tensor_bytes(name, tensor));
      if (begin > bytes_.size() || offset > bytes_.size() - begin ||
          size > bytes_.size() - begin - offset)
        return corrupt(
            fmt::format("[{}] got {} bytes at offset {} of the tensors, expected them "
                        "within a file of {}",
                        name, size, offset, bytes_.size()));
      tensor.data = bytes_.subspan(begin + offset, size);
    }
    return {};
  }

  Result<uint64_t> tensor_bytes(const std::string& name, const GgufBytes::Tensor& tensor) const {
    if (tensor.type >= GGML_TYPE_COUNT || ggml_type_size(static_cast<ggml_type>(tensor.type)) == 0)
      return corrupt(fmt::format("[{}] got type {}, expected one of ggml's", name, tensor.type));
    const auto type = static_cast<ggml_type>(tensor.type);
    const auto block = static_cast<uint64_t>(ggml_blck_size(type));
    uint64_t values = 1;
    for (const uint64_t size : tensor.shape) {
      // No file has as many values as bits.
      if (size != 0 && values > bytes_.size() * 8 / size)
        return corrupt(fmt::format("[{}] got more values than the file has bits", name));
      values *= size;
    }
    if (tensor.shape.back() % block != 0)
      return corrupt(fmt::format("[{}] got rows of {} values, expected multiples of {} ({})", name,
                                 tensor.shape.back(), block, ggml_type_name(type)));
    return values / block * ggml_type_size(type);
  }

  const std::span<const std::byte> bytes_;
  uint64_t at_ = 0;
  GgufBytes file_;
  std::vector<std::pair<std::string, uint64_t>> offsets_;
};

Result<GgufBytes> GgufBytes::parse(std::span<const std::byte> bytes) {
  return GgufParser(bytes).parse();
}

const std::string* GgufBytes::text(const std::string& key) const {
  const auto at = texts_.find(key);
  return at == texts_.end() ? nullptr : &at->second;
}

std::optional<double> GgufBytes::number(const std::string& key) const {
  const auto at = numbers_.find(key);
  if (at == numbers_.end()) return std::nullopt;
  return at->second;
}

std::optional<std::span<const std::byte>> GgufBytes::floats(const std::string& key) const {
  const auto at = floats_.find(key);
  if (at == floats_.end()) return std::nullopt;
  return at->second;
}

namespace {

void put_bytes(std::vector<uint8_t>& out, const void* bytes, size_t count) {
  const size_t at = out.size();
  out.resize(at + count);
  if (count > 0) std::memcpy(out.data() + at, bytes, count);
}
template <class T>
void put(std::vector<uint8_t>& out, const T& value) {
  put_bytes(out, &value, sizeof value);
}
void put_text(std::vector<uint8_t>& out, std::string_view text) {
  put(out, uint64_t{text.size()});
  put_bytes(out, text.data(), text.size());
}
void put_floats(std::vector<uint8_t>& out, std::span<const float> values) {
  put_bytes(out, values.data(), values.size_bytes());
}
uint64_t aligned(uint64_t size) { return (size + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

void GgufWriter::text(std::string_view key, std::string_view value) {
  ++keys_;
  put_text(metadata_, key);
  put(metadata_, uint32_t{kText});
  put_text(metadata_, value);
}

void GgufWriter::number(std::string_view key, float value) {
  ++keys_;
  put_text(metadata_, key);
  put(metadata_, uint32_t{kFloat32});
  put(metadata_, value);
}

void GgufWriter::floats(std::string_view key, std::span<const float> values) {
  ++keys_;
  put_text(metadata_, key);
  put(metadata_, uint32_t{kList});
  put(metadata_, uint32_t{kFloat32});
  put(metadata_, uint64_t{values.size()});
  put_floats(metadata_, values);
}

void GgufWriter::matrix(std::string name, uint64_t rows, uint64_t columns,
                        std::vector<float> values) {
  matrices_.push_back({std::move(name), rows, columns, std::move(values)});
}

std::vector<uint8_t> GgufWriter::write() const {
  std::vector<uint8_t> out;
  put(out, kMagic);
  put(out, uint32_t{3});
  put(out, uint64_t{matrices_.size()});
  put(out, keys_);
  out.insert(out.end(), metadata_.begin(), metadata_.end());
  uint64_t offset = 0;
  for (const Matrix& one : matrices_) {
    put_text(out, one.name);
    put(out, uint32_t{2});
    put(out, one.columns);
    put(out, one.rows);
    put(out, uint32_t{GGML_TYPE_F32});
    put(out, offset);
    offset += aligned(one.values.size() * sizeof(float));
  }
  out.resize(aligned(out.size()));
  out.reserve(out.size() + offset);
  for (const Matrix& one : matrices_) {
    put_floats(out, one.values);
    out.resize(aligned(out.size()));
  }
  return out;
}

}  // namespace pie::model
