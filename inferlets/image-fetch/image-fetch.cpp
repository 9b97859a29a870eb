// Fetches a picture over HTTP and says what it is. Where a program may go is the operator's to say
// (`http_allow`). No model here takes pictures as input: one that asks for that gets an error.
//
//   --url, -u       http or https (required)
//   --bytes-max     of the picture (default 8 MiB)
//   --describe      ask the model what is in it: fails, with the reason
//
// Returns JSON: `type`, `width`, `height`, `bytes`.
#include <pie/http.h>
#include <pie/inferlet.h>

using namespace inferlet;

namespace {

struct Picture {
  const char* type;
  int64_t width, height;
};

/// A number of bytes that begin at `at`, the greatest first.
int64_t big(std::string_view data, size_t at, size_t count) {
  int64_t number = 0;
  for (const char one : data.substr(at, count)) number = number << 8 | static_cast<uint8_t>(one);
  return number;
}

/// The frame header of a JPEG, behind segments that each say how long they are.
Result<Picture> jpeg(std::string_view data) {
  for (size_t at = 2; at + 9 < data.size() && data[at] == '\xFF';) {
    const auto marker = static_cast<uint8_t>(data[at + 1]);
    const bool is_frame =
        marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
    if (is_frame) return Picture{"image/jpeg", big(data, at + 7, 2), big(data, at + 5, 2)};
    at += 2 + static_cast<size_t>(big(data, at + 2, 2));
  }
  return fail("[picture] got a JPEG without a frame");
}

Result<Picture> recognized(std::string_view data) {
  if (data.starts_with("\x89PNG\r\n\x1A\n") && data.size() >= 24)
    return Picture{"image/png", big(data, 16, 4), big(data, 20, 4)};
  if ((data.starts_with("GIF87a") || data.starts_with("GIF89a")) && data.size() >= 10)
    return Picture{"image/gif", big(data, 7, 1) << 8 | big(data, 6, 1),
                   big(data, 9, 1) << 8 | big(data, 8, 1)};
  if (data.starts_with("\xFF\xD8")) return jpeg(data);
  return fail("[picture] got " + std::to_string(data.size()) +
              " bytes of another kind, expected PNG, JPEG or GIF");
}

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string url;
  int64_t bytes_max = 8 << 20;
  bool describe = false;
  ArgumentParser parser;
  parser.text("url", 'u', &url)
      .number("bytes-max", 0, &bytes_max, 1)
      .option("describe", 0, &describe);
  co_await ok(parser.parse(arguments));
  if (describe)
    co_return fail("[--describe] got a picture, expected text: no model here takes pictures");

  auto response = co_await http::fetch({.url = url, .headers = {}, .body = {}});
  if (!response) co_return fail("[--url] " + url + ": " + response.error());
  if (response->status != 200)
    co_return fail("[--url] " + url + ": got status " + std::to_string(response->status));
  const std::string data = co_await ok(response->body.read_all(static_cast<uint64_t>(bytes_max)));
  const Picture picture = co_await ok(recognized(data));
  co_return Json(Json::Object{{"type", picture.type},
                              {"width", picture.width},
                              {"height", picture.height},
                              {"bytes", static_cast<int64_t>(data.size())}})
      .text();
}
