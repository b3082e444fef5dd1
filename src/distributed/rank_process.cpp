#include "rank_process.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>

#include "omni/core/error.h"

extern char** environ;

namespace omni::distributed {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (const std::string& text : texts) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

// The process that forks has threads, so nothing but system calls may be made until the new program begins.
[[noreturn]] void become_rank(const RankStart& start, pid_t launcher, char* const* arguments,
                              char* const* environment) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  constexpr int kNotStarted = 127;
  if (::getppid() != launcher) ::_exit(kNotStarted);  // it died before the line above
  ::setpgid(0, start.group);
  if (start.output >= 0) {
    ::dup2(start.output, STDOUT_FILENO);
    ::dup2(start.output, STDERR_FILENO);
  }
  ::sigprocmask(SIG_SETMASK, &start.blocked_signals, nullptr);
  ::execve("/proc/self/exe", arguments, environment);
  ::_exit(kNotStarted);
}

}  // namespace

pid_t start_rank(const RankStart& start) {
  const std::vector<char*> arguments = pointers(start.command), environment = pointers(start.environment);
  const pid_t launcher = ::getpid();
  const pid_t process = ::fork();
  if (process < 0) fail(ErrorKind::io, "starting a rank: ", std::strerror(errno));
  if (process == 0) become_rank(start, launcher, arguments.data(), environment.data());
  ::setpgid(process, start.group);  // whichever of the two comes first
  return process;
}

std::vector<std::string> environment_with(const std::vector<std::pair<std::string, std::string>>& changes) {
  std::vector<std::string> result;
  for (char** one = environ; *one != nullptr; ++one) {
    const std::string text = *one;
    const std::string name = text.substr(0, text.find('='));
    const bool changed =
        std::any_of(changes.begin(), changes.end(), [&](const auto& change) { return change.first == name; });
    if (!changed) result.push_back(text);
  }
  for (const auto& [name, value] : changes) result.push_back(concat(name, "=", value));
  return result;
}

std::vector<std::string> own_command() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string all{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::string> words;
  for (std::size_t at = 0; at < all.size();) {
    const std::size_t end = std::min(all.find('\0', at), all.size());
    words.push_back(all.substr(at, end - at));
    at = end + 1;
  }
  if (words.empty()) fail(ErrorKind::io, "starting ranks: /proc/self/cmdline does not tell this command");
  return words;
}

}  // namespace omni::distributed
