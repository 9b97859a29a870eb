// Completes a prompt on a Pie server: example ws://127.0.0.1:8080 "What is the capital of France?"
#include <pie/client.h>

#include <iostream>

int main(int argc, char** argv) {
  const std::string uri = argc > 1 ? argv[1] : "ws://127.0.0.1:8080";
  const std::string prompt = argc > 2 ? argv[2] : "What is the capital of France?";
  try {
    pie::PieClient client(uri);
    // Where the server asks for keys:
    //   client.authenticate("me", pie::ParsedPrivateKey::from_file("~/.ssh/id_ed25519"));
    client.authenticate("me");
    pie::Instance instance = client.launch_instance_from_registry(
        "text-completion", {"--prompt", prompt, "--max-tokens", "32"});
    for (const auto& [event, data] : instance) {
      if (event == pie::Event::Stdout) std::cout << data << std::flush;
      if (event == pie::Event::Completed) return 0;
      if (pie::is_final(event)) std::cerr << pie::to_string(event) << ": " << data << '\n';
    }
  } catch (const pie::PieError& e) {
    std::cerr << "Pie error: " << e.what() << '\n';
  } catch (const pie::ConnectionError& e) {
    std::cerr << "Connection failed: " << e.what() << '\n';
  }
  return 1;
}
