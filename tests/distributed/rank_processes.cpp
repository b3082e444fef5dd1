#include "rank_processes.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <sstream>
#include <thread>

#include "omni/core/error.h"

extern char** environ;

namespace omni::distributed {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

// Between fork and exec of a process with threads only plain system calls may be made.
[[noreturn]] void become_rank(const char* program, const char* scenario, const char* output,
                              char* const* variables) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int file = ::open(output, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  ::dup2(file, STDOUT_FILENO);
  ::dup2(file, STDERR_FILENO);
  const char* arguments[] = {program, scenario, nullptr};
  ::execve(program, const_cast<char* const*>(arguments), variables);
  ::_exit(127);
}

}  // namespace

RankProcesses::RankProcesses(int count, const std::string& scenario, const Variables& variables,
                             const std::map<int, Variables>& of_rank)
    : store_(Store::serve(0, "unused")) {
  const int port = store_->port();
  const bool own_store = variables.contains("OMNI_TEST_OWN_STORE");
  if (own_store) store_.reset();  // the port is free again
  for (int rank = 0; rank < count; ++rank) {
    Variables all = {{"RANK", std::to_string(rank)},
                     {"WORLD_SIZE", std::to_string(count)},
                     {"MASTER_ADDR", "127.0.0.1"},
                     {"MASTER_PORT", std::to_string(port)},
                     {"OMP_NUM_THREADS", "1"}};
    if (!own_store) all["OMNI_LAUNCHER"] = "1";
    for (const auto& [name, value] : variables) all[name] = value;
    if (of_rank.contains(rank))
      for (const auto& [name, value] : of_rank.at(rank)) all[name] = value;
    std::vector<std::string> texts;
    for (char** one = environ; *one != nullptr; ++one) {
      const std::string text = *one;
      if (!all.contains(text.substr(0, text.find('=')))) texts.push_back(text);
    }
    for (const auto& [name, value] : all) texts.push_back(name + "=" + value);
    std::vector<char*> pointers;
    for (std::string& text : texts) pointers.push_back(text.data());
    pointers.push_back(nullptr);
    const std::string file = output_file(rank);
    const pid_t process = ::fork();
    if (process == 0) become_rank(OMNI_RANK_PROGRAM, scenario.c_str(), file.c_str(), pointers.data());
    ensure(process > 0, "no process can be started");
    processes_.push_back(process);
  }
}

RankProcesses::~RankProcesses() { wait(0); }

std::string RankProcesses::output_file(int rank) const { return folder_ / ("rank-" + std::to_string(rank)); }

void RankProcesses::signal(int rank, int number) const { ::kill(processes_.at(rank), number); }

std::string RankProcesses::output(int rank) const {
  std::ifstream file(output_file(rank));
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

bool RankProcesses::has_printed(int rank, const std::string& text, double seconds) const {
  const auto end = Clock::now() + Seconds(seconds);
  while (output(rank).find(text) == std::string::npos) {
    if (Clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

RankEnding RankProcesses::wait_for(int rank, double seconds) {
  const auto end = Clock::now() + Seconds(seconds);
  RankEnding ending;
  pid_t& process = processes_.at(rank);
  if (process < 0) return ending;
  int status = 0;
  while (::waitpid(process, &status, ending.too_late ? 0 : WNOHANG) == 0) {
    if (Clock::now() > end) {
      ending.too_late = true;
      ::kill(process, SIGKILL);
      continue;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  process = -1;
  constexpr int kSignalled = 128;
  ending.code = WIFEXITED(status) ? WEXITSTATUS(status) : kSignalled + WTERMSIG(status);
  ending.output = output(rank);
  return ending;
}

std::vector<RankEnding> RankProcesses::wait(double seconds) {
  const auto end = Clock::now() + Seconds(seconds);
  std::vector<RankEnding> endings;
  for (std::size_t rank = 0; rank < processes_.size(); ++rank)
    endings.push_back(wait_for(static_cast<int>(rank), Seconds(end - Clock::now()).count()));
  return endings;
}

}  // namespace omni::distributed
