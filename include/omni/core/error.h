#pragma once

#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace omni {

// What went wrong, as far as a script must tell cases apart. The values are the exit codes of `omni`.
enum class ErrorKind : int {
  // Wrong arguments or configuration.
  usage = 2,
  // A file that cannot be understood: broken, truncated, foreign.
  input = 3,
  // The system refused: missing file, full disk, read-only folder.
  io = 4,
  // A broken promise inside omni.
  internal = 70,
  out_of_memory = 71,
  // Not done, but saved, because a launcher or scheduler asked for it: the same command goes on with
  // --resume.
  stopped = 75,
  // Ctrl-C, after a clean stop.
  interrupted = 130,
};
inline constexpr int kExitDone = 0;
inline constexpr int kExitNo = 1;  // of commands that judge

constexpr int exit_code(ErrorKind kind) { return static_cast<int>(kind); }

struct ExitCode {
  int code = 0;
  std::string_view meaning;
};
// Every code that `omni` ends with, in rising order, in the words of its help.
std::span<const ExitCode> exit_codes();

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
