#include "omni/core/isolation.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <new>
#include <span>

#include "descriptor.h"
#include "omni/core/error.h"
#include "omni/core/interrupt.h"

namespace omni {
namespace {

// The child's answer: one of these, then the bytes that it made or the message of its error. An Error's kind
// is added to `failed`.
enum class Answer : unsigned char { made = 0, out_of_memory = 1, failed = 2 };

// A child that is gone, at the latest, when this object is.
class Child {
 public:
  explicit Child(pid_t id) : id_(id) {}
  ~Child() {
    if (id_ < 0) return;
    ::kill(id_, SIGKILL);
    wait();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  int wait() {
    int status = 0;
    while (::waitpid(id_, &status, 0) < 0 && errno == EINTR) {
    }
    id_ = -1;
    return status;
  }

 private:
  pid_t id_;
};

std::size_t data_bytes_held() {
  std::ifstream statm("/proc/self/statm");
  std::size_t total = 0, resident = 0, shared = 0, text = 0, library = 0, data = 0;
  statm >> total >> resident >> shared >> text >> library >> data;
  return data * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

void lower_limit(int resource, std::size_t value) {
  rlimit limit{};
  ::getrlimit(static_cast<__rlimit_resource>(resource), &limit);
  limit.rlim_cur = std::min<rlim_t>(value, limit.rlim_max);
  ::setrlimit(static_cast<__rlimit_resource>(resource), &limit);
}

void send(int descriptor, unsigned char answer, std::span<const std::byte> bytes) {
  if (::write(descriptor, &answer, 1) != 1) ::_exit(1);
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno != EINTR) ::_exit(1);
    if (count > 0) bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

[[noreturn]] void be_the_child(const std::function<std::vector<std::byte>()>& work, int answers,
                               std::size_t memory_bytes) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (const int signal : {SIGINT, SIGTERM, SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL})
    std::signal(signal, SIG_DFL);
  // The answer's end moves to 3, and all else but standard input goes: another child's pipe must not stay
  // open here, nor a crash speak to the user.
  const int silence = ::open("/dev/null", O_WRONLY);
  ::dup2(silence, STDOUT_FILENO);
  ::dup2(silence, STDERR_FILENO);
  constexpr int kAnswers = 3;
  ::dup2(answers, kAnswers);
  ::close_range(kAnswers + 1, ~0U, 0);
  lower_limit(RLIMIT_CORE, 0);
  lower_limit(RLIMIT_DATA, data_bytes_held() + memory_bytes);
  const auto say = [&](Answer answer, int kind, std::string_view message) {
    send(kAnswers, static_cast<unsigned char>(static_cast<int>(answer) + kind),
         std::as_bytes(std::span(message)));
  };
  try {
    send(kAnswers, static_cast<unsigned char>(Answer::made), work());
  } catch (const Error& error) {
    say(Answer::failed, static_cast<int>(error.kind()), error.what());
  } catch (const std::bad_alloc&) {
    say(Answer::out_of_memory, 0, {});
  } catch (const std::exception& error) {
    say(Answer::failed, static_cast<int>(ErrorKind::input), error.what());
  }
  ::_exit(0);
}

// All that the child says until it closes its end.
std::vector<std::byte> listen(int descriptor, const std::string& trying, double seconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  std::vector<std::byte> said;
  std::array<std::byte, 1 << 16> part{};
  for (;;) {
    throw_if_interrupted();
    if (std::chrono::steady_clock::now() > end)
      fail(ErrorKind::input, trying, ": it is not done after ", seconds,
           " seconds. Convert the file to GLB with another program");
    pollfd ready{descriptor, POLLIN, 0};
    constexpr int kMilliseconds = 100;  // how soon Ctrl-C is seen
    if (::poll(&ready, 1, kMilliseconds) <= 0) continue;
    const ssize_t count = ::read(descriptor, part.data(), part.size());
    if (count == 0) return said;
    if (count < 0 && errno != EINTR) fail(ErrorKind::io, trying, ": ", std::strerror(errno));
    if (count > 0) said.insert(said.end(), part.begin(), part.begin() + count);
  }
}

}  // namespace

std::vector<std::byte> run_isolated(const std::function<std::vector<std::byte>()>& work,
                                    const std::string& trying, const IsolationLimits& limits) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail(ErrorKind::io, trying, ": ", std::strerror(errno));
  const Descriptor reading(ends[0]);
  Descriptor writing(ends[1]);
  const pid_t id = ::fork();
  if (id < 0) fail(ErrorKind::io, trying, ": cannot start a process: ", std::strerror(errno));
  if (id == 0) be_the_child(work, writing.get(), limits.memory_bytes);
  Child child(id);
  writing.close();
  std::vector<std::byte> said = listen(reading.get(), trying, limits.seconds);
  const int status = child.wait();
  throw_if_interrupted();
  constexpr std::string_view kAdvice =
      "The file is broken, or of a kind that the reader cannot bear. Convert "
      "it to GLB with another program";
  if (WIFSIGNALED(status))
    fail(ErrorKind::input, trying, ": the reader crashed (", ::strsignal(WTERMSIG(status)), "). ", kAdvice);
  if (said.empty() || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
    fail(ErrorKind::input, trying, ": the reader crashed. ", kAdvice);
  const int answer = static_cast<int>(said.front());
  said.erase(said.begin());
  if (answer == static_cast<int>(Answer::made)) return said;
  if (answer == static_cast<int>(Answer::out_of_memory))
    fail(ErrorKind::input, trying, ": it asks for more than ", limits.memory_bytes >> 20, " MB. ", kAdvice);
  throw Error(static_cast<ErrorKind>(answer - static_cast<int>(Answer::failed)),
              std::string(reinterpret_cast<const char*>(said.data()), said.size()));
}

}  // namespace omni
