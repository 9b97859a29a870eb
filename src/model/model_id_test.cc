#include "model/model_id.h"

#include <gtest/gtest.h>

namespace pie::model {
namespace {

TEST(ModelIdTest, file_name_without_quantisation) {
  const auto id = [](const char* name) { return short_model_id(name, {}); };
  EXPECT_EQ(id("/x/SmolLM2-135M-Instruct.Q4_1.gguf"), "smollm2-135m-instruct");
  EXPECT_EQ(id("Llama-3.2-1B-Instruct-Q4_K_M.gguf"), "llama-3.2-1b-instruct");
  EXPECT_EQ(id("Qwen2.5-0.5B-Instruct-IQ3_XXS.gguf"), "qwen2.5-0.5b-instruct");
  EXPECT_EQ(id("gemma-3-1b-it-UD-Q2_K_XL.gguf"), "gemma-3-1b-it");
  EXPECT_EQ(id("tinyllama.BF16.gguf"), "tinyllama");
  EXPECT_EQ(id("stories260K.gguf"), "stories260k");
  EXPECT_EQ(id("my model (v2)-f16.gguf"), "my-model-v2");
  EXPECT_EQ(id("Big-70B-Q8_0-00001-of-00003.gguf"), "big-70b");
}

TEST(ModelIdTest, empty_file_names_give_way_to_metadata) {
  const NameParts parts = {"Some Name", "Base", "135M", "Instruct"};
  EXPECT_EQ(short_model_id("model.gguf", parts), "base-135m-instruct");
  EXPECT_EQ(short_model_id("ggml-model-q4_0.gguf", {"Some Name", "", "", ""}), "some-name");
  EXPECT_EQ(short_model_id("sha256-0123456789abcdef0123456789abcdef0123456789abcdef", parts),
            "base-135m-instruct");
  EXPECT_EQ(short_model_id("model.gguf", {}), "model");
  EXPECT_EQ(short_model_id(std::string(5000, 'x') + ".gguf", {}).size(), 200U);
}

}  // namespace
}  // namespace pie::model
