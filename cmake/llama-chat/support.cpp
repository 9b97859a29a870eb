// What the chat formats use of llama.cpp's common library, whose own source needs all of that
// library.
#include <stdexcept>

#include "common.h"
#include "log.h"

// Nothing is logged: what goes wrong is said by exceptions.
int common_log_get_verbosity_thold() { return -1; }
common_log* common_log_main() { return nullptr; }
void common_log_add(common_log*, ggml_log_level, const char*, ...) {}

std::string string_join(const std::vector<std::string>& values, const std::string& separator) {
  std::string joined;
  for (const std::string& value : values) {
    if (&value != &values.front()) joined += separator;
    joined += value;
  }
  return joined;
}

std::vector<std::string> string_split(const std::string& text, const std::string& delimiter) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t end; (end = text.find(delimiter, begin)) != std::string::npos;
       begin = end + delimiter.size())
    parts.push_back(text.substr(begin, end - begin));
  parts.push_back(text.substr(begin));
  return parts;
}

std::string string_repeat(const std::string& text, size_t count) {
  std::string repeated;
  while (count-- > 0) repeated += text;
  return repeated;
}

void string_replace_all(std::string& text, const std::string& from, const std::string& to) {
  if (from.empty()) return;
  std::string replaced;
  size_t begin = 0;
  for (size_t end; (end = text.find(from, begin)) != std::string::npos; begin = end + from.size())
    replaced.append(text, begin, end - begin).append(to);
  text = replaced.append(text, begin);
}

// Of models that libllama has loaded: the server's templates come with their texts.
std::string common_token_to_piece(const llama_vocab*, llama_token, bool) {
  throw std::logic_error("common_token_to_piece is left out");
}
llama_tokens common_tokenize(const llama_vocab*, const std::string&, bool, bool) {
  throw std::logic_error("common_tokenize is left out");
}
