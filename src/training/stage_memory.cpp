#include "stage_memory.h"

#include <algorithm>

#include "omni/core/log.h"
#include "omni/kernels/peak_memory.h"

namespace omni::training {

void StageMemory::note_step(std::int64_t activation_bytes, std::int64_t gathered_bytes,
                            std::int64_t batch_bytes) {
  activation_bytes_ = std::max(activation_bytes_, activation_bytes - gathered_bytes);
  gathered_bytes_ = std::max(gathered_bytes_, gathered_bytes);
  batch_bytes_ = std::max(batch_bytes_, batch_bytes);
}

MeasuredMemory StageMemory::measure() const {
  MeasuredMemory measured{.parts = memory_of(parameters_), .total = 1e9 * kernels::peak_gigabytes(device_)};
  MemoryParts& parts = measured.parts;
  for (const optimizer::SectionState& state : optimizer_.section_state())
    parts.moments += static_cast<double>(state.values.nbytes());
  parts.activations = static_cast<double>(activation_bytes_);
  parts.gathered = static_cast<double>(gathered_bytes_);
  const double on_device = parts.sum();
  parts.checkpoint_copy = static_cast<double>(checkpoints_.copy_bytes());
  parts.batches = static_cast<double>(batch_bytes_);
  parts.text_tower = static_cast<double>(text_tower_bytes_);
  parts.other = measured.total - (device_.is_cpu() ? parts.sum() : on_device);
  return measured;
}

void StageMemory::tell(std::int64_t step, const MeasuredMemory& measured) {
  if (measured.total < 1.25 * told_bytes_) return;
  told_bytes_ = measured.total;
  std::string table = memory_table(measured.parts, "  ");
  table.pop_back();  // the end of the last line, which the log writes
  log_info("memory of rank 0 up to step ", step, ": ", measured.total / 1e9, " GB\n", table);
}

}  // namespace omni::training
