// Low-rank adapters of random weights: our executors, which read the file that llama.cpp reads,
// against llama.cpp's own application of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <span>

#include "model/adapter_file.h"
#include "model/architecture.h"
#include "numerics/compare.h"
#include "numerics/gguf_types.h"
#include "numerics/reference.h"
#include "numerics/subject.h"
#include "numerics/twenty_prompts.h"
#include "support/random_adapter.h"
#include "support/test_model.h"
#include "support/tiny_gguf.h"

namespace pie::test {
namespace {

class AdapterNumericsTest : public ::testing::TestWithParam<ExecutorKind> {};
INSTANTIATE_TEST_SUITE_P(Executors, AdapterNumericsTest, ::testing::ValuesIn(executor_kinds()),
                         kind_name);

void write(const std::filesystem::path& path, std::span<const uint8_t> bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

/// A random adapter as a file, and as we read it.
class AdapterOnDisk {
 public:
  AdapterOnDisk(const model::Architecture& architecture, const AdapterShape& shape,
                ggml_type type = GGML_TYPE_F32)
      : file_("adapter.gguf"), wide_("adapter.gguf") {
    write(file_.path(),
          model::write_adapter(*random_adapter(architecture, shape), architecture, "random"));
    if (type == GGML_TYPE_F16) write_tensors_as(type, file_.path(), file_.path());
    std::ifstream in(file_.path(), std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
    const auto opened =
        model::AdapterFile::open(std::as_bytes(std::span(bytes)), architecture).value();
    const auto work = opened.start_load();
    while (work->advance().value()) {
    }
    adapter_ = model::seal(work->take());
    write(wide_.path(), model::write_adapter(*adapter_, architecture, "random"));
  }

  const std::filesystem::path& path() const { return file_.path(); }
  /// The same numbers in a file of F32.
  const std::filesystem::path& f32_path() const { return wide_.path(); }
  const model::AdapterRef& adapter() const { return adapter_; }

 private:
  TempFile file_, wide_;
  model::AdapterRef adapter_;
};

TEST_P(AdapterNumericsTest, logits_of_tiny_models_are_the_references) {
  for (const char* family : {"llama", "qwen2", "qwen3", "gemma2", "gemma3"}) {
    for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_Q8_0}) {
      SCOPED_TRACE(family);
      TempFile file("tiny.gguf");
      TinyGguf({.family = family, .heads = 4, .kv_heads = 2, .matrix_type = type})
          .write(file.path());
      const auto model = model::Model::load(file.path()).value();
      const AdapterOnDisk disk(model->architecture(),
                               {.rank = 3, .strength = 0.3F, .skips_some = type == GGML_TYPE_Q8_0});
      Subject subject(GetParam(), model,
                      {.page_count = 32, .step_tokens_max = 64, .thread_count = 1});
      Reference reference(file.path(), 256, 1, ReferenceKernels::kPlain);
      std::vector<int32_t> ids;
      for (int32_t i = 0; i < 40; ++i) ids.push_back((i * 37 + 11) % 257);
      const std::vector<float> plain = reference.prefill(ids, 1);
      reference.set_adapter(disk.path());
      Subject::Sequence sequence{.adapter = disk.adapter()};
      const float tolerance =
          type == GGML_TYPE_F32 ? GetParam().tiny_tolerance : GetParam().tiny_quantised_tolerance;
      const std::vector<float> expected = reference.prefill(ids, 1);
      const Difference prefill = difference(subject.append(sequence, ids, 1), expected);
      EXPECT_LE(prefill.largest, tolerance * magnitude(expected));
      const std::vector<int32_t> next = {5};
      const std::vector<float> after = reference.decode(5);
      const Difference decode = difference(subject.append(sequence, next, 1), after);
      EXPECT_LE(decode.largest, tolerance * magnitude(after));
      EXPECT_GT(difference(plain, expected).largest, 0.05F * magnitude(expected))
          << "the adapter does something";
      std::printf("%s %s: prefill %.5f decode %.5f of %.1f\n", family, ggml_type_name(type),
                  static_cast<double>(prefill.largest), static_cast<double>(decode.largest),
                  static_cast<double>(magnitude(expected)));
    }
  }
}

/// Two adapters of the default model, in the types that files have.
const AdapterOnDisk& some_adapter(size_t index) {
  static const AdapterOnDisk adapters[] = {
      {default_model()->architecture(), {.rank = 8, .strength = 0.2F, .alpha = 16}},
      {default_model()->architecture(),
       {.rank = 16, .seed = 2, .strength = 0.2F, .alpha = 8, .skips_some = true},
       GGML_TYPE_F16}};
  return adapters[index];
}

Subject make_subject(const ExecutorKind& kind) {
  return {kind, default_model(), {.page_count = 128, .step_tokens_max = 512, .thread_count = 1}};
}

TEST_P(AdapterNumericsTest, logits_of_the_default_model_are_the_references) {
  Reference reference(model_path(), 512, 1);
  std::vector<int32_t> ids = ids_of(*default_model(), twenty_prompts()[17].text);
  ids.resize(96);
  const std::vector<float> plain = reference.prefill(ids, 40);
  for (const size_t index : {0U, 1U}) {
    const AdapterOnDisk& disk = some_adapter(index);
    reference.set_adapter(disk.path());
    const std::vector<float> as_in_file = reference.prefill(ids, 40);
    reference.set_adapter(disk.f32_path());
    Subject subject = make_subject(GetParam());
    Subject::Sequence sequence{.adapter = disk.adapter()};
    const std::vector<float> expected = reference.prefill(ids, 40);
    const Difference prefill = difference(subject.append(sequence, ids, 40), expected);
    const Difference effect = difference(plain, expected);
    const Difference of_type = difference(as_in_file, expected);
    Difference decode;
    for (int i = 0; i < 6; ++i) {  // forced tokens: both sides see the same
      const int32_t token = ids[static_cast<size_t>(i)];
      decode.take_worse(
          difference(subject.append(sequence, {&token, 1}, 1), reference.decode(token)));
    }
    std::printf(
        "%s, adapter %zu: prefill max %.4f rms %.4f, decode max %.4f rms %.4f; the reference with "
        "the file's type: max %.4f rms %.4f; what the adapter changes: max %.4f rms %.4f\n",
        GetParam().name, index, static_cast<double>(prefill.largest), prefill.rms,
        static_cast<double>(decode.largest), decode.rms, static_cast<double>(of_type.largest),
        of_type.rms, static_cast<double>(effect.largest), effect.rms);
    EXPECT_LE(prefill.largest, GetParam().logit_tolerance);
    EXPECT_LE(decode.largest, GetParam().logit_tolerance);
    EXPECT_LE(of_type.largest, kAdapterTypeTolerance);
    EXPECT_LT(4 * prefill.rms, effect.rms) << "what is compared is what the adapter does";
  }
}

/// The first six prompts under one adapter, the other and none, decoded in one batch: each text is
/// the reference's by the margin rule, and each row of logits what its sequence has alone.
TEST_P(AdapterNumericsTest, rows_under_different_adapters_share_a_step) {
  constexpr size_t kCount = 6;
  constexpr size_t kTokens = 16;
  const bool has_equal_bits = GetParam().name == std::string_view("native");
  const size_t vocab = default_model()->info().vocab_size;
  Reference reference(model_path(), 512, 1);
  Subject together = make_subject(GetParam());
  Subject alone = make_subject(GetParam());
  std::vector<Subject::Sequence> sequences(kCount), twins(kCount);
  std::vector<std::vector<ReferenceStep>> references;
  std::vector<std::vector<int32_t>> texts(kCount);
  for (size_t i = 0; i < kCount; ++i) {
    const bool is_plain = i % 3 == 2;
    reference.set_adapter(is_plain ? std::filesystem::path() : some_adapter(i % 3).f32_path());
    sequences[i].adapter = twins[i].adapter = is_plain ? nullptr : some_adapter(i % 3).adapter();
    const std::vector<int32_t> ids = ids_of(*default_model(), twenty_prompts()[i].text);
    references.push_back(reference.greedy(ids, kTokens));
    const std::vector<float> first = together.append(sequences[i], ids, 1);
    alone.append(twins[i], ids, 1);
    texts[i].push_back(best_two(first).token);
  }
  Difference to_alone;
  while (texts[0].size() < kTokens) {
    std::vector<Subject::Part> parts;
    for (size_t i = 0; i < kCount; ++i) parts.push_back({&sequences[i], {&texts[i].back(), 1}});
    const std::vector<float> logits = together.step(parts, 1);
    for (size_t i = 0; i < kCount; ++i) {
      const auto row = std::span(logits).subspan(i * vocab, vocab);
      if (texts[i].size() < 4)
        to_alone.take_worse(difference(row, alone.append(twins[i], {&texts[i].back(), 1}, 1)));
      texts[i].push_back(best_two(row).token);
    }
  }
  EXPECT_LE(to_alone.largest, has_equal_bits ? 0.0F : kLogitTolerance);
  size_t equal = 0;
  for (size_t i = 0; i < kCount; ++i) {
    const auto d = first_divergence(texts[i], references[i]);
    equal += !d.has_value();
    if (!d) continue;
    std::printf("%-16s differs at step %zu, margin %.4f\n", twenty_prompts()[i].kind.c_str(),
                d->step, static_cast<double>(d->reference.margin));
    EXPECT_FALSE(d->is_error()) << twenty_prompts()[i].kind << " differs at a clear margin";
  }
  std::printf("%s: %zu of %zu texts equal; a row beside others and alone: max %.4f rms %.4f\n",
              GetParam().name, equal, kCount, static_cast<double>(to_alone.largest), to_alone.rms);
  EXPECT_GE(equal, kCount / 2) << "the rule excuses single tokens, not most of them";
}

}  // namespace
}  // namespace pie::test
