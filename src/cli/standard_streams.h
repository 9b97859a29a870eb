#pragma once
#include <fmt/format.h>

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace pie::cli {

// Everything that a command reads from and writes to its standard streams goes through here.
// Nothing is buffered, and nothing is lost in silence: a reader that is slow is waited for, also
// where the stream is non-blocking, and what cannot be written is noted for settle().

enum class Stream { kOut = 1, kErr = 2 };
enum class Written {
  kWhole,
  kGivenUp,  ///< the caller did not want to wait longer
  kFailed,   ///< failure_of() says why
};

/// Asked about every 100 ms, and after signals, while a stream takes nothing: true ends the wait.
using GivesUp = std::function<bool()>;

/// To be called first of all: a stream that is closed becomes one that fails, so that no file of
/// ours gets its number; SIGPIPE and SIGXFSZ become errors of whoever writes.
void prepare_standard_streams();

/// Writes the whole text, whatever its bytes. A stream that failed once fails from then on.
Written write(Stream stream, std::string_view text, const GivesUp& gives_up = nullptr);
/// Writes to standard output what nobody need read: waits a second at most, and a failure is not
/// noted.
bool offer(std::string_view text);
/// errno of the stream's failure; 0: it did not fail.
int failure_of(Stream stream);
/// "[standard output] got: No space left on device".
Error failure_error(Stream stream);

/// Writes to standard output; false when it failed.
bool say_text(std::string_view text);
template <class... Args>
bool say(fmt::format_string<Args...> format, Args&&... args) {
  return say_text(fmt::format(format, std::forward<Args>(args)...));
}
/// Writes a remark of ours to standard error, as far as that goes. Escape sequences in what it
/// quotes are shown, not obeyed (printable_text()).
void complain(std::string_view text);
/// complain() with "pie NAME:" in front and a line break at the end.
void complain_as(const std::string& name, std::string_view text);

/// The exit code of a command that ends with `code`, once standard output is looked at: a failure
/// there is complained of and makes a success kExitFailed; a reader that has gone makes it
/// kExitReaderGone without a word.
int settle(const std::string& name, int code);

/// Standard input up to its end.
Result<std::string> read_standard_input();

}  // namespace pie::cli
