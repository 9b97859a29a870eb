#pragma once
#include <cstdint>

namespace pie {

// Every bound of a server that an operator can set is declared here, once, and passed whole to who
// holds it. server/settings.cc gives each its key and help; docs/STATUS.md lists what is charged to
// whom. 0 = unlimited where the comment says so.

/// Of one instance (inferlet-host.md, section 3).
struct InstanceLimits {
  uint64_t memory_bytes_max = 512ULL << 20;  ///< linear memories together
  uint64_t cpu_ns_max = 0;                   ///< CPU time in all; 0 = unlimited
  uint32_t handles_max = 100'000;            ///< live host objects
  uint32_t children_max = 256;               ///< instances that it has launched and that live
  uint64_t output_bytes_max = 256ULL << 20;  ///< stdout, stderr, messages and blobs together
  uint64_t log_bytes_max = 64ULL << 20;      ///< said and not yet delivered: more waits
  uint64_t mailbox_bytes_max = 2ULL << 30;   ///< sent to it and not yet received
  uint64_t blob_bytes_max = 16ULL << 20;     ///< one blob from the instance
  uint32_t kv_pages_max = 0;                 ///< 0 = the pool
  uint32_t child_generations_max = 4;        ///< below an instance that a client launched
  uint64_t host_bytes_max = 256ULL << 20;    ///< what the host keeps for it: blobs, passes, results
  uint64_t message_bytes_max = 16ULL << 20;  ///< one message, the return value
  uint64_t text_bytes_max = 1ULL << 20;      ///< one broadcast, or text to tokenize or render
  uint64_t kvs_key_bytes_max = 1024;
  uint64_t kvs_value_bytes_max = 1ULL << 20;
  uint32_t queues_max = 16'384;      ///< live engine queues
  uint32_t subscriptions_max = 256;  ///< live ones
};

/// Of all that one user has; 0 = unlimited. `internal` has none of them.
struct UserLimits {
  uint32_t instances_max = 8'192;            ///< that run
  uint64_t memory_bytes_max = 0;             ///< linear memories of instances that run
  uint64_t host_bytes_max = 4ULL << 30;      ///< what the server's memory holds for them
  uint64_t cpu_s_per_hour_max = 0;           ///< programs and work on their behalf
  uint32_t kv_pages_max = 0;                 ///< of instances and exports
  uint64_t output_bytes_per_hour_max = 0;    ///< said
  uint64_t log_bytes_max = 4ULL << 30;       ///< logs not yet delivered, arguments of instances
  uint64_t program_bytes_max = 4ULL << 30;   ///< programs uploaded and their manifests
  uint64_t kvs_bytes_max = 1ULL << 30;       ///< keys and values that programs keep
  uint64_t spool_bytes_max = 8ULL << 30;     ///< uploads and blobs that wait on disk
  uint32_t connections_max = 1'024;          ///< signed in
  uint64_t receive_bytes_max = 64ULL << 20;  ///< of messages that are still coming: more waits
  uint32_t http_calls_max = 256;             ///< requests of programs to others that are under way
};

/// Of all users together, `internal` included; 0 = by the machine.
struct TotalLimits {
  uint64_t memory_bytes_max = 0;   ///< linear memories and what the server's memory holds for users
  uint64_t receive_bytes_max = 0;  ///< of messages that are still coming: more waits
};

/// Of one server; each has a clear error when it is met.
struct ServerLimits {
  InstanceLimits instance;
  UserLimits user;
  TotalLimits total;
  uint64_t frame_bytes_max = 16ULL << 20;
  uint64_t program_bytes_max = 256ULL << 20;   ///< one program
  uint64_t blob_bytes_max = 1ULL << 30;        ///< one blob from a client
  uint32_t requests_pending_max = 1'024;       ///< of one connection
  uint32_t uploads_pending_max = 32;           ///< unfinished, of one connection
  uint64_t outbox_bytes_max = 64ULL << 20;     ///< of one connection
  uint32_t connections_max = 4'096;            ///< more wait in the kernel's queue
  uint32_t strangers_per_address_max = 1'024;  ///< connections that have not signed in
  uint64_t identify_s = 30;                    ///< a connection signs in so fast, or is closed
  uint64_t ping_interval_s = 20;               ///< a client silent for three is taken for gone
  uint32_t http_calls_max = 1'024;             ///< requests of programs to others, under way
  uint64_t http_unread_s_max = 120;            ///< a response that its program does not read
  uint32_t http_connections_max = 256;         ///< of one HTTP instance; more wait
  uint64_t http_header_bytes_max = 32ULL << 10;
  uint64_t http_body_bytes_max = 64ULL << 20;       ///< of one request to an HTTP instance
  uint64_t http_header_s_max = 10;                  ///< a request's header comes within
  uint64_t http_request_s_max = 300;                ///< one request's program runs so long
  uint64_t compiled_disk_bytes_max = 4ULL << 30;    ///< compiled programs in the cache folder
  uint64_t compiled_memory_bytes_max = 1ULL << 30;  ///< programs kept ready, by their wasm's size
  uint64_t disk_reserve_bytes = 0;    ///< of PIE_HOME's disk; 0 = by the disk; 1 = none
  uint64_t grace_s = 600;             ///< an attached launch that lost its client goes on so long
  uint64_t finished_kept_s = 86'400;  ///< an end that nobody fetched is kept so long
};

}  // namespace pie
