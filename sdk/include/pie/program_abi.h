#pragma once
// The imports of pie:program as the canonical ABI lowers them; see pie/abi.h.
#include "pie/abi.h"

namespace inferlet::abi {

#define PIE_SOURCE(name) PIE_IMPORT("pie:program/source@0.1.0", name)
PIE_SOURCE("bytes") void source_bytes(Bytes* out);
#undef PIE_SOURCE

#define PIE_CACHE(name) PIE_IMPORT("pie:program/cache@0.1.0", name)
PIE_CACHE("load") void cache_load(const char* key, uint32_t size, Option<Bytes>* out);
PIE_CACHE("store")
void cache_store(const char* key, uint32_t size, const char* value, uint32_t value_size,
                 TextResult* out);
#undef PIE_CACHE

}  // namespace inferlet::abi
