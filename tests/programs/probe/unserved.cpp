// Interfaces that programs may import and servers may not serve: one call of each kind.
#include "probe.h"

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
