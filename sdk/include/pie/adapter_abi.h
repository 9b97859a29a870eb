#pragma once
// inferlet:adapter and inferlet:zo as the canonical ABI lowers them; see abi.h.
#include "pie/abi.h"

namespace inferlet::abi {

#define PIE_ADAPTER(name) PIE_IMPORT("inferlet:adapter/common", name)
PIE_ADAPTER("set-adapter") void set_adapter(Handle pass, uint32_t adapter);
PIE_ADAPTER("download-adapter")
Handle download_adapter(Handle queue, uint32_t adapter, const char* name, uint32_t size);
PIE_ADAPTER("upload-adapter")
void upload_adapter(Handle queue, uint32_t adapter, const char* name, uint32_t size, Handle blob);

#define PIE_EVOLVE(name) PIE_IMPORT("inferlet:zo/evolve", name)
PIE_EVOLVE("set-adapter-seed") void set_adapter_seed(Handle pass, int64_t seed);
PIE_EVOLVE("initialize-adapter")
void initialize_adapter(Handle queue, uint32_t adapter, uint32_t rank, float alpha,
                        uint32_t population_size, float mu_fraction, float initial_sigma);
PIE_EVOLVE("update-adapter")
void update_adapter(Handle queue, uint32_t adapter, const float* scores, uint32_t score_count,
                    const int64_t* seeds, uint32_t seed_count, float max_sigma);

#undef PIE_EVOLVE
#undef PIE_ADAPTER

}  // namespace inferlet::abi
