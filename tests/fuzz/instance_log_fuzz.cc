#include <fstream>

#include "fuzz.h"
#include "store/instance_log_file.h"

/// A log file as a crash (or worse) left it: what is read lies within the file, and what is written
/// afterwards is there at the next opening.
void pie::fuzz::fuzz(std::string_view input) {
  const MemoryFile file(input);
  uint64_t seq = 0;
  size_t before = 0;
  {
    auto log = store::InstanceLogFile::open(file.path());
    MUST(log.ok());
    for (const auto& one : (*log)->records()) {
      const auto bytes = (*log)->read(one.payload_offset, one.payload_bytes);
      MUST(bytes.ok() && bytes->size() == one.payload_bytes);
    }
    before = (*log)->records().size();
    if ((*log)->last_seq() == UINT64_MAX) return;
    seq = (*log)->last_seq() + 1;
    MUST((*log)->append({.seq = seq}, "said after the crash").ok());
  }
  auto log = store::InstanceLogFile::open(file.path());
  MUST(log.ok() && (*log)->records().size() == before + 1);
  const auto& last = (*log)->records().back();
  MUST(last.seq == seq);
  MUST(*(*log)->read(last.payload_offset, last.payload_bytes) == "said after the crash");
}
