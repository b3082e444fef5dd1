#include "omni/distributed/local_launcher.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <iostream>
#include <optional>

#include "broken_pipes.h"
#include "omni/core/error.h"
#include "omni/core/parallel.h"
#include "omni/distributed/launch_environment.h"
#include "rank_lines.h"
#include "rank_process.h"
#include "store.h"
#include "verdict.h"

namespace omni::distributed {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::array kForwarded = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGTSTP};

// While it lives, those signals and those of ended children come to a descriptor, whatever thread they reach.
class SignalsAsInput {
 public:
  SignalsAsInput() {
    sigset_t all;
    sigemptyset(&all);
    for (const int number : kForwarded) sigaddset(&all, number);
    sigaddset(&all, SIGCHLD);
    ::pthread_sigmask(SIG_BLOCK, &all, &before_);
    std::signal(SIGCHLD,
                SIG_DFL);  // where it is ignored, which is inherited, nobody learns how a child ended
    descriptor_ = ::signalfd(-1, &all, SFD_NONBLOCK | SFD_CLOEXEC);
    if (descriptor_ < 0) fail(ErrorKind::io, "starting ranks: ", std::strerror(errno));
  }
  ~SignalsAsInput() {
    ::close(descriptor_);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  SignalsAsInput(const SignalsAsInput&) = delete;
  SignalsAsInput& operator=(const SignalsAsInput&) = delete;

  int descriptor() const { return descriptor_; }
  const sigset_t& before() const { return before_; }
  // The next that has come; 0 where there is none.
  int next() const {
    signalfd_siginfo info{};
    return ::read(descriptor_, &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : 0;
  }

 private:
  sigset_t before_{};
  int descriptor_ = -1;
};

class Launcher {
 public:
  explicit Launcher(const LocalLaunch& launch);
  ~Launcher();
  Launcher(const Launcher&) = delete;
  Launcher& operator=(const Launcher&) = delete;

  int run();

 private:
  struct Rank {
    pid_t process = -1;
    int output = -1;  // the end of the pipe that is read here
    bool ended = false;
    bool by_signal = false;
    int code = 0;
  };

  void start(int rank, const std::vector<std::string>& command);
  void forward(int number) const;
  void collect();  // ranks that have ended
  void note_end(int rank, int status);
  bool read_lines(int rank);
  void wait_for_news();
  void tell_end();
  bool all_ended() const;

  const LocalLaunch launch_;
  const BrokenPipesAsErrors no_signals_;
  // Before the store, whose threads get the same mask.
  const SignalsAsInput signals_;
  const std::unique_ptr<Store> store_ = Store::serve(0, kLauncherPrefix);
  const LaunchEnvironment here_ = read_launch_environment();
  std::vector<Rank> ranks_;
  pid_t group_ = 0;
  RankLines lines_;
  int code_ = 0;
  std::optional<Clock::time_point> kill_at_;
};

// A process that a rank has left behind may hold the other end: what is not there now is not waited for.
bool has_input(int descriptor) {
  pollfd input{descriptor, POLLIN, 0};
  return descriptor >= 0 && ::poll(&input, 1, 0) > 0;
}

// In one write: rank 0 writes to the same place.
void tell(const std::string& line) { std::cerr << line + '\n'; }

Launcher::Launcher(const LocalLaunch& launch)
    : launch_(launch), ranks_(static_cast<std::size_t>(launch.ranks)), lines_(launch.ranks, tell) {
  const std::vector<std::string> command = launch.command.empty() ? own_command() : launch.command;
  std::cout.flush();
  try {
    for (int rank = 0; rank < launch.ranks; ++rank) start(rank, command);
  } catch (...) {
    forward(SIGKILL);
    throw;
  }
}

Launcher::~Launcher() {
  if (!all_ended()) forward(SIGKILL);
  for (const Rank& rank : ranks_) {
    if (!rank.ended && rank.process > 0) ::waitpid(rank.process, nullptr, 0);
    if (rank.output >= 0) ::close(rank.output);
  }
}

void Launcher::start(int rank, const std::vector<std::string>& command) {
  std::array<int, 2> ends = {-1, -1};
  if (rank > 0 && ::pipe2(ends.data(), O_CLOEXEC) != 0)
    fail(ErrorKind::io, "starting a rank: ", std::strerror(errno));
  ranks_[rank].output = ends[0];
  LaunchEnvironment shared;
  shared.local_size = launch_.ranks;
  const int threads = threads_per_rank(shared, hardware_threads(), process_variables());
  RankStart start{
      .command = command, .output = ends[1], .group = group_, .blocked_signals = signals_.before()};
  start.environment = environment_with({{"RANK", std::to_string(rank)},
                                        {"WORLD_SIZE", std::to_string(launch_.ranks)},
                                        {"LOCAL_RANK", std::to_string(rank)},
                                        {"LOCAL_WORLD_SIZE", std::to_string(launch_.ranks)},
                                        {"MASTER_ADDR", "127.0.0.1"},
                                        {"MASTER_PORT", std::to_string(store_->port())},
                                        {"OMP_NUM_THREADS", std::to_string(threads)},
                                        {"OMNI_LAUNCHER", "1"}});
  ranks_[rank].process = start_rank(start);
  if (ends[1] >= 0) ::close(ends[1]);
  if (group_ == 0) group_ = ranks_[rank].process;
}

void Launcher::forward(int number) const {
  if (group_ > 0) ::kill(-group_, number);
}

bool Launcher::all_ended() const {
  for (const Rank& rank : ranks_)
    if (!rank.ended) return false;
  return true;
}

void Launcher::note_end(int rank, int status) {
  constexpr int kSignalled = 128;
  Rank& ended = ranks_[rank];
  ended.ended = true;
  ended.by_signal = WIFSIGNALED(status);
  ended.code = ended.by_signal ? kSignalled + WTERMSIG(status) : WEXITSTATUS(status);
  if (ended.code == 0) return;
  if (code_ == 0) code_ = ended.code;
  if (ended.code == exit_code(ErrorKind::stopped) || ended.code == exit_code(ErrorKind::interrupted)) return;
  if (!kill_at_) kill_at_ = Clock::now() + launch_.grace;
  const std::string how = ended.by_signal ? concat("was ended by signal ", WTERMSIG(status), " (",
                                                   ::strsignal(WTERMSIG(status)), ")")
                                          : concat("ended with exit code ", ended.code);
  propose(*store_, {ErrorKind::io, concat("rank ", rank, " on ", here_.host, " ", how)});
}

void Launcher::collect() {
  for (std::size_t rank = 0; rank < ranks_.size(); ++rank) {
    int status = 0;
    if (!ranks_[rank].ended && ::waitpid(ranks_[rank].process, &status, WNOHANG) == ranks_[rank].process)
      note_end(static_cast<int>(rank), status);
  }
}

// False where there is no more to come.
bool Launcher::read_lines(int rank) {
  std::array<char, 1 << 14> bytes{};
  const ssize_t count = ::read(ranks_[rank].output, bytes.data(), bytes.size());
  if (count < 0) return errno == EINTR;
  lines_.add(rank, {bytes.data(), static_cast<std::size_t>(count)});
  return count > 0;
}

void Launcher::wait_for_news() {
  std::vector<pollfd> inputs = {{signals_.descriptor(), POLLIN, 0}};
  std::vector<int> of_rank = {-1};
  for (std::size_t rank = 0; rank < ranks_.size(); ++rank) {
    if (ranks_[rank].output < 0) continue;
    inputs.push_back({ranks_[rank].output, POLLIN, 0});
    of_rank.push_back(static_cast<int>(rank));
  }
  constexpr int kMilliseconds = 200;  // until the time to kill is looked at again
  if (::poll(inputs.data(), inputs.size(), kMilliseconds) <= 0) return;
  for (std::size_t i = 1; i < inputs.size(); ++i) {
    if (inputs[i].revents == 0 || read_lines(of_rank[i])) continue;
    ::close(inputs[i].fd);
    ranks_[of_rank[i]].output = -1;
  }
}

int Launcher::run() {
  while (!all_ended()) {
    wait_for_news();
    while (const int number = signals_.next()) {
      if (number == SIGTSTP) {
        forward(SIGSTOP);
        ::raise(SIGSTOP);  // until the terminal continues this process
        forward(SIGCONT);
      } else if (number != SIGCHLD) {
        forward(number);
      }
    }
    collect();
    if (kill_at_ && Clock::now() >= *kill_at_) forward(SIGKILL);
  }
  tell_end();
  return code_;
}

void Launcher::tell_end() {
  for (std::size_t rank = 0; rank < ranks_.size(); ++rank)
    while (has_input(ranks_[rank].output) && read_lines(static_cast<int>(rank))) {
    }
  const std::string packed = store_->get(kVerdictKey).value_or("");
  const std::string verdict =
      packed.empty() ? std::string() : concat(kErrorBeginning, unpack_verdict(packed).text);
  // Rank 0 tells the verdict itself, unless it could not; another rank that ended as it did tells no more.
  const bool zero_told = !ranks_[0].by_signal && ranks_[0].code != 0;
  if (!zero_told && !verdict.empty()) tell(verdict);
  lines_.finish(verdict, [&](int rank) { return zero_told && ranks_[rank].code == ranks_[0].code; });
}

}  // namespace

int launch_local_ranks(const LocalLaunch& launch) {
  ensure(launch.ranks >= 1, launch.ranks, " ranks cannot be started");
  Launcher launcher(launch);
  return launcher.run();
}

}  // namespace omni::distributed
