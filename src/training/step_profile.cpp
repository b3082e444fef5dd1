#include "step_profile.h"

#include <ATen/record_function.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <deque>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/json_text.h"
#include "omni/core/log.h"

namespace omni::training {
namespace {

enum class Category : std::uint8_t { step, range, operation, gradient, other };

constexpr const char* name_of(Category category) {
  switch (category) {
    case Category::step:
      return "step";
    case Category::range:
      return "omni";
    case Category::operation:
      return "aten";
    case Category::gradient:
      return "autograd";
    default:
      return "torch";
  }
}

Category category_of(at::RecordScope scope) {
  switch (scope) {
    case at::RecordScope::FUNCTION:
      return Category::operation;
    case at::RecordScope::BACKWARD_FUNCTION:
      return Category::gradient;
    case at::RecordScope::USER_SCOPE:
      return Category::range;
    default:
      return Category::other;
  }
}

// The ranks of a host have one clock.
std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::string quoted(const std::string& text) { return json_text(nlohmann::json(text)); }

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

}  // namespace

struct StepProfile::Recording {
  struct Event {
    std::int64_t start_ns, duration_ns;
    std::uint32_t name;  // index into names
    std::int32_t thread;
    Category category;
  };

  explicit Recording(std::size_t most) : most_events(most) {}

  void add(const std::string& name, Category category, std::int64_t start_ns, std::int64_t end_ns) {
    const std::lock_guard lock(mutex);
    // A step is always told: that many fit in beside all others.
    if (events.size() >= most_events && category != Category::step) {
      ++dropped;
      return;
    }
    const auto [known, is_new] = numbers.try_emplace(name, static_cast<std::uint32_t>(names.size()));
    if (is_new) names.push_back(name);
    events.push_back({start_ns, end_ns - start_ns, known->second, ::gettid(), category});
  }

  std::mutex mutex;
  const std::size_t most_events;
  std::deque<Event> events;
  std::unordered_map<std::string, std::uint32_t> numbers;
  std::deque<std::string> names;
  std::size_t dropped = 0;
  const std::int32_t main_thread = ::gettid();
};

// LibTorch calls plain functions, on whichever thread: what they record into is the one thing here that must be
// the process's.
struct StepProfile::Observers {
  struct Range : at::ObserverContext {
    std::shared_ptr<Recording> recording;
    std::int64_t start_ns = 0;
  };
  struct Current {
    std::mutex mutex;
    std::shared_ptr<Recording> recording;
  };
  static Current& current() {
    static Current current;
    return current;
  }

  explicit Observers(std::shared_ptr<Recording> recording) {
    {
      const std::lock_guard lock(current().mutex);
      ensure(current().recording == nullptr, "the process is observed by another profile");
      current().recording = std::move(recording);
    }
    handle = at::addGlobalCallback(at::RecordFunctionCallback(entered, left)
                                       .scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION,
                                                at::RecordScope::USER_SCOPE}));
  }
  // Ranges that are open meanwhile keep their recording until they end.
  ~Observers() {
    at::removeCallback(handle);
    const std::lock_guard lock(current().mutex);
    current().recording = nullptr;
  }
  Observers(const Observers&) = delete;
  Observers& operator=(const Observers&) = delete;

  static std::unique_ptr<at::ObserverContext> entered(const at::RecordFunction&) {
    auto range = std::make_unique<Range>();
    {
      const std::lock_guard lock(current().mutex);
      range->recording = current().recording;
    }
    range->start_ns = now_ns();
    return range;
  }
  static void left(const at::RecordFunction& function, at::ObserverContext* context) {
    const std::int64_t end_ns = now_ns();
    const auto* range = static_cast<const Range*>(context);
    if (range->recording == nullptr) return;
    range->recording->add(function.name(), category_of(function.scope()), range->start_ns, end_ns);
  }

  at::CallbackHandle handle = 0;
};

StepProfile::StepProfile(StepRange steps, std::filesystem::path path, int rank, std::size_t most_events)
    : steps_(steps),
      path_(std::move(path)),
      rank_(rank),
      recording_(std::make_shared<Recording>(most_events)) {}

StepProfile::~StepProfile() = default;

void StepProfile::begin(std::int64_t step) {
  if (step < steps_.first || step > steps_.last) return;
  if (!observers_) observers_ = std::make_unique<Observers>(recording_);
  step_begun_ = now_ns();
}

void StepProfile::end(std::int64_t step) {
  if (!observers_) return;
  recording_->add(concat("step ", step), Category::step, step_begun_, now_ns());
  last_ended_ = step;
  if (step >= steps_.last) write();
}

void StepProfile::finish() {
  if (written_) return;
  if (last_ended_ == 0)
    log_warning("the run took none of the steps ", steps_.first, " to ", steps_.last,
                ": there is no profile");
  else
    log_warning("the run ended after step ", last_ended_, ": the profile ends there");
  if (last_ended_ != 0) write();
}

void StepProfile::write() {
  observers_.reset();
  const std::lock_guard lock(recording_->mutex);  // of ranges that end only now
  if (path_.has_parent_path()) prepare_output_directory(path_.parent_path());
  AtomicFile file(path_);
  file.write(concat("{\"displayTimeUnit\":\"ms\",\"otherData\":{\"rank\":", rank_,
                    ",\"dropped_events\":", recording_->dropped, "},\"traceEvents\":[\n",
                    "{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":", rank_,
                    ",\"args\":{\"name\":", quoted(concat("rank ", rank_, " on ", host_name())), "}},\n",
                    "{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":", rank_,
                    ",\"tid\":", recording_->main_thread, ",\"args\":{\"name\":\"steps\"}}"));
  std::vector<std::string> names;
  for (const std::string& name : recording_->names) names.push_back(quoted(name));
  std::string text;
  constexpr std::size_t kChunk = 1 << 20;
  for (const Recording::Event& event : recording_->events) {
    char times[80];  // in microseconds
    std::snprintf(times, sizeof times, "\"ts\":%.3f,\"dur\":%.3f}",
                  1e-3 * static_cast<double>(event.start_ns), 1e-3 * static_cast<double>(event.duration_ns));
    text += concat(",\n{\"ph\":\"X\",\"cat\":\"", name_of(event.category), "\",\"name\":", names[event.name],
                   ",\"pid\":", rank_, ",\"tid\":", event.thread, ",", times);
    if (text.size() < kChunk) continue;
    file.write(text);
    text.clear();
  }
  file.write(text + "\n]}\n");
  file.commit();
  written_ = true;
  log_info("profile of steps ", steps_.first, " to ", last_ended_, ": '", path_.string(), "', ",
           recording_->events.size(), " events");
  if (recording_->dropped > 0)
    log_warning("profile: ", recording_->dropped, " events came after the first ", recording_->most_events,
                " and were left out. Profile fewer steps");
}

}  // namespace omni::training
