#include "numerics/gguf_types.h"

#include <ggml-cpp.h>
#include <gguf.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace pie::test {
namespace {

std::vector<float> values_of(const ggml_tensor& t) {
  std::vector<float> values(static_cast<size_t>(ggml_nelements(&t)));
  if (t.type == GGML_TYPE_F32) {
    std::copy_n(static_cast<const float*>(t.data), values.size(), values.begin());
  } else {
    ggml_get_type_traits(t.type)->to_float(t.data, values.data(), ggml_nelements(&t));
  }
  return values;
}

}  // namespace

void write_tensors_as(ggml_type type, const std::filesystem::path& from,
                      const std::filesystem::path& to) {
  ggml_context* read = nullptr;
  const gguf_context_ptr source(gguf_init_from_file(from.c_str(), {false, &read}));
  const ggml_context_ptr tensors(read);
  const gguf_context_ptr target(gguf_init_empty());
  gguf_set_kv(target.get(), source.get());
  size_t bytes = 0;
  for (ggml_tensor* t = ggml_get_first_tensor(read); t; t = ggml_get_next_tensor(read, t)) {
    bytes +=
        static_cast<size_t>(ggml_nelements(t)) * ggml_type_size(type) + ggml_tensor_overhead() + 64;
  }
  const ggml_context_ptr written(ggml_init({bytes, nullptr, false}));
  for (int64_t i = 0; i < gguf_get_n_tensors(source.get()); ++i) {
    const ggml_tensor* t = ggml_get_tensor(read, gguf_get_tensor_name(source.get(), i));
    ggml_tensor* out = ggml_new_tensor(written.get(), type, ggml_n_dims(t), t->ne);
    ggml_set_name(out, t->name);
    const std::vector<float> values = values_of(*t);
    if (type == GGML_TYPE_F16) {
      ggml_fp32_to_fp16_row(values.data(), static_cast<ggml_fp16_t*>(out->data), ggml_nelements(t));
    } else {
      std::copy(values.begin(), values.end(), static_cast<float*>(out->data));
    }
    gguf_add_tensor(target.get(), out);
  }
  ASSERT_TRUE(gguf_write_to_file(target.get(), to.c_str(), false));
}

}  // namespace pie::test
