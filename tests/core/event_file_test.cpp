#include "omni/core/event_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <map>

#include "omni/core/crc32c.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/run_metrics.h"
#include "temporary_directory.h"

namespace omni {
namespace {

// Values published in RFC 3720, B.4, and the usual check value.
TEST(Crc32c, OfPublishedMessages) {
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  std::string rising;
  for (char i = 0; i < 32; ++i) rising += i;
  EXPECT_EQ(crc32c(rising), 0x46dd794eu);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
}

// Reads little-endian numbers and varints; throws at the end.
class Reader {
 public:
  explicit Reader(std::string bytes) : bytes_(std::move(bytes)) {}

  bool done() const { return position_ == bytes_.size(); }
  std::uint64_t fixed(int size) {
    std::uint64_t value = 0;
    for (int i = 0; i < size; ++i) value += std::uint64_t{next()} << (8 * i);
    return value;
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const std::uint8_t byte = next();
      value += std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
  }
  std::string take(std::uint64_t size) {
    std::string part;
    while (size-- > 0) part += static_cast<char>(next());
    return part;
  }

 private:
  std::uint8_t next() { return static_cast<std::uint8_t>(bytes_.at(position_++)); }

  std::string bytes_;
  std::size_t position_ = 0;
};

struct Field {
  std::uint64_t number = 0;  // of varints and fixed ones
  std::string bytes;
};

std::multimap<int, Field> fields_of(const std::string& message) {
  std::multimap<int, Field> fields;
  for (Reader reader(message); !reader.done();) {
    const std::uint64_t key = reader.varint();
    Field field;
    switch (key & 7) {
      case 0:
        field.number = reader.varint();
        break;
      case 1:
        field.number = reader.fixed(8);
        break;
      case 2:
        field.bytes = reader.take(reader.varint());
        break;
      case 5:
        field.number = reader.fixed(4);
        break;
      default:
        ADD_FAILURE() << "wire type " << (key & 7);
    }
    fields.emplace(static_cast<int>(key >> 3), field);
  }
  return fields;
}

std::uint32_t unmasked(std::uint64_t stored) {
  const std::uint32_t rotated = static_cast<std::uint32_t>(stored) - 0xa282ead8u;
  return rotated >> 17 | rotated << 15;
}

struct Event {
  double seconds = 0;
  std::int64_t step = 0;
  std::string version;
  bool session_start = false;
  std::map<std::string, float> numbers;
};

Event event_of(const std::string& message) {
  Event event;
  for (const auto& [number, field] : fields_of(message)) {
    if (number == 1) event.seconds = std::bit_cast<double>(field.number);
    if (number == 2) event.step = static_cast<std::int64_t>(field.number);
    if (number == 3) event.version = field.bytes;
    if (number == 7) event.session_start = fields_of(field.bytes).find(1)->second.number == 1;
    if (number != 5) continue;
    for (const auto& [one, value] : fields_of(field.bytes)) {
      EXPECT_EQ(one, 1);
      const auto parts = fields_of(value.bytes);
      event.numbers[parts.find(1)->second.bytes] =
          std::bit_cast<float>(static_cast<std::uint32_t>(parts.find(2)->second.number));
    }
  }
  return event;
}

std::filesystem::path only_file(const std::filesystem::path& folder) {
  const auto files = files_below(folder);
  EXPECT_EQ(files.size(), 1u);
  return files.front();
}

std::vector<Event> events_in(const std::filesystem::path& file) {
  std::vector<Event> events;
  for (Reader reader(read_file_text(file)); !reader.done();) {
    const std::string length = reader.take(8);
    EXPECT_EQ(unmasked(reader.fixed(4)), crc32c(length));
    const std::string message = reader.take(Reader(length).fixed(8));
    EXPECT_EQ(unmasked(reader.fixed(4)), crc32c(message));
    events.push_back(event_of(message));
  }
  return events;
}

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

TEST(EventFile, HoldsTheNumbersOfEachStepAsSoonAsTheyAreWritten) {
  const test::TemporaryDirectory folder;
  const double before = now();
  EventFile file(folder.path(), 301);
  file.write(310, {{"loss", 0.1}, {"loss text->shape", -3}});
  file.write(std::int64_t{1} << 40, {{"loss", std::nan("")}});
  const std::vector<Event> events = events_in(only_file(folder.path()));
  ASSERT_EQ(events.size(), 4u);
  EXPECT_EQ(events[0].version, "brain.Event:2");
  EXPECT_TRUE(events[1].session_start);
  EXPECT_EQ(events[1].step, 301);
  EXPECT_EQ(events[2].step, 310);
  EXPECT_EQ(events[2].numbers, (std::map<std::string, float>{{"loss", 0.1f}, {"loss text->shape", -3}}));
  EXPECT_EQ(events[3].step, std::int64_t{1} << 40);
  EXPECT_TRUE(std::isnan(events[3].numbers.at("loss")));
  for (const Event& event : events) {
    EXPECT_GE(event.seconds, before);
    EXPECT_LE(event.seconds, now());
  }
}

TEST(EventFile, IsNamedAsTensorBoardLooksForIt) {
  const test::TemporaryDirectory folder;
  EventFile(folder.path(), 1);
  const std::string name = only_file(folder.path()).filename().string();
  EXPECT_TRUE(name.starts_with("events.out.tfevents.")) << name;
  EXPECT_TRUE(name.ends_with("." + std::to_string(::getpid()))) << name;
  EXPECT_THROW(EventFile("/nonexistent-folder", 1), Error);
}

// TensorBoard reads in the order of names, which a clock that is set back must not turn round.
TEST(EventFile, IsReadAfterThoseThatAreThere) {
  const test::TemporaryDirectory folder;
  for (const char* name :
       {"events.out.tfevents.99.h.1", "events.out.tfevents.9000000000.h.1", "events.out.tfevents.x",
        "events.out.tfevents.99999999999999999999.h.1", "events.out.tfevents.-5.h.1"})
    write_file_atomically(folder.path() / name, std::string_view("other"));
  EventFile(folder.path(), 1);
  int after = 0;
  for (const auto& file : files_below(folder.path()))
    after += file.filename().string().starts_with("events.out.tfevents.9000000001.");
  EXPECT_EQ(after, 1);
}

TEST(EventFile, ARecordThatDoesNotFitIsTakenBack) {
  const test::TemporaryDirectory folder;
  const auto write_too_much = [&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{200, 200};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) std::exit(2);
    EventFile file(folder.path(), 1);
    file.write(1, {{"loss", 1}});
    try {
      file.write(2, {{std::string(200, 'x'), 1}});
    } catch (const Error& error) {
      std::exit(error.kind() == ErrorKind::io ? 0 : 3);
    }
    std::exit(1);
  };
  EXPECT_EXIT(write_too_much(), testing::ExitedWithCode(0), "");
  EXPECT_EQ(events_in(only_file(folder.path())).size(), 3u);
}

TEST(RunMetrics, WritesLinesWithAStepAsEvents) {
  const test::TemporaryDirectory folder;
  RunMetrics metrics(folder / "metrics.jsonl");
  std::filesystem::create_directory(folder / "events");
  metrics.write_events_to(folder / "events", 1);
  metrics.write({{"step", 20}, {"loss", 0.5}}, {{"stage", "pretrain"}});
  metrics.write({{"loss", 0.25}});
  const std::vector<Event> events = events_in(only_file(folder / "events"));
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[2].step, 20);
  EXPECT_EQ(events[2].numbers, (std::map<std::string, float>{{"loss", 0.5f}}));
}

}  // namespace
}  // namespace omni
