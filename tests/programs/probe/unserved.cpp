// Interfaces that programs may import and servers may not serve: one call of each kind.
#include "probe.h"

PIE_IMPORT("inferlet:adapter/common", "set-adapter")
void set_adapter(int32_t pass, uint32_t adapter);
PIE_IMPORT("inferlet:adapter/common", "download-adapter")
int32_t download_adapter(int32_t queue, uint32_t adapter, const char* name, uint32_t size);
PIE_IMPORT("inferlet:adapter/common", "upload-adapter")
void upload_adapter(int32_t queue, uint32_t adapter, const char* name, uint32_t size, int32_t blob);
PIE_IMPORT("inferlet:zo/evolve", "set-adapter-seed")
void set_adapter_seed(int32_t pass, int64_t seed);
PIE_IMPORT("inferlet:zo/evolve", "initialize-adapter")
void initialize_adapter(int32_t queue, uint32_t adapter, uint32_t rank, float alpha,
                        uint32_t population, float mu_fraction, float initial_sigma);
PIE_IMPORT("inferlet:zo/evolve", "update-adapter")
void update_adapter(int32_t queue, uint32_t adapter, const float* scores, uint32_t score_count,
                    const int64_t* seeds, uint32_t seed_count, float max_sigma);
PIE_IMPORT("inferlet:image/image", "embed-image")
void embed_image(int32_t queue, const uint32_t* slots, uint32_t slot_count, const uint8_t* image,
                 uint32_t size, uint32_t position_offset);
PIE_IMPORT("inferlet:image/image", "calculate-embed-size")
uint32_t calculate_embed_size(int32_t queue, uint32_t width, uint32_t height);
PIE_IMPORT("inferlet:actor/common", "[constructor]global-context")
int32_t global_context_new(const char* uid, uint32_t size);

namespace probe {
namespace {

constexpr Entry kCommands[] = {
    {"adapter", [](State& state, Words&) { return set_adapter(state.passes.get(), 0), ok(); }},
    {"adapter-download",
     [](State& state, Words&) {
       return ok(std::to_string(download_adapter(state.queues.get(), 0, "a", 1)));
     }},
    {"adapter-upload",
     [](State& state, Words&) {
       return upload_adapter(state.queues.get(), 0, "a", 1, state.blobs.take()), ok();
     }},
    {"zo-seed",
     [](State& state, Words&) { return set_adapter_seed(state.passes.get(), -1), ok(); }},
    {"zo-init",
     [](State& state, Words&) {
       return initialize_adapter(state.queues.get(), 0, 8, 16.0F, 4, 0.5F, 0.1F), ok();
     }},
    {"zo-update",
     [](State& state, Words&) {
       const float score = 1.0F;
       const int64_t seed = 7;
       return update_adapter(state.queues.get(), 0, &score, 1, &seed, 1, 0.1F), ok();
     }},
    {"image-embed",
     [](State& state, Words&) {
       const uint32_t slot = 0;
       const uint8_t image = 0;
       return embed_image(state.queues.get(), &slot, 1, &image, 1, 0), ok();
     }},
    {"image-size",
     [](State& state, Words&) {
       return ok(std::to_string(calculate_embed_size(state.queues.get(), 64, 64)));
     }},
    {"actor", [](State&, Words&) { return ok(std::to_string(global_context_new("x", 1))); }},
};

}  // namespace

std::span<const Entry> unserved_commands() { return kCommands; }

}  // namespace probe
