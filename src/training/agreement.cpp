#include "agreement.h"

#include <algorithm>
#include <vector>

#include "omni/core/interrupt.h"

namespace omni::training {
namespace {

// Every field as a number that is added up: flags are counted, and only rank 0 gives what is rank 0's.
std::vector<double> numbers_of(const StepHeader& header, bool first_rank) {
  std::vector<double> numbers(header.loss_weights.begin(), header.loss_weights.end());
  numbers.insert(numbers.end(), {static_cast<double>(header.tokens), header.interrupted ? 1.0 : 0.0,
                                 header.stopped ? 1.0 : 0.0, header.checkpoint ? 1.0 : 0.0,
                                 first_rank ? header.progress : 0.0});
  return numbers;
}

StepHeader header_of(const double* numbers) {
  StepHeader header;
  for (double& weight : header.loss_weights) weight = *numbers++;
  header.tokens = static_cast<std::int64_t>(*numbers++);
  header.interrupted = *numbers++ > 0;
  header.stopped = *numbers++ > 0;
  header.checkpoint = *numbers++ > 0;
  header.progress = *numbers;
  return header;
}

}  // namespace

void StepHeader::note_signal() { (stop_kind() == ErrorKind::interrupted ? interrupted : stopped) = true; }

Agreement::Agreement(distributed::Collectives& collectives, at::Device device)
    : collectives_(&collectives), device_(device) {}

void Agreement::send(const StepHeader& mine) {
  ensure(!call_, "a header is sent before the last one was received");
  const std::vector<double> numbers = numbers_of(mine, collectives_->rank() == 0);
  at::Tensor values = at::empty({static_cast<std::int64_t>(numbers.size())}, at::kDouble);
  std::copy(numbers.begin(), numbers.end(), values.mutable_data_ptr<double>());
  values_ = collectives_->size() > 1 ? values.to(device_) : values;
  call_ = collectives_->all_reduce(values_);
}

StepHeader Agreement::receive() {
  ensure(call_.has_value(), "no header was sent");
  call_->wait();
  call_.reset();
  return header_of(values_.cpu().const_data_ptr<double>());
}

}  // namespace omni::training
