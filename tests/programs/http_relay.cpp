// Serves HTTP by asking somebody else: the URL is the request's X-Url header. The response's body
// goes on as it comes.
#include <pie/http.h>
#include <pie/inferlet.h>

void inferlet_http(inferlet::http::Request request, inferlet::http::Responder responder) {
  const auto url = inferlet::http::find(request.headers(), "x-url");
  inferlet::http::Call call;
  call.url = url.value_or("");
  auto response = inferlet::http::fetch(call);
  if (!response) return (void)responder.send(502, {}, response.error());
  auto writer = responder.start(response->status, {{"x-relayed", "yes"}});
  for (;;) {
    const auto piece = response->body.read();
    if (!piece || piece->empty()) break;
    if (!writer->write(*piece)) return;
  }
  (void)writer->finish();
}
