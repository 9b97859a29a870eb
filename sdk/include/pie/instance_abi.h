#pragma once
// The imports of pie:instance as the canonical ABI lowers them; see abi.h.
#include "pie/abi.h"

namespace inferlet::abi {

struct LogField {
  Text name;
  Text value;
};
struct LaunchStarted {
  uint8_t is_error;
  union {
    Handle launching;
    Text error;
  } of;
};
struct Launched {
  uint8_t is_error;
  union {
    Handle child;
    Text error;
  } of;
};
struct ChildEvent {
  enum Case : uint8_t { kStdout, kStderr, kMessage, kBlob, kEnded };
  uint8_t which;
  union {
    Text text;  ///< a blob's bytes, too
    struct {
      uint8_t kind;
      Text text;
    } ended;
  } of;
};

PIE_IMPORT("pie:instance/instance@0.1.0", "user") void instance_user(Text* out);
PIE_IMPORT("pie:instance/instance@0.1.0", "parent") void instance_parent(Option<Text>* out);
PIE_IMPORT("pie:instance/log@0.1.0", "write")
void log_write(int32_t level, const char* message, uint32_t size, const LogField* fields,
               uint32_t count, TextResult* out);

#define PIE_CHILDREN(name) PIE_IMPORT("pie:instance/children@0.1.0", name)
PIE_CHILDREN("launch")
void launch(int32_t by, const char* program, uint32_t size, const Text* arguments, uint32_t count,
            LaunchStarted* out);
PIE_CHILDREN("[method]launching.pollable") Handle launching_pollable(Handle self);
PIE_CHILDREN("[method]launching.get") void launching_get(Handle self, Option<Launched>* out);
PIE_CHILDREN("[resource-drop]launching") void launching_drop(Handle self);
PIE_CHILDREN("[method]child.id") void child_id(Handle self, Text* out);
PIE_CHILDREN("[method]child.pollable") Handle child_pollable(Handle self);
PIE_CHILDREN("[method]child.receive") void child_receive(Handle self, Option<ChildEvent>* out);
PIE_CHILDREN("[method]child.send")
void child_send(Handle self, const char* message, uint32_t size, TextResult* out);
PIE_CHILDREN("[method]child.send-blob")
void child_send_blob(Handle self, Handle blob, TextResult* out);
PIE_CHILDREN("[method]child.cancel") void child_cancel(Handle self);
PIE_CHILDREN("[resource-drop]child") void child_drop(Handle self);
#undef PIE_CHILDREN

}  // namespace inferlet::abi
