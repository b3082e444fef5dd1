#include "batch_finisher.h"

#include <utility>

#include "omni/core/interrupt.h"

namespace omni::generation {

BatchFinisher::BatchFinisher(bool beside, Finish finish, OnSample on_sample)
    : beside_(beside), finish_(std::move(finish)), on_sample_(std::move(on_sample)) {}

BatchFinisher::Batch BatchFinisher::finish(std::vector<GeneratedSample> samples) const {
  Batch batch;
  try {
    for (GeneratedSample& sample : samples) {
      throw_if_interrupted();
      finish_(sample);
      batch.finished.push_back(std::move(sample));
    }
  } catch (...) {
    batch.failure = std::current_exception();
  }
  return batch;
}

void BatchFinisher::run(const std::function<void()>& draw) {
  std::exception_ptr failure;
  try {
    draw();
  } catch (...) {
    failure = std::current_exception();
  }
  try {
    hand_on();
  } catch (...) {
    if (!failure) throw;  // the first one tells what happened
  }
  if (failure) std::rethrow_exception(failure);
}

void BatchFinisher::add(std::vector<GeneratedSample> samples) {
  if (!beside_) {
    for (GeneratedSample& sample : samples) {
      throw_if_interrupted();
      finish_(sample);
      on_sample_(std::move(sample));
    }
    return;
  }
  hand_on();
  running_ = std::async(std::launch::async, [this, samples = std::move(samples)]() mutable {
    return finish(std::move(samples));
  });
}

void BatchFinisher::hand_on() {
  if (!running_.valid()) return;
  Batch batch = running_.get();
  for (GeneratedSample& sample : batch.finished) on_sample_(std::move(sample));
  if (batch.failure) std::rethrow_exception(batch.failure);
}

}  // namespace omni::generation
