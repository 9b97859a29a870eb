// Notes that outlive the program: the user's key-value store, with values of a type.
//
//   add TEXT     keeps a note, and returns its number
//   list         all notes as JSON
//   remove N     forgets one
//
// Notes are the user's: other programs of the same user see them, those of other users do not, also
// after a restart of the server.
#include <pie/inferlet.h>

#include <algorithm>

using namespace inferlet;

namespace {

struct Note {
  int64_t number;
  std::string text;
  static constexpr auto kFields =
      std::tuple(Field{"number", &Note::number}, Field{"text", &Note::text});
};
struct Notes {
  int64_t last = 0;  ///< number that was given
  std::vector<Note> notes;
  static constexpr auto kFields =
      std::tuple(Field{"last", &Notes::last}, Field{"notes", &Notes::notes});
};

constexpr std::string_view kKey = "std/kvs/notes";

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  const std::string command = arguments.empty() ? "" : arguments[0];
  Notes all = (co_await ok(kvs::get_as<Notes>(kKey))).value_or(Notes());
  if (command == "list" && arguments.size() == 1) co_return to_json(all.notes).text();
  if (command == "add" && arguments.size() == 2) {
    all.notes.push_back({++all.last, arguments[1]});
    kvs::set_as(kKey, all);
    co_return std::to_string(all.last);
  }
  if (command == "remove" && arguments.size() == 2) {
    const auto is_it = [&](const Note& one) { return std::to_string(one.number) == arguments[1]; };
    if (std::erase_if(all.notes, is_it) == 0)
      co_return fail("[remove] got '" + arguments[1] + "', expected the number of a note");
    kvs::set_as(kKey, all);
    co_return arguments[1];
  }
  co_return fail("[arguments] expected add TEXT, list, or remove N");
}
