#include "omni/model/pass_inputs.h"

#include "omni/core/error.h"
#include "omni/core/random.h"
#include "prepared_arrays.h"

namespace omni::model {
namespace {

constexpr auto kModalities = static_cast<std::int64_t>(sequence::kModalityCount);
constexpr std::int64_t kStreams = 2;

// On the host, so that it is copied while the host goes on.
Tensor pinned(const Tensor& like) {
  return at::empty(like.sizes(), at::TensorOptions(like.scalar_type()).pinned_memory(true));
}

}  // namespace

PassInputs::PassInputs(const Transformer& transformer, const PreparedBatch& like)
    : arrays_(like.shared_arrays()) {
  const at::TensorOptions place(transformer.network().embedding.device());
  ensure(transformer.network().embedding.is_cuda(), "passes that are replayed are for a GPU");
  on_device_ = {
      at::empty({arrays_->arena.bytes()}, place.dtype(at::kByte)),
      at::empty({kModalities}, place.dtype(at::kFloat)),
      at::empty({transformer.config().block_count(), kStreams, nn::kDropoutPlaces}, place.dtype(at::kLong))};
}

bool PassInputs::takes(const PreparedBatch& batch) const { return batch.arrays().has_shape_of(*arrays_); }

void PassInputs::write(const PreparedBatch& batch, const LossOptions& options) {
  if (!takes(batch))
    fail(ErrorKind::usage, "a micro-batch of ", batch.arrays().length, " positions and ", batch.bytes(),
         " bytes for passes that take ", arrays_->length, " and ", arrays_->arena.bytes(),
         ": their lengths vary. Lay all of them out in one capacity, or set cuda_graphs: false");
  const Tensor weights = pinned(on_device_.modality_weights), keys = pinned(on_device_.dropout_keys);
  for (std::int64_t m = 0; m < kModalities; ++m)
    weights.mutable_data_ptr<float>()[m] = static_cast<float>(options.modality_weights[m]);
  auto* key = keys.mutable_data_ptr<std::int64_t>();
  for (std::int64_t block = 0; block < keys.size(0); ++block)
    for (std::uint64_t stream = 0; stream < kStreams; ++stream)
      for (std::uint64_t place = 0; place < nn::kDropoutPlaces; ++place)
        *key++ = static_cast<std::int64_t>(
            nn::dropout_key(block_dropout_key(options.dropout_seed, block), stream, place));
  on_device_.bytes.copy_(batch.arrays().arena.on_host(), /*non_blocking=*/true);
  on_device_.modality_weights.copy_(weights, /*non_blocking=*/true);
  on_device_.dropout_keys.copy_(keys, /*non_blocking=*/true);
}

}  // namespace omni::model
