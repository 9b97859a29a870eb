#pragma once
#include "protocol/messages.h"

/// Which fields each message has on the wire: written once, read by the encoder and the decoder.
/// `Archive` is one of them; it is called with each field's name and value, and `Archive::Ref<T>`
/// is `T&` when it fills the message and `const T&` when it reads it.
namespace pie::protocol::detail {

template <class A, class T>
using Ref = typename A::template Ref<T>;

template <class A>
void describe(A& a, Ref<A, Identification> m) {
  a("corr_id", m.corr_id);
  a("username", m.username);
}

template <class A>
void describe(A& a, Ref<A, Signature> m) {
  a("corr_id", m.corr_id);
  a("signature", m.signature);
}

template <class A>
void describe(A& a, Ref<A, InternalAuthenticate> m) {
  a("corr_id", m.corr_id);
  a("token", m.token);
}

template <class A>
void describe(A& a, Ref<A, Query> m) {
  a("corr_id", m.corr_id);
  a("subject", m.subject);
  a("record", m.record);
}

template <class A>
void describe(A& a, Ref<A, UploadProgram> m) {
  a("corr_id", m.corr_id);
  a("program_hash", m.program_hash);
  a.chunk(m.chunk);
  a("manifest", m.manifest);
}

template <class A>
void describe(A& a, Ref<A, LaunchInstance> m) {
  a("corr_id", m.corr_id);
  a.program(m.program);
  a("arguments", m.arguments);
  a("detached", m.detached);
  a("cmd_name", m.cmd_name);
}

template <class A>
void describe(A& a, Ref<A, LaunchInstanceFromRegistry> m) {
  a("corr_id", m.corr_id);
  a("inferlet", m.inferlet);
  a("arguments", m.arguments);
  a("detached", m.detached);
}

template <class A>
void describe(A& a, Ref<A, LaunchServerInstance> m) {
  a("corr_id", m.corr_id);
  a("port", m.port);
  a.program(m.program);
  a("arguments", m.arguments);
  a("cmd_name", m.cmd_name);
}

template <class A>
void describe(A& a, Ref<A, AttachInstance> m) {
  a("corr_id", m.corr_id);
  a("instance_id", m.instance_id);
}

template <class A>
void describe(A& a, Ref<A, SignalInstance> m) {
  a("corr_id", m.corr_id);
  a("instance_id", m.instance_id);
  a("message", m.message);
}

template <class A>
void describe(A& a, Ref<A, UploadBlob> m) {
  a("corr_id", m.corr_id);
  a("instance_id", m.instance_id);
  a("blob_hash", m.blob_hash);
  a.chunk(m.chunk);
}

template <class A>
void describe(A& a, Ref<A, TerminateInstance> m) {
  a("corr_id", m.corr_id);
  a("instance_id", m.instance_id);
}

template <class A>
void describe(A& a, Ref<A, AttachRemoteService> m) {
  a("corr_id", m.corr_id);
  a("endpoint", m.endpoint);
  a("service_type", m.service_type);
  a("service_name", m.service_name);
}

template <class A>
void describe(A& a, Ref<A, ListInstances> m) {
  a("corr_id", m.corr_id);
}

template <class A>
void describe(A& a, Ref<A, Ping> m) {
  a("corr_id", m.corr_id);
}

template <class A>
void describe(A& a, Ref<A, Response> m) {
  a("corr_id", m.corr_id);
  a("successful", m.successful);
  a("result", m.result);
}

template <class A>
void describe(A& a, Ref<A, InstanceLaunchResult> m) {
  a("corr_id", m.corr_id);
  a("successful", m.successful);
  a("message", m.message);
}

template <class A>
void describe(A& a, Ref<A, InstanceAttachResult> m) {
  a("corr_id", m.corr_id);
  a("successful", m.successful);
  a("message", m.message);
}

template <class A>
void describe(A& a, Ref<A, InstanceEvent> m) {
  a("instance_id", m.instance_id);
  a("event", m.event);
  a("message", m.message);
}

template <class A>
void describe(A& a, Ref<A, StreamingOutput> m) {
  a("instance_id", m.instance_id);
  a.output(m.stream, m.text);
}

template <class A>
void describe(A& a, Ref<A, DownloadBlob> m) {
  a.zero("corr_id");
  a("instance_id", m.instance_id);
  a("blob_hash", m.blob_hash);
  a.chunk(m.chunk);
}

template <class A>
void describe(A& a, Ref<A, LiveInstance> m) {
  a("id", m.id);
  a("cmd_name", m.cmd_name);
  a("arguments", m.arguments);
  a("status", m.status);
  a("username", m.username);
  a("elapsed_secs", m.elapsed_secs);
  a("kv_pages_used", m.kv_pages_used);
}

template <class A>
void describe(A& a, Ref<A, LiveInstances> m) {
  a("corr_id", m.corr_id);
  a("instances", m.instances);
}

template <class A>
void describe(A& a, Ref<A, ServerEvent> m) {
  a("message", m.message);
}

}  // namespace pie::protocol::detail
