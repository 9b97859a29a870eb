// Hostile: takes memory, and uses it, until none is given; then it dies of it.
#include <pie/inferlet.h>

#include <cstdlib>

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& /*arguments*/) {
  constexpr size_t kPiece = 1 << 20;
  for (;;) {
    auto* piece = static_cast<volatile char*>(std::malloc(kPiece));
    if (piece == nullptr) std::abort();
    for (size_t i = 0; i < kPiece; i += 4096) piece[i] = 1;
  }
}
