#include "batch_finisher.h"

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <stdexcept>

#include "omni/core/error.h"
#include "omni/core/interrupt.h"

namespace omni::generation {
namespace {

std::vector<GeneratedSample> batch_of(std::initializer_list<std::uint64_t> numbers) {
  std::vector<GeneratedSample> samples;
  for (const std::uint64_t number : numbers) samples.emplace_back().sample_number = number;
  return samples;
}

// In `log_probability`, so that what was finished can be told.
void finish(GeneratedSample& sample) {
  sample.log_probability = 10.0 * static_cast<double>(sample.sample_number);
}

BatchFinisher::Options options(bool beside) {
  return {.beside = beside ? std::optional<c10::Device>(c10::kCPU) : std::nullopt};
}

class BatchFinisherTest : public testing::TestWithParam<bool> {
 protected:
  OnSample keep() {
    return [this](const GeneratedSample& sample) {
      numbers_.push_back(sample.sample_number);
      EXPECT_EQ(sample.log_probability, 10.0 * static_cast<double>(sample.sample_number));
    };
  }
  std::vector<std::uint64_t> numbers_;
};

TEST_P(BatchFinisherTest, HandsOnAllSamplesInOrder) {
  BatchFinisher finisher(options(GetParam()), finish, keep());
  finisher.run([&] {
    finisher.add(batch_of({1, 2}));
    finisher.add({});
    finisher.add(batch_of({3}));
    finisher.add(batch_of({4, 5, 6}));
  });
  EXPECT_EQ(numbers_, (std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6}));
}

TEST_P(BatchFinisherTest, WhatIsFinishedSurvivesFailures) {
  const auto run = [&](const BatchFinisher::Finish& with, const std::function<void()>& last) {
    numbers_.clear();
    BatchFinisher finisher(options(GetParam()), with, keep());
    std::string told;
    try {
      finisher.run([&] {
        finisher.add(batch_of({1, 2}));
        finisher.add(batch_of({3, 4}));
        last();
      });
    } catch (const std::runtime_error& error) {
      told = error.what();
    }
    return told;
  };
  EXPECT_EQ(run(finish, [] { throw std::runtime_error("drawing"); }), "drawing");
  EXPECT_EQ(numbers_, (std::vector<std::uint64_t>{1, 2, 3, 4}));
  const auto fails_at_4 = [](GeneratedSample& sample) {
    if (sample.sample_number == 4) throw std::runtime_error("finishing");
    finish(sample);
  };
  EXPECT_EQ(run(fails_at_4, [] {}), "finishing");
  EXPECT_EQ(numbers_, (std::vector<std::uint64_t>{1, 2, 3}));
}

// A disk that is full, say: neither why drawing ended nor silence.
TEST_P(BatchFinisherTest, WhatHandingOnThrowsIsTold) {
  BatchFinisher finisher(options(GetParam()), finish,
                         [](const GeneratedSample&) { throw std::runtime_error("handing on"); });
  try {
    finisher.run([&] {
      finisher.add(batch_of({1}));
      throw std::runtime_error("drawing");
    });
    FAIL() << "nothing was thrown";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "handing on");
  }
}

// In a process of its own: what is drawn and was not finished when Ctrl-C came, by the numbers of what is handed on.
TEST_P(BatchFinisherTest, AfterCtrlCFinishesWhatIsDrawnOrGivesUp) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto run = [&](AfterInterrupt after_interrupt) {
    install_interrupt_handler();
    BatchFinisher::Options with = options(GetParam());
    with.after_interrupt = after_interrupt;
    const auto finish_or_interrupt = [](GeneratedSample& sample) {
      if (sample.sample_number == 2) std::raise(SIGINT);
    };
    BatchFinisher finisher(with, finish_or_interrupt, [](const GeneratedSample& sample) {
      std::fprintf(stderr, "<%d>", static_cast<int>(sample.sample_number));
    });
    try {
      finisher.run([&] { finisher.add(batch_of({1, 2, 3, 4})); });
    } catch (const Error& error) {
      std::exit(exit_code(error.kind()));
    }
    std::exit(0);
  };
  EXPECT_EXIT(run(AfterInterrupt::finish_drawn), testing::ExitedWithCode(0), "2 samples.*<4>");
  EXPECT_EXIT(run(AfterInterrupt::give_up), testing::ExitedWithCode(exit_code(ErrorKind::interrupted)),
              "<2>$");
}

INSTANTIATE_TEST_SUITE_P(Both, BatchFinisherTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "beside" : "at_once"; });

// Finishing the first batch ends once the second one is drawn, which would never be so one after the other.
TEST(BatchFinisher, FinishesWhileTheNextBatchIsDrawn) {
  std::promise<void> drawn;
  std::future<void> is_drawn = drawn.get_future();
  bool waited = false;
  BatchFinisher finisher(
      options(/*beside=*/true),
      [&](GeneratedSample& sample) {
        if (sample.sample_number == 1)
          waited = is_drawn.wait_for(std::chrono::seconds(60)) == std::future_status::ready;
      },
      [](const GeneratedSample&) {});
  finisher.run([&] {
    finisher.add(batch_of({1}));
    drawn.set_value();
    finisher.add(batch_of({2}));
  });
  EXPECT_TRUE(waited);
}

}  // namespace
}  // namespace omni::generation
