#include "pie/log.h"

#include "pie/instance_abi.h"
#include "pie/lift.h"

namespace inferlet {

Result<void> log_line(LogLevel level, std::string_view message,
                      const std::vector<LogField>& fields) {
  std::vector<abi::LogField> lent;
  lent.reserve(fields.size());
  for (const auto& [name, value] : fields) lent.push_back({lift::lend(name), lift::lend(value)});
  abi::TextResult out;
  abi::log_write(static_cast<int32_t>(level), message.data(), lift::size(message), lent.data(),
                 static_cast<uint32_t>(lent.size()), &out);
  if (out.is_error != 0) return fail(lift::text(out.text));
  return {};
}

}  // namespace inferlet
