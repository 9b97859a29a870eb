// The export of a program that serves HTTP; it is linked in place of run_entry.cc.
#include <cstdio>

#include "pie/http.h"

/// wasi:http/incoming-handler
extern "C" __attribute__((export_name("wasi:http/incoming-handler@0.2.4#handle"))) void
inferlet_handle(inferlet::abi::Handle request, inferlet::abi::Handle response_out) {
  inferlet_http(inferlet::http::Request(request), inferlet::http::Responder(response_out));
  std::fflush(stdout);
  std::fflush(stderr);
}
