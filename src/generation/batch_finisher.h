#pragma once

#include <c10/core/Device.h>

#include <exception>
#include <functional>
#include <future>
#include <optional>
#include <vector>

#include "omni/generation/make_samples.h"

namespace omni::generation {

// Where samples of that model are finished beside: its GPU, if it is on one.
std::optional<c10::Device> gpu_of(const model::Transformer& transformer);

// From samples whose tokens are drawn to finished ones, batch by batch, handed on in order by the thread that adds them.
// `beside` a device, a batch is finished on a thread and, on a GPU, a stream of its own while its successor is drawn there: the
// host's cores are free meanwhile. Without one, at once.
class BatchFinisher {
 public:
  using Finish = std::function<void(GeneratedSample&)>;  // gives shapes their fields and meshes

  struct Options {
    std::optional<c10::Device> beside;
    AfterInterrupt after_interrupt = AfterInterrupt::give_up;
  };

  BatchFinisher(const Options& options, Finish finish, OnSample on_sample);
  BatchFinisher(const BatchFinisher&) = delete;
  BatchFinisher& operator=(const BatchFinisher&) = delete;
  ~BatchFinisher() = default;  // waits for what was begun

  // Calls `draw`, which adds batches, and hands on the last one, even where drawing fails: what is finished is not lost.
  // Throws what handing on threw, or else drawing, or else finishing.
  void run(const std::function<void()>& draw);
  // Hands on the batch before. Throws what finishing it threw (Error(interrupted) where it was given up), once those of its
  // samples that were finished are handed on.
  void add(std::vector<GeneratedSample> samples);

 private:
  struct Batch {
    std::vector<GeneratedSample> finished;
    std::exception_ptr failure;
  };
  void finish_one(GeneratedSample& sample, std::size_t left);  // `left` in its batch, with it
  Batch finish(std::vector<GeneratedSample> samples);
  Batch finish_on_stream(std::vector<GeneratedSample> samples);
  std::exception_ptr hand_on();  // -> why the rest was not finished

  Options options_;
  Finish finish_;
  OnSample on_sample_;
  bool told_ = false;  // that what is drawn is finished; one batch is finished at a time
  std::future<Batch> running_;
};

}  // namespace omni::generation
