#include "batch_arena.h"

#include "omni/core/error.h"

namespace omni::model {

ArenaPlace BatchArena::append(const void* values, std::size_t count, std::size_t size, at::ScalarType type) {
  // Any kernel may read it.
  constexpr std::size_t kAlignment = 64;
  ensure(!bytes_.defined(), "a batch arena is closed");
  const std::size_t offset = (filled_.size() + kAlignment - 1) / kAlignment * kAlignment;
  filled_.resize(offset + count * size);
  if (count > 0) std::memcpy(filled_.data() + offset, values, count * size);
  places_.push_back({static_cast<std::int64_t>(offset), static_cast<std::int64_t>(count), type});
  return places_.back();
}

void BatchArena::close(bool pinned) {
  bytes_ = at::empty({static_cast<std::int64_t>(filled_.size())},
                     at::TensorOptions(at::kByte).pinned_memory(pinned));
  if (!filled_.empty()) std::memcpy(bytes_.mutable_data_ptr(), filled_.data(), filled_.size());
  filled_ = {};
}

at::Tensor BatchArena::on(at::Device device) const {
  return device.is_cpu() ? bytes_ : bytes_.to(device, at::kByte, /*non_blocking=*/true);
}

at::Tensor array_at(const at::Tensor& bytes, const ArenaPlace& place) {
  const auto size = static_cast<std::int64_t>(c10::elementSize(place.type));
  return bytes.narrow(0, place.offset, place.count * size).view(place.type);
}

}  // namespace omni::model
