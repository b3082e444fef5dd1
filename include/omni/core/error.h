#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace omni {

// What went wrong, as far as a script must tell cases apart. `omni` exits with exit_code(kind).
enum class ErrorKind {
  usage,        // wrong arguments or configuration                              -> 2
  input,        // a file that cannot be understood: broken, truncated, foreign   -> 3
  io,           // the system refused: missing file, full disk, read-only folder  -> 4
  interrupted,  // Ctrl-C or SIGTERM, after a clean stop                          -> 130
  internal,     // a broken promise inside omni                                   -> 70
};

int exit_code(ErrorKind kind);

// The one exception type of the library. The message reads "<what was tried>: <what is wrong>. <what to do>".
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, std::string message) : std::runtime_error(std::move(message)), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

// Joins anything that can be streamed: concat("cannot read ", path, ": ", reason).
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

template <class... Parts>
[[noreturn]] void fail(ErrorKind kind, const Parts&... parts) {
  throw Error(kind, concat(parts...));
}

// Guards a promise inside the library; failing is a defect of omni, not of its input.
template <class... Parts>
void ensure(bool condition, const Parts&... parts) {
  if (!condition) throw Error(ErrorKind::internal, concat("internal error: ", parts...));
}

}  // namespace omni
