#include "forked_run.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "omni/core/interrupt.h"
#include "program.h"

namespace omni::tools {
namespace {

void limit_memory(std::size_t more_bytes) {
  std::ifstream statm("/proc/self/statm");
  std::size_t total = 0, resident = 0, shared = 0, text = 0, library = 0, data = 0;
  statm >> total >> resident >> shared >> text >> library >> data;
  const rlim_t limit = data * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) + more_bytes;
  const rlimit both{limit, limit};
  ::setrlimit(RLIMIT_DATA, &both);
}

[[noreturn]] void be_the_program(const std::vector<std::string>& arguments,
                                 const std::filesystem::path& folder, const std::filesystem::path& output,
                                 const RunLimits& limits) {
  std::filesystem::current_path(folder);
  const int file = ::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  ::dup2(file, STDOUT_FILENO);
  ::dup2(file, STDERR_FILENO);
  const auto whole = static_cast<time_t>(limits.seconds);
  const itimerval timer{{0, 0}, {whole, static_cast<suseconds_t>(1e6 * (limits.seconds - double(whole)))}};
  ::setitimer(ITIMER_REAL, &timer, nullptr);
  if (limits.more_memory_bytes > 0) limit_memory(limits.more_memory_bytes);
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  install_interrupt_handler();
  std::vector<const char*> words = {"omni"};
  for (const std::string& argument : arguments) words.push_back(argument.c_str());
  ::_exit(run_program(static_cast<int>(words.size()), words.data()));
}

}  // namespace

Ending run_forked(const std::vector<std::string>& arguments, const std::filesystem::path& folder,
                  const RunLimits& limits) {
  const std::filesystem::path output = folder / "output.txt";
  std::fflush(nullptr);  // what is still to be written is not the child's
  const pid_t id = ::fork();
  if (id == 0) be_the_program(arguments, folder, output, limits);
  int status = 0;
  ::waitpid(id, &status, 0);
  Ending ending;
  ending.stopped = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
  ending.code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  std::ostringstream text;
  text << std::ifstream(output).rdbuf();
  ending.output = text.str();
  return ending;
}

}  // namespace omni::tools
