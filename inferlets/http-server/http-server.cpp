// An endpoint in the style of OpenAI's, as a program: chat completions, whole or as a stream of
// events, for clients that know nothing of this server.
//
//   POST /v1/chat/completions   model, messages, max_tokens, temperature, top_p, seed, stop, stream
//   GET  /v1/models
//
// Launched on a port (`pie submit --port 9000 -p std/http-server`). Each request is a fresh copy of
// the program. What it does not serve (tools, n, pictures) is refused by name.
#include <pie/http.h>
#include <pie/inferlet.h>

using namespace inferlet;

namespace {

struct Said {
  std::string role, content;
  static constexpr auto kFields =
      std::tuple(Field{"role", &Said::role}, Field{"content", &Said::content});
};
struct Asked {
  std::optional<std::string> model;
  std::vector<Said> messages;
  std::optional<uint32_t> max_tokens;
  std::optional<double> temperature, top_p;
  std::optional<int64_t> seed;
  std::optional<std::vector<std::string>> stop;
  std::optional<bool> stream;
  static constexpr auto kFields =
      std::tuple(Field{"model", &Asked::model}, Field{"messages", &Asked::messages},
                 Field{"max_tokens", &Asked::max_tokens}, Field{"temperature", &Asked::temperature},
                 Field{"top_p", &Asked::top_p}, Field{"seed", &Asked::seed},
                 Field{"stop", &Asked::stop}, Field{"stream", &Asked::stream});
};

Json error_of(std::string message) {
  return Json::Object{
      {"error", Json::Object{{"message", std::move(message)}, {"type", "invalid_request_error"}}}};
}

/// A completion, or a piece of one.
Json completion(std::string_view kind, const std::string& model, const char* part, Json said,
                Json finish_reason) {
  Json::Object choice{
      {"index", int64_t{0}}, {part, std::move(said)}, {"finish_reason", std::move(finish_reason)}};
  return Json::Object{{"id", "chatcmpl-" + instance_id()},
                      {"object", kind},
                      {"model", model},
                      {"choices", Json::Array{Json(std::move(choice))}}};
}

Result<void> send_json(http::Responder& responder, uint16_t status, const Json& json) {
  return responder.send(status, {{"content-type", "application/json"}}, json.text() + "\n");
}

struct Reply {
  Context context;
  Sampler sampler;
  Stop stop;
  size_t tokens_max, prompt_tokens;
  const char* reason() const {
    return context.size() - prompt_tokens >= tokens_max ? "length" : "stop";
  }
};

Result<Reply> prepared(const Asked& asked) {
  auto context =
      asked.model && !asked.model->empty() ? Context::create(*asked.model) : Context::create();
  if (!context) return fail(context.error());
  Conversation talk;
  for (const Said& one : asked.messages)
    talk.messages.push_back({one.role, one.content, {}, {}, {}, {}});
  const auto prompt = render(context->model(), talk);
  if (!prompt) return fail(prompt.error());
  if (auto filled = context->fill(prompt->text()); !filled) return fail(filled.error());
  if (context->room() == 0) return fail("[messages] got more tokens than the model's context has");
  std::vector<std::vector<uint32_t>> stops;
  for (const std::string& text : asked.stop.value_or(std::vector<std::string>()))
    stops.push_back(context->tokenizer().tokenize(text));
  const size_t most = std::min<size_t>(asked.max_tokens.value_or(256), context->room());
  const auto stop = Stop::max_len(most) | Stop::end_of_turn(context->model()) |
                    Stop::ends_with_any(std::move(stops));
  Sampler sampler = Sampler::top_p(static_cast<float>(asked.temperature.value_or(1.0)),
                                   static_cast<float>(asked.top_p.value_or(1.0)));
  if (asked.seed) sampler = sampler.with_seed(static_cast<uint64_t>(*asked.seed));
  const size_t size = context->size();
  return Reply{std::move(*context), sampler, stop, most, size};
}

void stream(http::Responder& responder, Reply& reply, const std::string& model) {
  auto writer = responder.start(200, {{"content-type", "text/event-stream"}});
  if (!writer) return;
  const auto event = [&](Json::Object delta, Json reason) {
    (void)writer->write(
        "data: " +
        completion("chat.completion.chunk", model, "delta", std::move(delta), std::move(reason))
            .text() +
        "\n\n");
  };
  event({{"role", "assistant"}}, {});
  const auto said = reply.context.generate(
      reply.sampler, reply.stop, [&](std::string_view piece) { event({{"content", piece}}, {}); });
  if (!said) {  // the head is gone: the error is an event of its own
    (void)writer->write("data: " + error_of(said.error()).text() + "\n\n");
  } else {
    event({}, reply.reason());
  }
  (void)writer->write("data: [DONE]\n\n");
  (void)writer->finish();
}

}  // namespace

void inferlet_http(http::Request request, http::Responder responder) {
  if (request.method() == "GET" && request.target() == "/v1/models") {
    Json::Array models;
    for (const std::string& name : all_models())
      models.emplace_back(Json::Object{{"id", name}, {"object", "model"}});
    (void)send_json(responder, 200, Json::Object{{"object", "list"}, {"data", std::move(models)}});
    return;
  }
  if (request.method() != "POST" || request.target() != "/v1/chat/completions")
    return (void)send_json(responder, 404,
                           error_of("[path] got " + request.target() +
                                    ", expected /v1/chat/completions or /v1/models"));
  const auto refuse = [&](const std::string& why) {
    (void)send_json(responder, 400, error_of(why));
  };
  const auto body = request.body().read_all();
  if (!body) return refuse(body.error());
  const auto json = Json::parse(*body);
  if (!json) return refuse(json.error());
  const auto asked = from_json<Asked>(*json, "body");
  if (!asked) return refuse(asked.error());
  auto reply = prepared(*asked);
  if (!reply) return refuse(reply.error());
  const std::string model = reply->context.model().name();
  if (asked->stream.value_or(false)) return stream(responder, *reply, model);
  const auto text = reply->context.generate(reply->sampler, reply->stop);
  if (!text) return (void)send_json(responder, 500, error_of(text.error()));
  const auto count = static_cast<int64_t>(reply->context.size() - reply->prompt_tokens);
  const auto prompt_count = static_cast<int64_t>(reply->prompt_tokens);
  Json::Object whole =
      *completion("chat.completion", model, "message",
                  Json::Object{{"role", "assistant"}, {"content", *text}}, reply->reason())
           .object();
  whole.emplace_back("usage", Json::Object{{"prompt_tokens", prompt_count},
                                           {"completion_tokens", count},
                                           {"total_tokens", prompt_count + count}});
  (void)send_json(responder, 200, Json(std::move(whole)));
}
