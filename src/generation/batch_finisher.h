#pragma once

#include <exception>
#include <functional>
#include <future>
#include <vector>

#include "omni/generation/make_samples.h"

namespace omni::generation {

// From samples whose tokens are drawn to finished ones, batch by batch, handed on in order by the thread that adds them.
// Where `beside`, a batch is finished on a thread of its own while its successor is drawn: for models on a GPU, which leave
// the host's cores free. Else at once.
class BatchFinisher {
 public:
  using Finish = std::function<void(GeneratedSample&)>;  // gives shapes their fields and meshes

  BatchFinisher(bool beside, Finish finish, OnSample on_sample);
  BatchFinisher(const BatchFinisher&) = delete;
  BatchFinisher& operator=(const BatchFinisher&) = delete;
  ~BatchFinisher() = default;  // waits for what was begun

  // Calls `draw`, which adds batches, and hands on the last one, even where drawing fails: what is finished is not lost.
  // Throws what `draw` or else finishing threw.
  void run(const std::function<void()>& draw);
  // Hands on the batch before. Throws what finishing it threw, once those of its samples that were finished are handed on,
  // and Error(interrupted) after Ctrl-C, which is looked for before each sample.
  void add(std::vector<GeneratedSample> samples);

 private:
  struct Batch {
    std::vector<GeneratedSample> finished;
    std::exception_ptr failure;
  };
  Batch finish(std::vector<GeneratedSample> samples) const;
  void hand_on();

  bool beside_;
  Finish finish_;
  OnSample on_sample_;
  std::future<Batch> running_;
};

}  // namespace omni::generation
