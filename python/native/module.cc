#include <nanobind/nanobind.h>
#include <nanobind/stl/function.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <chrono>
#include <memory>
#include <unordered_map>
#include <utility>

#include "client/client.h"
#include "client/recovery.h"
#include "crypto/blake3.h"
#include "crypto/private_key.h"
#include "native/completions.h"

namespace pie::python {
namespace {

using client::CallId;
using client::Instance;
using client::UploadSource;
using CompletionsRef = std::shared_ptr<Completions>;

std::chrono::milliseconds milliseconds(double seconds) {
  return std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
}

/// Reads the bytes where Python keeps them (bytes, bytearray, a contiguous memoryview); the buffer
/// is held until the last reader is done.
UploadSource buffer_source(nb::handle object) {
  auto* buffer = new Py_buffer;
  if (PyObject_GetBuffer(object.ptr(), buffer, PyBUF_SIMPLE) != 0) {
    delete buffer;
    throw nb::python_error();
  }
  const std::span span(static_cast<const uint8_t*>(buffer->buf), static_cast<size_t>(buffer->len));
  return client::borrowed_source(span, std::shared_ptr<void>(buffer, [](void* held) {
                                   if (!interpreter_is_alive()) return;
                                   const nb::gil_scoped_acquire gil;
                                   PyBuffer_Release(static_cast<Py_buffer*>(held));
                                   delete static_cast<Py_buffer*>(held);
                                 }));
}

/// A path's file, read in pieces, or the bytes of anything else.
Result<UploadSource> upload_source(nb::handle from) {
  if (nb::isinstance<nb::str>(from)) return client::file_source(nb::cast<std::string>(from));
  return buffer_source(from);
}

/// An instance with the queue that its completions go to.
class PyInstance {
 public:
  PyInstance(Instance instance, CompletionsRef completions)
      : instance_(std::move(instance)), completions_(std::move(completions)) {}

  const std::string& id() const { return instance_.id(); }

  /// (code, text or bytes), an ErrorInfo, or None.
  nb::object try_recv() {
    std::optional<Result<protocol::ClientEvent>> event = instance_.events().try_pop();
    if (!event) return nb::none();
    if (!event->ok()) return nb::cast(error_info(event->error()));
    const protocol::ClientEvent& e = **event;
    const int code = static_cast<int>(e.code);
    if (e.code == protocol::EventCode::kBlob) {
      return nb::make_tuple(code, nb::bytes(e.data.data(), e.data.size()));
    }
    return nb::make_tuple(code, nb::str(e.data.data(), e.data.size()));
  }

  uint64_t notify() {
    const uint64_t token = completions_->next_token();
    const nb::gil_scoped_release unlocked;
    const uint64_t waiter = instance_.events().when_ready(
        [completions = completions_, token] { completions->push(token, std::monostate{}); });
    if (waiter != 0) waiters_[token] = waiter;
    return token;
  }

  void forget(uint64_t token) {
    auto node = waiters_.extract(token);
    if (!node.empty()) instance_.events().forget(node.mapped());
  }

  const Instance& get() const { return instance_; }

 private:
  Instance instance_;
  CompletionsRef completions_;
  std::unordered_map<uint64_t, uint64_t> waiters_;
};

/// The client as Python drives it: every call returns a token, and the end of the call comes out of
/// take() under that token.
class PyClient {
 public:
  PyClient(std::string uri, double connect_timeout, double silence_timeout, std::string ca_file,
           nb::object wake)
      : completions_(std::make_shared<Completions>(std::move(wake))),
        client_(std::make_unique<client::Client>(
            client::ClientOptions{std::move(uri), milliseconds(connect_timeout),
                                  milliseconds(silence_timeout), std::move(ca_file)})) {}

  ~PyClient() {
    if (!client_) return;  // abandoned
    completions_->detach();
    close();
  }

  /// In the child of a fork: the client's thread and its locks are the parent's.
  void abandon() { (void)client_.release(); }

  void close() {
    const nb::gil_scoped_release unlocked;
    client_->close();
  }

  uint64_t connect() {
    return start<void>([&](auto done) { return client_->connect(std::move(done)); });
  }
  uint64_t authenticate(std::string username, client::KeyRef key) {
    return start<void>([&](auto done) {
      return client_->authenticate(std::move(username), std::move(key), std::move(done));
    });
  }
  uint64_t internal_authenticate(std::string token) {
    return start<void>([&](auto done) {
      return client_->internal_authenticate(std::move(token), std::move(done));
    });
  }
  uint64_t upload_program(nb::object program, std::optional<std::string> manifest) {
    return upload(program, [&](UploadSource source, client::Progress progress, auto done) {
      return client_->upload_program(std::move(source), std::move(manifest), std::move(progress),
                                     std::move(done));
    });
  }
  uint64_t upload_blob(const PyInstance& instance, nb::object blob) {
    return upload(blob, [&](UploadSource source, client::Progress progress, auto done) {
      return instance.get().upload_blob(std::move(source), std::move(progress), std::move(done));
    });
  }
  uint64_t program_exists(std::string record) {
    return start<bool>(
        [&](auto done) { return client_->program_exists(std::move(record), std::move(done)); });
  }
  uint64_t launch(std::string program, std::vector<std::string> arguments, bool detached) {
    return start<Instance>([&](auto done) {
      return client_->launch(std::move(program), {std::move(arguments), detached}, std::move(done));
    });
  }
  uint64_t launch_from_registry(std::string name, std::vector<std::string> arguments,
                                bool detached) {
    return start<Instance>([&](auto done) {
      return client_->launch_from_registry(std::move(name), {std::move(arguments), detached},
                                           std::move(done));
    });
  }
  uint64_t launch_server(uint16_t port, std::string program, std::vector<std::string> arguments) {
    return start<void>([&](auto done) {
      return client_->launch_server(port, std::move(program), std::move(arguments),
                                    std::move(done));
    });
  }
  uint64_t attach(std::string id) {
    return start<Instance>(
        [&](auto done) { return client_->attach(std::move(id), std::move(done)); });
  }
  uint64_t terminate(std::string id) {
    return start<void>(
        [&](auto done) { return client_->terminate(std::move(id), std::move(done)); });
  }
  uint64_t list_instances() {
    return start<std::vector<client::InstanceInfo>>(
        [&](auto done) { return client_->list_instances(std::move(done)); });
  }
  uint64_t ping() {
    return start<void>([&](auto done) { return client_->ping(std::move(done)); });
  }
  uint64_t query(std::string subject, std::string record) {
    return start<std::string>([&](auto done) {
      return client_->query(std::move(subject), std::move(record), std::move(done));
    });
  }
  uint64_t send(const PyInstance& instance, std::string message) {
    return start<void>(
        [&](auto done) { return instance.get().send(std::move(message), std::move(done)); });
  }
  uint64_t terminate_instance(const PyInstance& instance) {
    return start<void>([&](auto done) { return instance.get().terminate(std::move(done)); });
  }

  void cancel(uint64_t token) {
    auto node = calls_.extract(token);
    if (node.empty()) return;
    const nb::gil_scoped_release unlocked;
    client_->cancel(node.mapped());
  }

  /// [(token, value)]; a value may be an ErrorInfo.
  nb::list take() {
    nb::list out;
    for (Completion& completion : completions_->take()) {
      if (!std::holds_alternative<ProgressInfo>(completion.value)) calls_.erase(completion.token);
      nb::object value;
      if (auto* instance = std::get_if<Instance>(&completion.value)) {
        value = nb::cast(new PyInstance(std::move(*instance), completions_),
                         nb::rv_policy::take_ownership);
      } else if (std::holds_alternative<std::monostate>(completion.value)) {
        value = nb::none();
      } else {
        value = std::visit(
            [](auto& held) -> nb::object {
              using Held = std::decay_t<decltype(held)>;
              if constexpr (std::is_same_v<Held, std::monostate> ||
                            std::is_same_v<Held, Instance>) {
                return nb::none();
              } else {
                return nb::cast(std::move(held));
              }
            },
            completion.value);
      }
      out.append(nb::make_tuple(completion.token, std::move(value)));
    }
    return out;
  }

 private:
  template <class T>
  client::Done<T> done_of(uint64_t token) {
    return [completions = completions_, token](Result<T> result) {
      if (!result.ok()) return completions->push(token, error_info(result.error()));
      if constexpr (std::is_void_v<T>) {
        completions->push(token, std::monostate{});
      } else {
        completions->push(token, std::move(*result));
      }
    };
  }

  template <class T, class Call>
  uint64_t start(Call call) {
    const uint64_t token = completions_->next_token();
    CallId id = 0;
    {
      const nb::gil_scoped_release unlocked;
      id = call(done_of<T>(token));
    }
    calls_[token] = id;
    return token;
  }

  template <class Call>
  uint64_t upload(nb::handle from, Call call) {
    Result<UploadSource> source = upload_source(from);
    if (!source.ok()) {
      return start<std::string>([&](auto done) {
        done(std::move(source).error());
        return CallId{0};
      });
    }
    const uint64_t token = completions_->next_token();
    client::Progress progress = [completions = completions_, token](uint64_t sent, uint64_t total) {
      completions->push(token, ProgressInfo{sent, total});
    };
    CallId id = 0;
    {
      const nb::gil_scoped_release unlocked;
      id = call(std::move(*source), std::move(progress), done_of<std::string>(token));
    }
    calls_[token] = id;
    return token;
  }

  CompletionsRef completions_;
  std::unique_ptr<client::Client> client_;
  std::unordered_map<uint64_t, CallId> calls_;  // under the GIL
};

/// Seconds to wait, or why not.
std::variant<double, ErrorInfo> seconds_of(const Result<std::chrono::milliseconds>& delay) {
  if (!delay.ok()) return error_info(delay.error());
  return std::chrono::duration<double>(*delay).count();
}

Error loss(std::string text) { return {ErrorCode::kUnavailable, std::move(text)}; }

/// A private key that copies share.
struct PyPrivateKey {
  client::KeyRef key;
};

std::variant<PyPrivateKey, ErrorInfo> parse_key(const std::string& text,
                                                const std::optional<std::string>& passphrase) {
  Result<crypto::PrivateKey> key = [&] {
    const nb::gil_scoped_release unlocked;
    return crypto::PrivateKey::parse(text, passphrase);
  }();
  if (!key.ok()) return error_info(key.error());
  return PyPrivateKey{std::make_shared<const crypto::PrivateKey>(std::move(*key))};
}

std::variant<nb::bytes, ErrorInfo> sign(const PyPrivateKey& key, nb::bytes message) {
  const Result<std::string> signature = key.key->sign({message.c_str(), message.size()});
  if (!signature.ok()) return error_info(signature.error());
  return nb::bytes(signature->data(), signature->size());
}

}  // namespace
}  // namespace pie::python

NB_MODULE(_native, m) {
  namespace nb = nanobind;
  using namespace pie::python;  // NOLINT: names of this module only
  using pie::client::InstanceInfo;

  nb::class_<ErrorInfo>(m, "ErrorInfo")
      .def_ro("code", &ErrorInfo::code)
      .def_ro("message", &ErrorInfo::message);
  nb::class_<ProgressInfo>(m, "ProgressInfo")
      .def_ro("sent_bytes", &ProgressInfo::sent_bytes)
      .def_ro("total_bytes", &ProgressInfo::total_bytes);
  nb::class_<InstanceInfo>(m, "InstanceInfo")
      .def_ro("id", &InstanceInfo::id)
      .def_ro("cmd_name", &InstanceInfo::cmd_name)
      .def_ro("arguments", &InstanceInfo::arguments)
      .def_ro("status", &InstanceInfo::status)
      .def_ro("username", &InstanceInfo::username)
      .def_ro("elapsed_secs", &InstanceInfo::elapsed_secs)
      .def_ro("kv_pages_used", &InstanceInfo::kv_pages_used);
  nb::class_<PyInstance>(m, "Instance")
      .def_prop_ro("id", &PyInstance::id)
      .def("try_recv", &PyInstance::try_recv)
      .def("notify", &PyInstance::notify)
      .def("forget", &PyInstance::forget);
  nb::class_<PyPrivateKey>(m, "PrivateKey")
      .def_prop_ro("kind",
                   [](const PyPrivateKey& k) { return std::string(to_string(k.key->kind())); })
      .def_prop_ro("bits", [](const PyPrivateKey& k) { return k.key->bits(); })
      .def("sign", &sign);
  m.def("parse_key", &parse_key, nb::arg("text"), nb::arg("passphrase").none());
  m.def("blake3_hex", [](nb::bytes bytes) {
    const std::string_view view(bytes.c_str(), bytes.size());
    const nb::gil_scoped_release unlocked;
    return pie::crypto::blake3_hex(view);
  });

  using pie::client::CallLosses;
  using pie::client::ConnectAttempts;
  using pie::client::ReconnectOptions;
  nb::class_<ReconnectOptions>(m, "ReconnectOptions")
      .def(
          "__init__",
          [](ReconnectOptions* made, uint32_t attempts, double delay_max) {
            new (made) ReconnectOptions{attempts, milliseconds(delay_max)};
          },
          nb::arg("attempts"), nb::arg("delay_max"));
  nb::class_<ConnectAttempts>(m, "ConnectAttempts")
      .def(nb::init<ReconnectOptions>())
      .def("failed", [](ConnectAttempts& attempts, std::string text) {
        return seconds_of(attempts.failed(loss(std::move(text))));
      });
  nb::enum_<CallLosses::Kind>(m, "CallKind")
      .value("ACTS", CallLosses::Kind::kActs)
      .value("WAITS", CallLosses::Kind::kWaits);
  nb::class_<CallLosses>(m, "CallLosses")
      .def(nb::init<ReconnectOptions, CallLosses::Kind>())
      .def("lost", [](CallLosses& losses, std::string text, double tried_for) {
        return seconds_of(losses.lost(loss(std::move(text)), milliseconds(tried_for)));
      });
  m.def("instance_gone", [](const std::string& instance_id) {
    return error_info(pie::client::instance_gone(instance_id));
  });

  nb::class_<PyClient>(m, "Client")
      .def(nb::init<std::string, double, double, std::string, nb::object>(), nb::arg("uri"),
           nb::arg("connect_timeout"), nb::arg("silence_timeout"), nb::arg("ca_file"),
           nb::arg("wake"))
      .def("connect", &PyClient::connect)
      .def("close", &PyClient::close)
      .def("abandon", &PyClient::abandon)
      .def(
          "authenticate",
          [](PyClient& c, std::string username, const PyPrivateKey* key) {
            return c.authenticate(std::move(username), key ? key->key : nullptr);
          },
          nb::arg("username"), nb::arg("key").none())
      .def("internal_authenticate", &PyClient::internal_authenticate)
      .def("upload_program", &PyClient::upload_program, nb::arg("program"),
           nb::arg("manifest").none())
      .def("upload_blob", &PyClient::upload_blob)
      .def("program_exists", &PyClient::program_exists)
      .def("launch", &PyClient::launch)
      .def("launch_from_registry", &PyClient::launch_from_registry)
      .def("launch_server", &PyClient::launch_server)
      .def("attach", &PyClient::attach)
      .def("terminate", &PyClient::terminate)
      .def("list_instances", &PyClient::list_instances)
      .def("ping", &PyClient::ping)
      .def("query", &PyClient::query)
      .def("send", &PyClient::send)
      .def("terminate_instance", &PyClient::terminate_instance)
      .def("cancel", &PyClient::cancel)
      .def("take", &PyClient::take);
}
