#pragma once
#include <string>

/// The connection is lost while the instances go on: no event is skipped.
void reconnect(const std::string& uri);
/// Says "kill" once it hears its instance; the server is killed and started again meanwhile.
void restart(const std::string& uri);
/// CancelScope over calls, recv() and reconnections.
void cancel(const std::string& uri);
