#include <pie/inferlet.h>
inferlet::Result<std::string> inferlet_main(const std::vector<std::string>&) { return ""; }
