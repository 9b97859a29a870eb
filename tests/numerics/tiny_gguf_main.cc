// pie_tiny_gguf FAMILY NAME FOLDER [SHARDS | KEY=TEXT...]
//
// Writes FOLDER/NAME.gguf, or that many shards of it: a model of random weights, the same on every
// run, for tests in other languages; keys get these texts (or truth values, "true" and "false").
// Prints the path (of the first shard).
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>

#include "support/tiny_gguf.h"

int main(int argc, char** argv) {
  if (argc < 4) {
    std::cerr << "usage: pie_tiny_gguf FAMILY NAME FOLDER [SHARDS | KEY=TEXT...]\n";
    return 2;
  }
  try {
    const std::filesystem::path folder = argv[3];
    pie::test::TinyShape shape{.family = argv[1], .name = argv[2]};
    if (shape.is_gemma()) shape.window = 24;
    pie::test::TinyGguf tiny(shape);
    if (argc == 5 && std::string_view(argv[4]).find('=') == std::string_view::npos) {
      std::cout << tiny.write_shards(folder, argv[2], std::atoi(argv[4])).at(0).string() << "\n";
      return 0;
    }
    for (int i = 4; i < argc; ++i) {
      const std::string pair = argv[i];
      const size_t equals = pair.find('=');
      const std::string key = pair.substr(0, equals), value = pair.substr(equals + 1);
      if (value == "true" || value == "false")
        gguf_set_val_bool(tiny.gguf(), key.c_str(), value == "true");
      else
        tiny.set_text(key, value);
    }
    const auto path = folder / (std::string(argv[2]) + ".gguf");
    tiny.write(path);
    std::cout << path.string() << "\n";
  } catch (const std::exception& e) {
    std::cerr << "pie_tiny_gguf: " << e.what() << "\n";
    return 1;
  }
  return 0;
}
