#include "batch_finisher.h"

#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <chrono>
#include <utility>

#include "omni/core/interrupt.h"
#include "omni/core/log.h"

namespace omni::generation {

std::optional<c10::Device> gpu_of(const model::Transformer& transformer) {
  const c10::Device device = transformer.device();
  return device.is_cpu() ? std::nullopt : std::optional(device);
}

BatchFinisher::BatchFinisher(const Options& options, Finish finish, OnSample on_sample)
    : options_(options), finish_(std::move(finish)), on_sample_(std::move(on_sample)) {}

void BatchFinisher::finish_one(GeneratedSample& sample, std::size_t left) {
  if (interrupt_requested() && !told_) {
    if (options_.after_interrupt == AfterInterrupt::give_up) throw_if_interrupted();
    log_info("stopping: ", left,
             left == 1 ? " sample whose codes are drawn is" : " samples whose codes are drawn are",
             " finished first; another signal ends at once");
    told_ = true;
  }
  const auto begun = std::chrono::steady_clock::now();
  finish_(sample);
  sample.meshing_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

BatchFinisher::Batch BatchFinisher::finish(std::vector<GeneratedSample> samples) {
  Batch batch;
  try {
    std::size_t left = samples.size();
    for (GeneratedSample& sample : samples) {
      finish_one(sample, left--);
      batch.finished.push_back(std::move(sample));
    }
  } catch (...) {
    batch.failure = std::current_exception();
  }
  return batch;
}

// Of its own, or each of its waits would be for steps of the batch that is drawn. What is finished was drawn: nothing of it
// is under way on the stream of drawing.
BatchFinisher::Batch BatchFinisher::finish_on_stream(std::vector<GeneratedSample> samples) {
  if (options_.beside->is_cpu()) return finish(std::move(samples));
  const c10::impl::VirtualGuardImpl guard(options_.beside->type());
  const c10::StreamGuard stream(guard.getStreamFromGlobalPool(guard.getDevice()));
  Batch batch = finish(std::move(samples));
  guard.synchronizeStream(stream.current_stream());
  return batch;
}

void BatchFinisher::run(const std::function<void()>& draw) {
  std::exception_ptr failure;
  try {
    draw();
  } catch (...) {
    failure = std::current_exception();
  }
  const std::exception_ptr unfinished = hand_on();
  if (failure) std::rethrow_exception(failure);
  if (unfinished) std::rethrow_exception(unfinished);
}

void BatchFinisher::add(std::vector<GeneratedSample> samples) {
  if (!options_.beside) {
    std::size_t left = samples.size();
    for (GeneratedSample& sample : samples) {
      finish_one(sample, left--);
      on_sample_(std::move(sample));
    }
    return;
  }
  if (const std::exception_ptr unfinished = hand_on()) std::rethrow_exception(unfinished);
  running_ = std::async(std::launch::async, [this, samples = std::move(samples)]() mutable {
    return finish_on_stream(std::move(samples));
  });
}

std::exception_ptr BatchFinisher::hand_on() {
  if (!running_.valid()) return {};
  Batch batch = running_.get();
  for (GeneratedSample& sample : batch.finished) on_sample_(std::move(sample));
  return batch.failure;
}

}  // namespace omni::generation
