#include "batch_finisher.h"

#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <utility>

namespace omni::generation {

std::optional<c10::Device> gpu_of(const model::Transformer& transformer) {
  const c10::Device device = transformer.device();
  return device.is_cpu() ? std::nullopt : std::optional(device);
}

BatchFinisher::BatchFinisher(std::optional<c10::Device> beside, Finish finish, OnSample on_sample)
    : beside_(beside), finish_(std::move(finish)), on_sample_(std::move(on_sample)) {}

BatchFinisher::Batch BatchFinisher::finish(std::vector<GeneratedSample> samples) const {
  Batch batch;
  try {
    for (GeneratedSample& sample : samples) {
      finish_(sample);
      batch.finished.push_back(std::move(sample));
    }
  } catch (...) {
    batch.failure = std::current_exception();
  }
  return batch;
}

// Of its own, or each of its waits would be for steps of the batch that is drawn. What is finished was drawn: nothing of it
// is under way on the stream of drawing.
BatchFinisher::Batch BatchFinisher::finish_on_stream(std::vector<GeneratedSample> samples) const {
  if (beside_->is_cpu()) return finish(std::move(samples));
  const c10::impl::VirtualGuardImpl guard(beside_->type());
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
  if (!beside_) {
    for (GeneratedSample& sample : samples) {
      finish_(sample);
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
